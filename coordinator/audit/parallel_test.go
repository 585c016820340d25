package audit

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
)

// Whichever core is first, the error is that of the first thing that has one.
func TestInParallelIsALoop(t *testing.T) {
	var done atomic.Int64
	if err := inParallel(1000, func(int) error { done.Add(1); return nil }); err != nil || done.Load() != 1000 {
		t.Errorf("%d of 1000 were done: %v", done.Load(), err)
	}
	for range 50 {
		err := inParallel(200, func(i int) error {
			if i%70 == 63 {
				return fmt.Errorf("thing %d", i)
			}
			return nil
		})
		if err == nil || err.Error() != "thing 63" {
			t.Fatalf("the error is %v", err)
		}
	}
	if err := inParallel(0, func(int) error { return errors.New("of nothing") }); err != nil {
		t.Error(err)
	}
}

// alone keeps a test out of the run under the race detector that verifies bundle
// after bundle: some others do so too, and nothing more meets in it.
func alone(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out most of the tampering")
	}
}
