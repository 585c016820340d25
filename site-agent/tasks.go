package siteagent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstWait = 250 * time.Millisecond
	longWait  = 30 * time.Second
)

// backoff waits longer after each failure, with jitter, so that a hundred
// sites do not return to a restarted coordinator at the same moment.
type backoff struct{ failures int }

func (b *backoff) wait(ctx context.Context) error {
	d := min(firstWait<<min(b.failures, 10), longWait)
	b.failures++
	d = d/2 + rand.N(d/2)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// tasks runs pieces of work beside the poll, each key once at a time, and tries
// again what may succeed later.
type tasks struct {
	mu      sync.Mutex
	running map[string]bool
	group   sync.WaitGroup
}

// start runs work until it succeeds, fails for good, or the context ends.
// again says whether an error may be mended by waiting; failed is told the
// first error of that kind, and the one that ends the work.
func (t *tasks) start(ctx context.Context, key string, work func(context.Context) error, again func(error) bool, failed func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running[key] || ctx.Err() != nil {
		return
	}
	if t.running == nil {
		t.running = make(map[string]bool)
	}
	t.running[key] = true
	t.group.Go(func() {
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			delete(t.running, key)
		}()
		var b backoff
		for {
			err := work(ctx)
			if err == nil || ctx.Err() != nil {
				return
			}
			later := again(err)
			if !later || b.failures == 0 {
				failed(err)
			}
			if !later || b.wait(ctx) != nil {
				return
			}
		}
	})
}

// wait returns when nothing runs any more.
func (t *tasks) wait() { t.group.Wait() }
