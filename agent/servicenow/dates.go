package servicenow

import (
	"strings"
	"time"
)

// TimeLayout is the form of a raw date and time of the Table API; it is in UTC.
const TimeLayout = "2006-01-02 15:04:05"

// ParseTime reads a raw date and time of a record, which is in UTC.
func ParseTime(s string) (time.Time, error) { return time.Parse(TimeLayout, s) }

// FormatTime writes a raw date and time for a record.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }

// The offsets of the world's time zones lie between these (tz database); one
// hour more covers a clock change.
const (
	maxEast = 15 * time.Hour
	maxWest = 13 * time.Hour
)

// writeTime writes a date literal. An instance reads the arguments of
// gs.dateGenerate in the time zone of the user, so the wall clock of that zone is
// written; a time that the zone's clock shows twice, or an unknown zone, moves
// the bound outwards.
func writeTime(b *strings.Builder, o op, t time.Time, zone *time.Location) {
	upper := o == opLess || o == opLessEq
	var wall time.Time
	if zone == nil {
		// A literal W means the instant W - offset. For an upper bound the instant
		// must be late enough even with the greatest offset, and vice versa.
		if upper {
			wall = t.Add(maxEast)
		} else {
			wall = t.Add(-maxWest)
		}
	} else {
		wall = wallClock(t, zone, upper)
	}
	b.WriteString("javascript:gs.dateGenerate('")
	b.WriteString(wall.Format(time.DateOnly))
	b.WriteString("','")
	b.WriteString(wall.Format(time.TimeOnly))
	b.WriteString("')")
}

// wallClock returns what the clocks of a zone show at t, as a time in UTC. Near a
// change of the offset the greater or smaller of both offsets is taken, whichever
// lets more rows through.
func wallClock(t time.Time, zone *time.Location, upper bool) time.Time {
	_, best := t.In(zone).Zone()
	for _, near := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		_, off := t.Add(near).In(zone).Zone()
		if upper == (off > best) {
			best = off
		}
	}
	return t.Add(time.Duration(best) * time.Second).UTC()
}
