package simulator

import (
	"strconv"
	"strings"
	"time"
)

// value reads the value of a term: javascript: expressions are evaluated and
// date literals are taken from the caller's time zone into UTC. It reports
// false for an expression that it cannot evaluate.
func (c *compiler) value(raw string, kind Kind) (string, bool) {
	if script, ok := strings.CutPrefix(raw, "javascript:"); ok {
		return c.script(strings.TrimSpace(script))
	}
	if kind == DateTime && raw != "" {
		if t, ok := parseDate(raw, c.v.zone); ok {
			return t.UTC().Format(rawTime), true
		}
	}
	return raw, true
}

// parseDate reads a date or a date and time of the display format.
func parseDate(raw string, zone *time.Location) (time.Time, bool) {
	for _, layout := range []string{rawTime, time.DateOnly, "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, raw, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// script evaluates the documented helpers of gs, and nothing else.
func (c *compiler) script(text string) (string, bool) {
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	name, rest, ok := strings.Cut(text, "(")
	args, ok2 := strings.CutSuffix(rest, ")")
	if !ok || !ok2 {
		return "", false
	}
	now := c.s.now().In(c.v.zone)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, c.v.zone)
	switch name {
	case "gs.getUserID":
		return c.v.id, true
	case "gs.getUserName":
		return c.v.name, true
	case "gs.beginningOfToday":
		return utc(day), true
	case "gs.endOfToday":
		return utc(day.AddDate(0, 0, 1).Add(-time.Second)), true
	case "gs.dateGenerate":
		return dateGenerate(args, c.v.zone)
	}
	n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(args), `'"`))
	if err != nil {
		return "", false
	}
	switch name {
	case "gs.daysAgo":
		return utc(now.AddDate(0, 0, -n)), true
	case "gs.daysAgoStart":
		return utc(day.AddDate(0, 0, -n)), true
	case "gs.daysAgoEnd":
		return utc(day.AddDate(0, 0, 1-n).Add(-time.Second)), true
	case "gs.hoursAgo":
		return utc(now.Add(-time.Duration(n) * time.Hour)), true
	case "gs.minutesAgo":
		return utc(now.Add(-time.Duration(n) * time.Minute)), true
	}
	return "", false
}

func utc(t time.Time) string { return t.UTC().Format(rawTime) }

// dateGenerate reads 'YYYY-MM-DD','HH:MM:SS' or the words start and end.
func dateGenerate(args string, zone *time.Location) (string, bool) {
	d, clock, ok := strings.Cut(args, ",")
	if !ok {
		return "", false
	}
	d, clock = strings.Trim(strings.TrimSpace(d), `'"`), strings.Trim(strings.TrimSpace(clock), `'"`)
	switch clock {
	case "start":
		clock = "00:00:00"
	case "end":
		clock = "23:59:59"
	}
	t, err := time.ParseInLocation(rawTime, d+" "+clock, zone)
	if err != nil {
		return "", false
	}
	return utc(t), true
}

// relative reads "unit@ago|ahead@n", for example RELATIVEGT@hour@ago@3: later
// than three hours ago.
func (c *compiler) relative(t *term, raw string) bool {
	parts := strings.Split(strings.TrimPrefix(raw, "@"), "@")
	if len(parts) != 3 {
		return false
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return false
	}
	if parts[1] == "ago" {
		n = -n
	} else if parts[1] != "ahead" {
		return false
	}
	at := c.s.now()
	switch parts[0] {
	case "minute":
		at = at.Add(time.Duration(n) * time.Minute)
	case "hour":
		at = at.Add(time.Duration(n) * time.Hour)
	case "dayofweek", "day":
		at = at.AddDate(0, 0, n)
	case "month":
		at = at.AddDate(0, n, 0)
	case "year":
		at = at.AddDate(n, 0, 0)
	default:
		return false
	}
	t.val = utc(at)
	t.op = map[string]string{"RELATIVEEE": "=", "RELATIVEGE": ">=", "RELATIVELE": "<=", "RELATIVEGT": ">", "RELATIVELT": "<"}[t.op]
	return t.compare()
}
