package driver

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/round"
)

const (
	// retry is how long Run waits after work that could not be done.
	retry = time.Second
	// soon is how long Run waits for what is due and does not happen yet, such
	// as a committee that may still call.
	soon = 50 * time.Millisecond
)

// Run does the work that studies are owed until ctx ends, which is not an error,
// or until the state is in doubt, which is one: the process must start again.
func (d *Driver) Run(ctx context.Context) error {
	if err := d.wakeUp(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.poked:
		case <-timer.C:
		}
		wait, err := d.work(ctx)
		if broken := d.brokenBy(); broken != nil {
			return broken
		}
		if err != nil {
			d.Logger.Error("work could not be done and is tried again", zap.Error(err))
			wait = retry
		}
		timer.Reset(wait)
	}
}

// wakeUp tells every open round that the coordinator was away.
func (d *Driver) wakeUp() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.order {
		if r := s.active(); r != nil {
			if err := d.feed(r, round.Away{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Driver) brokenBy() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// Nudge makes Run look again, after the clock was changed.
func (d *Driver) Nudge() { d.poke() }

// work does everything that is owed now and returns how long nothing will be.
func (d *Driver) work(ctx context.Context) (wait time.Duration, err error) {
	if err := d.renew(); err != nil {
		return 0, err
	}
	var failed error
	for {
		again := false
		for _, s := range d.running() {
			if ctx.Err() != nil {
				return 0, nil
			}
			did, err := d.step(s)
			again = again || did
			failed = errors.Join(failed, err)
		}
		if failed != nil || !again {
			break
		}
	}
	wait = min(time.Minute, d.CertificateTTL/6)
	if at, ok := d.Wake(); ok {
		wait = min(wait, max(soon, at.Sub(d.Now())))
	}
	return wait, failed
}

func (d *Driver) running() []*studyState {
	d.mu.Lock()
	defer d.mu.Unlock()
	var running []*studyState
	for _, s := range d.order {
		if s.state() == Running {
			running = append(running, s)
		}
	}
	return running
}

// step takes one study one step further and reports whether anything changed.
func (d *Driver) step(s *studyState) (did bool, err error) {
	d.mu.Lock()
	before := d.facts
	r := s.active()
	if r == nil {
		err = d.advance(s)
		did = d.facts != before
		d.mu.Unlock()
		return did, err
	}
	t := d.try()
	if err = t.follow(r); err == nil {
		err = t.commit()
	}
	did = d.facts != before
	jobs := r.Jobs()
	d.mu.Unlock()
	if err == nil && len(jobs) == 1 && jobs[0] == round.Sum {
		err = d.sum(r) // long: without the lock
		did = true
	}
	return did, err
}

// Wake returns when time alone will next change something, and false while
// there is work that does not wait for time or none at all.
func (d *Driver) Wake() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	var first time.Time
	for _, s := range d.order {
		if s.state() != Running {
			continue
		}
		r := s.active()
		if at, waiting := s.waits(now); waiting {
			if first.IsZero() || at.Before(first) {
				first = at
			}
			continue
		}
		if r == nil || len(r.Jobs()) > 0 {
			return time.Time{}, false
		}
		if at, ok := r.Wake(now); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, !first.IsZero()
}

// renew keeps the coordinator's own certificate fresh.
func (d *Driver) renew() error {
	if !d.Node.NeedsRenewal(d.Now()) {
		return nil
	}
	d.Logger.Info("own certificate renewed")
	return d.Node.RenewOwn(d.Now(), d.CertificateTTL)
}
