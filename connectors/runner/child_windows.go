package runner

import (
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// host is what the runner has of its system, for all children.
type host struct {
	boot string // empty: creation times are absolute
	log  *slog.Logger
}

func newHost(_ string, _ bool, log *slog.Logger) (*host, error) { return &host{log: log}, nil }

func (h *host) trees() string { return "job object" }

func (h *host) close() {}

type windowsChild struct {
	h       *host
	job     windows.Handle
	process windows.Handle
	id      identity
}

// start starts a job's main process inside a job object of its own: it is
// created suspended, so that nothing of it runs outside.
func (h *host) start(l *launch) (child, error) {
	if l.spec.Account != "" {
		return nil, &startError{Refused, errors.New("running as another account is not available on Windows")}
	}
	if err := l.ready.err; err != nil {
		if e, ok := errors.AsType[*startError](err); ok {
			return nil, e
		}
		return nil, startFailure(err)
	}
	c := &windowsChild{h: h}
	var err error
	if c.job, err = newJobObject(l.spec); err != nil {
		return nil, &startError{Refused, err}
	}
	thread, err := c.create(l, l.ready.path, l.ready.line)
	if err != nil {
		_ = windows.CloseHandle(c.job)
		return nil, startFailure(err)
	}
	err = windows.AssignProcessToJobObject(c.job, c.process)
	if err == nil {
		_, err = windows.ResumeThread(thread)
	}
	_ = windows.CloseHandle(thread)
	if err != nil {
		_ = windows.TerminateProcess(c.process, 1) // it never ran
		_ = windows.CloseHandle(c.process)
		_ = windows.CloseHandle(c.job)
		return nil, &startError{OtherStart, err}
	}
	return c, nil
}

// prepared is what of a start can be done before the job is begun.
type prepared struct {
	path, line string
	err        error
}

// prepare looks the program up. Its error is start's.
func (h *host) prepare(l *launch) {
	l.ready.path, l.ready.line, l.ready.err = program(l.spec, l.env)
}

// abandon has nothing to give up.
func (h *host) abandon(*launch) {}

// create makes the suspended process and returns its thread. It inherits the
// three standard handles and nothing else.
func (c *windowsChild) create(l *launch, path, line string) (windows.Handle, error) {
	app, err1 := windows.UTF16PtrFromString(path)
	args, err2 := windows.UTF16PtrFromString(line)
	dir, err3 := windows.UTF16PtrFromString(l.spec.Dir)
	list, err4 := windows.NewProcThreadAttributeList(1)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return 0, err
	}
	defer list.Delete()
	handles := []windows.Handle{windows.Handle(l.stdin.Fd()), windows.Handle(l.stdout.Fd()), windows.Handle(l.stderr.Fd())}
	for _, h := range handles {
		if err := windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
			return 0, err
		}
	}
	err := list.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
		unsafe.Pointer(&handles[0]), uintptr(len(handles))*unsafe.Sizeof(handles[0])) //nolint:gosec // the interface of the system
	if err != nil {
		return 0, err
	}
	si := &windows.StartupInfoEx{ProcThreadAttributeList: list.List()}
	si.Cb = uint32(unsafe.Sizeof(*si))
	si.Flags = windows.STARTF_USESTDHANDLES
	si.StdInput, si.StdOutput, si.StdErr = handles[0], handles[1], handles[2]
	const flags = windows.CREATE_SUSPENDED | windows.CREATE_UNICODE_ENVIRONMENT |
		windows.EXTENDED_STARTUPINFO_PRESENT | windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP
	var pi windows.ProcessInformation
	if err := windows.CreateProcess(app, args, nil, nil, true, flags, envBlock(l.env), dir, &si.StartupInfo, &pi); err != nil {
		return 0, &os.PathError{Op: "start", Path: path, Err: err}
	}
	c.process = pi.Process
	c.id = identity{PID: int(pi.ProcessId)}
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(pi.Process, &created, &exited, &kernel, &user) == nil {
		c.id.Start = strconv.FormatInt(created.Nanoseconds(), 10)
	}
	return pi.Thread, nil
}

// envBlock is the environment as CreateProcess takes it: each variable ends
// with a NUL, and so does the whole.
func envBlock(env []string) *uint16 {
	block := utf16.Encode([]rune(strings.Join(env, "\x00") + "\x00\x00"))
	return &block[0]
}

// newJobObject makes the job object that ends all its processes when its handle
// closes, also by the runner's death.
func newJobObject(spec *Spec) (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if spec.Memory > 0 {
		info.BasicLimitInformation.LimitFlags |= windows.JOB_OBJECT_LIMIT_JOB_MEMORY
		info.JobMemoryLimit = uintptr(spec.Memory)
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))) //nolint:gosec // the interface of the system
	if err == nil && spec.CPU > 0 {
		err = limitCPU(job, spec.CPU)
	}
	if err != nil {
		_ = windows.CloseHandle(job)
		return 0, err
	}
	return job, nil
}

// limitCPU sets a hard cap (JOBOBJECT_CPU_RATE_CONTROL_INFORMATION): hundredths
// of a percent of all processors.
func limitCPU(job windows.Handle, cores float64) error {
	const enable, hardCap, whole = 1, 4, 10_000
	processors := float64(windows.GetActiveProcessorCount(windows.ALL_PROCESSOR_GROUPS))
	if processors < 1 {
		processors = 1
	}
	info := struct{ flags, rate uint32 }{enable | hardCap, uint32(max(1, min(whole, cores/processors*whole)))}
	_, err := windows.SetInformationJobObject(job, windows.JobObjectCpuRateControlInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))) //nolint:gosec // the interface of the system
	return err
}

func (c *windowsChild) identity() identity { return c.id }

func (c *windowsChild) await() {
	_, _ = windows.WaitForSingleObject(c.process, windows.INFINITE) // it can only return signaled
}

// terminate does nothing: a process without a console and a window has nothing
// that could ask it. The grace period still lets it end by itself.
func (c *windowsChild) terminate() {}

const killPause = 5 * time.Millisecond

func (c *windowsChild) kill() {
	const exitCode = 1
	for range 200 {
		err := windows.TerminateJobObject(c.job, exitCode)
		if err == nil && c.active() == 0 {
			return
		}
		pause(killPause)
	}
	c.h.log.Warn("processes survive the kill", "pid", c.id.PID)
}

// basicAccounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION; times are in units
// of 100 nanoseconds.
type basicAccounting struct {
	userTime, kernelTime, periodUser, periodKernel       int64
	pageFaults, processes, activeProcesses, terminations uint32
}

func (c *windowsChild) accounting() basicAccounting {
	var a basicAccounting
	err := windows.QueryInformationJobObject(c.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&a)), uint32(unsafe.Sizeof(a)), nil) //nolint:gosec // the interface of the system
	if err != nil {
		return basicAccounting{}
	}
	return a
}

func (c *windowsChild) active() int { return int(c.accounting().activeProcesses) }

func (c *windowsChild) leftovers() bool { return c.active() > 0 }

func (c *windowsChild) reap() exit {
	e := exit{code: -1}
	var code uint32
	if windows.GetExitCodeProcess(c.process, &code) == nil {
		e.code = int(int32(code)) // as cmd.exe shows %ERRORLEVEL%
	}
	a := c.accounting()
	e.cpu = time.Duration(a.userTime+a.kernelTime) * 100
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	err := windows.QueryInformationJobObject(c.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil) //nolint:gosec // the interface of the system
	if err == nil {
		e.maxRSS = int64(info.PeakProcessMemoryUsed)
	}
	_ = windows.CloseHandle(c.process)
	return e
}

func (c *windowsChild) release() { _ = windows.CloseHandle(c.job) }
