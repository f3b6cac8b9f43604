package secret

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
)

// Handler returns a slog.Handler that redacts messages, keys and values, and
// hands them to next. Attributes that a logger carries are redacted again when
// a secret becomes known after they were attached.
func (r *Redactor) Handler(next slog.Handler) slog.Handler {
	return &handler{r: r, base: next}
}

// handler keeps what With and WithGroup gave in the order given, and a cache of
// the handler below that has them in redacted form.
type handler struct {
	r     *Redactor
	base  slog.Handler
	steps []step
	built atomic.Pointer[built]
}

// step is one WithGroup (group is set) or one WithAttrs.
type step struct {
	group string
	attrs []slog.Attr
}

type built struct {
	by *matcher
	h  slog.Handler
}

func (h *handler) below() slog.Handler {
	m := h.r.matcher()
	if b := h.built.Load(); b != nil && b.by == m {
		return b.h
	}
	next := h.base
	for _, s := range h.steps {
		if s.group != "" {
			next = next.WithGroup(h.r.Redact(s.group))
			continue
		}
		next = next.WithAttrs(h.r.attrs(s.attrs))
	}
	h.built.Store(&built{by: m, h: next})
	return next
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.base.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	clean := slog.NewRecord(rec.Time, rec.Level, h.r.Redact(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.r.attr(a, 0))
		return true
	})
	return h.below().Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.with(step{attrs: slices.Clone(attrs)})
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(step{group: name})
}

func (h *handler) with(s step) slog.Handler {
	return &handler{r: h.r, base: h.base, steps: append(slices.Clip(h.steps), s)}
}

func (r *Redactor) attrs(list []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(list))
	for i, a := range list {
		out[i] = r.attr(a, 0)
	}
	return out
}

// maxGroups bounds the nesting that is followed.
const maxGroups = 32

func (r *Redactor) attr(a slog.Attr, depth int) slog.Attr {
	return slog.Attr{Key: r.Redact(a.Key), Value: r.value(a.Value, depth)}
}

func (r *Redactor) value(v slog.Value, depth int) slog.Value {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(r.Redact(v.String()))
	case slog.KindGroup:
		if depth == maxGroups {
			return slog.StringValue("nested too deeply")
		}
		group := slices.Clone(v.Group())
		for i, a := range group {
			group[i] = r.attr(a, depth+1)
		}
		return slog.GroupValue(group...)
	case slog.KindAny:
		return r.anyValue(v)
	default:
		return v // a number, a time, a truth value
	}
}

// anyValue redacts a value by the text that a handler would write of it. It is
// passed on as it is only when neither form of it shows a secret.
func (r *Redactor) anyValue(v slog.Value) slog.Value {
	switch x := v.Any().(type) {
	case nil:
		return v
	case error:
		return slog.StringValue(r.Redact(x.Error()))
	case []byte:
		return slog.StringValue(r.Redact(string(x)))
	case encoding.TextMarshaler:
		if text, err := x.MarshalText(); err == nil {
			return slog.StringValue(r.Redact(string(text)))
		}
	case fmt.Stringer:
		return slog.StringValue(r.Redact(x.String()))
	}
	text := fmt.Sprintf("%+v", v.Any())
	if clean := r.Redact(text); clean != text {
		return slog.StringValue(clean)
	}
	if data, err := json.Marshal(v.Any()); err == nil {
		if clean := r.RedactBytes(data); string(clean) != string(data) {
			return slog.StringValue(string(clean))
		}
	}
	return v
}
