package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*fault.Error{
		"open queue /q: EOF": fault.New(fault.Unavailable, "open queue", "/q", io.EOF),
		"open queue /q":      fault.New(fault.Unavailable, "open queue", "/q", nil),
		"EOF":                fault.New(fault.Unavailable, "", "", io.EOF),
		"denied error":       fault.New(fault.Denied, "", "", nil),
		"read: EOF":          fault.New(fault.Invalid, "read", "", io.EOF),
	} {
		if got := e.Error(); got != want {
			t.Errorf("text %q, want %q", got, want)
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.Denied, "read", "x", io.EOF)
	for _, c := range []struct {
		err  error
		want fault.Kind
	}{
		{inner, fault.Denied},
		{fmt.Errorf("around: %w", inner), fault.Denied},
		{fault.New(fault.Timeout, "run", "job", inner), fault.Timeout},
		{errors.Join(io.EOF, inner), fault.Denied},
		{context.Canceled, fault.Canceled},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), fault.Timeout},
		{io.EOF, fault.Internal},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("kind of %v is %v, want %v", c.err, got, c.want)
		}
	}
}

func TestHintAndRetryAfterAreFoundBelow(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.Unavailable, "post", "x", io.EOF).WithHint("wait for the instance")
	inner.RetryAfter = 3 * time.Second
	err := fmt.Errorf("deliver: %w", fault.New(fault.Unknown, "deliver", "job", inner))
	if got := fault.HintOf(err); got != "wait for the instance" {
		t.Errorf("hint %q", got)
	}
	if got := fault.RetryAfterOf(err); got != 3*time.Second {
		t.Errorf("retry after %v", got)
	}
}

func TestKindNamesRoundTrip(t *testing.T) {
	t.Parallel()
	for k := fault.Internal; k <= fault.Unknown; k++ {
		if got := fault.ParseKind(k.String()); got != k {
			t.Errorf("%v parses as %v", k, got)
		}
	}
	if fault.ParseKind("never heard of") != fault.Internal {
		t.Error("an unknown name must be Internal")
	}
}
