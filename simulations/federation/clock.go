package federation

import (
	"sync/atomic"
	"time"
)

// clock is the one clock of a whole federation: real time, plus what has been
// skipped. When only a deadline is left to wait for, skipping to it costs no
// waiting, and everything that was timed by the clock sees the same leap.
type clock struct{ skipped atomic.Int64 }

func (c *clock) Now() time.Time {
	return time.Now().Add(time.Duration(c.skipped.Load()))
}

// SkipTo moves the clock forward to a time; it never moves it back.
func (c *clock) SkipTo(t time.Time) {
	if ahead := t.Sub(c.Now()); ahead > 0 {
		c.skipped.Add(int64(ahead))
	}
}
