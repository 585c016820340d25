package federation

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"go.uber.org/zap/zapcore"
)

// ErrNoSpace says that what the members keep while a study runs did not fit.
var ErrNoSpace = errors.New("there is no room for what coordinator and hospitals keep while a study runs")

// noSpace listens to everyone's log for a disk that is full. In a hospital an agent
// waits until somebody has made room, and goes on; in a simulation nobody sees what
// everyone waits for, so it ends.
type noSpace struct {
	end context.CancelCauseFunc
}

var _ zapcore.Core = noSpace{}

// Enabled implements zapcore.LevelEnabler: nobody who goes on normally warns.
func (n noSpace) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (n noSpace) With(fields []zapcore.Field) zapcore.Core {
	_ = n.Write(zapcore.Entry{}, fields)
	return n
}

// Check implements zapcore.Core.
func (n noSpace) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if n.Enabled(e.Level) {
		return to.AddCore(e, n)
	}
	return to
}

// Write implements zapcore.Core.
func (n noSpace) Write(_ zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		err, is := f.Interface.(error)
		if !is {
			continue
		}
		for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
			if errors.Is(err, full) {
				n.end(fmt.Errorf("%w: %w", ErrNoSpace, err))
			}
		}
	}
	return nil
}

// Sync implements zapcore.Core.
func (n noSpace) Sync() error { return nil }
