package driver

import (
	"fmt"
	"runtime"
	"slices"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// A trial decides several inputs one after another and makes what follows from
// all of them durable at once: most of what a message of a site costs is the wait
// for the disk, and where twenty sites call together one wait serves them all.
//
// Each input is decided on the rounds as they will be after those before it. The
// rounds themselves change once everything is durable, or not at all. Whoever has
// a trial holds the lock.
type trial struct {
	driver  *Driver
	rounds  map[*roundState]*roundState // those that will change, as they will be
	order   []*roundState
	writes  []write
	entries []ledger.Entry
}

func (d *Driver) try() *trial {
	return &trial{driver: d, rounds: map[*roundState]*roundState{}}
}

// now is a round as it will be.
func (t *trial) now(r *roundState) *roundState {
	if changed, ok := t.rounds[r]; ok {
		return changed
	}
	return r
}

// leaves is how long the ledger will be.
func (t *trial) leaves() uint64 { return t.driver.leaves + uint64(len(t.entries)) }

// feed puts an input to a round's machine, together with the ledger entries that
// record the input. Without new records nothing is entered: the input was a
// repeat. After an error nothing of the input is left.
func (t *trial) feed(r *roundState, in round.Input, entries ...ledger.Entry) error {
	d, then := t.driver, t.now(r)
	records, err := then.Decide(d.Now(), in)
	if err != nil {
		return refused(err)
	}
	if len(records) == 0 {
		return nil
	}
	var writes []write
	entries = slices.Clip(entries)
	for _, record := range records {
		writes = append(writes, write{roundStream(r.ID()), record})
		end, ok := record.(round.Ended)
		if _, announced := then.Announced(); !ok || !announced {
			continue // nobody knows of a round that was never announced
		}
		envelope, err := d.signIn(d.bulk(r), statement.KindRoundEnd, account(then, end))
		if err != nil {
			return err
		}
		writes = append(writes, write{studyStream(r.Plan().Study), roundEnded{Round: r.ID(), Envelope: envelope}})
		entries = append(entries, d.entry(ledger.TypeRoundEnd, r.Plan().Study, r.ID(), envelope, d.Node.Name()))
	}
	if then == r {
		then = &roundState{}
		*then = *r
		then.Machine = r.Clone()
		t.rounds[r], t.order = then, append(t.order, r)
	}
	for _, record := range records {
		if err := then.Apply(record); err != nil {
			return fmt.Errorf("a record that was just decided does not apply: %w", err)
		}
	}
	t.writes = append(t.writes, writes...)
	t.entries = append(t.entries, entries...)
	return nil
}

// follow adds what follows from the time and the state that a round will be in:
// a set that is complete is fixed and its opening asked for in the transaction of
// the contribution that completes it.
func (t *trial) follow(r *roundState) error {
	d := t.driver
	now := d.Now()
	present := func(site string) bool { return d.present(site, now, r.PresenceWindow()) }
	settling := now.Sub(d.started) < r.PresenceWindow()
	if err := t.feed(r, round.Tick{Present: present, Settling: settling}); err != nil {
		return err
	}
	for _, job := range t.now(r).Jobs() {
		var err error
		switch job {
		case round.Announce:
			err = t.announce(r)
		case round.Request:
			err = t.request(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commit makes all of it durable and changes the rounds.
func (t *trial) commit() error {
	if len(t.writes) == 0 {
		return nil
	}
	before := make([]round.State, len(t.order))
	for i, r := range t.order {
		before[i] = r.State()
	}
	if err := t.driver.commit(t.writes, t.entries...); err != nil {
		return err
	}
	for i, r := range t.order {
		if after := r.State(); after != before[i] {
			t.driver.Logger.Info("round moved on", zap.Stringer("round", r.ID()), zap.String("step", r.Plan().Step),
				zap.String("state", string(after)), zap.String("reason", r.End().Reason))
		}
	}
	return nil
}

// feed puts one input to a round's machine and commits what follows.
func (d *Driver) feed(r *roundState, in round.Input, entries ...ledger.Entry) error {
	t := d.try()
	if err := t.feed(r, in, entries...); err != nil {
		return err
	}
	return t.commit()
}

// offer is an input that waits to be decided.
type offer struct {
	round *roundState
	in    round.Input
	entry []ledger.Entry
	then  func() // what else changes once it counts, with the lock
	done  bool   // decided, with err; guarded by the driver's lock
	err   error
}

// enter puts a member's input to a round's machine. Whoever gets the lock first
// takes the inputs of all who wait along, in the order in which they came. Where
// the processors are busy with the calls of others, those go first and wait along:
// a transaction costs about the same for one as for all.
func (d *Driver) enter(o *offer) error {
	d.queue.Lock()
	d.offers = append(d.offers, o)
	d.queue.Unlock()
	runtime.Gosched()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !o.done {
		d.queue.Lock()
		all := d.offers
		d.offers = nil
		d.queue.Unlock()
		d.takeAll(all)
	}
	return o.err
}

func (d *Driver) takeAll(offers []*offer) {
	t := d.try()
	for _, o := range offers {
		o.done, o.err = true, t.feed(o.round, o.in, o.entry...)
	}
	for _, r := range t.order {
		if err := t.follow(r); err != nil {
			d.Logger.Error("what follows from an input is left to the next look", zap.Error(err))
		}
	}
	failed := t.commit()
	for _, o := range offers {
		switch {
		case o.err != nil:
		case failed != nil:
			o.err = failed
		case o.then != nil:
			o.then()
		}
	}
}
