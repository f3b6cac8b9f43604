package demo

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage reads what a process takes from /proc.
func usage(pid int) (taken, bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return taken{}, false
	}
	var t taken
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			t.residentKB = n
		case "VmHWM":
			t.peakKB = n
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return taken{}, false
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	const utime, stime = 11, 12 // proc(5), counted from the state
	if !ok || len(fields) <= stime {
		return taken{}, false
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go knows
	for _, f := range fields[utime : stime+1] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return taken{}, false
		}
		t.cpu += time.Duration(n) * tick
	}
	return t, true
}
