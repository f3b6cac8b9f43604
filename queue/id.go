package queue

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// ID names one job: "instance/sys_id", and "instance/sys_id#n" for the n-th
// deliberate run of the same ECC message (n ≥ 2). It is the idempotency key of
// everything that is done for the job.
type ID string

// NewID returns the id of a run of an ECC message. Run 1 (and anything below)
// is the first.
func NewID(instance, sysID string, run int) ID {
	if run <= 1 {
		return ID(instance + "/" + sysID)
	}
	return ID(instance + "/" + sysID + "#" + strconv.Itoa(run))
}

// Split returns the parts of the id. An id that NewID cannot have made gives
// fault.Invalid.
func (id ID) Split() (instance, sysID string, run int, err error) {
	instance, rest, ok := strings.Cut(string(id), "/")
	if !ok || instance == "" || rest == "" || strings.Contains(rest, "/") {
		return "", "", 0, id.malformed("want instance/sys_id")
	}
	sysID, number, numbered := strings.Cut(rest, "#")
	if !numbered {
		return instance, sysID, 1, nil
	}
	run, convErr := strconv.Atoi(number)
	if convErr != nil || run < 2 || sysID == "" || strconv.Itoa(run) != number {
		return "", "", 0, id.malformed("want a run of 2 or more behind #")
	}
	return instance, sysID, run, nil
}

func (id ID) malformed(why string) error {
	return fault.New(fault.Invalid, "read job id", strconv.Quote(string(id)), fmt.Errorf("malformed: %s", why)).
		WithHint("use an id as `sallyport jobs list` prints it")
}
