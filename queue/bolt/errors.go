package bolt

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Reasons that callers do not branch on.
var (
	errKey     = fmt.Errorf("the state key must have %d bytes", KeyBytes)
	errNoDir   = errors.New("no folder was given")
	errForeign = errors.New("the spool belongs to another store, or was used before")
)

const hintSpace = "free disk space or repair the disk; the agent goes on by itself"

// ioFault is a disk that takes no writes: nothing was changed, and the same
// call can succeed later.
func ioFault(op, subject string, err error) *fault.Error {
	if errors.Is(err, queue.ErrFull) {
		return fault.New(fault.Unavailable, op, subject, err).WithHint(hintSpace)
	}
	return fault.New(fault.Unavailable, op, subject, fmt.Errorf("%w: %w", queue.ErrFull, err)).WithHint(hintSpace)
}

func notFound(op string, id queue.ID) error {
	return fault.New(fault.Invalid, op, string(id), queue.ErrNotFound).
		WithHint("list the jobs with `sallyport jobs list`")
}

func brokenRecord(op, subject string, err error) error {
	return fault.New(fault.Internal, op, subject, fmt.Errorf("%w: %w", queue.ErrBroken, err)).
		WithHint("look at the record on the instance; `sallyport doctor` shows what is kept aside")
}

func seqName(seq uint64) string { return "record " + strconv.FormatUint(seq, 10) }

func closed(op string) error {
	return fault.New(fault.Unavailable, op, "", queue.ErrClosed).WithHint("start the agent again")
}
