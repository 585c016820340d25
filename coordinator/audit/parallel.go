package audit

import (
	"cmp"
	"runtime"
	"sync"
	"sync/atomic"
)

// inParallel does what is to be done for each of n things, on all cores, and
// returns the error of the first of them that has one, as a loop would. What
// comes after it may not have been done.
func inParallel(n int, do func(i int) error) error {
	failed := make([]error, n)
	var next atomic.Int64
	var stop atomic.Bool
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for !stop.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if failed[i] = do(i); failed[i] != nil {
					stop.Store(true) // all before it have begun, and end
				}
			}
		})
	}
	group.Wait()
	return cmp.Or(failed...)
}
