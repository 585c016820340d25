// Package driver carries studies from proposal to release. It holds the
// coordinator's state, which it rebuilds from the facts in the store, and does
// the work that the state says is owed: plans, sums, audits, releases.
//
// Every change goes the same way: blobs first, then the facts and the ledger's
// leaves in one transaction, and only then the state, from which alone follows
// what sites are asked. So what a site is asked is in the ledger before it is
// asked, and a coordinator that is killed anywhere resumes where its facts end.
// What members send is written to the disk without the lock, so that they wait
// for the disk side by side; whether it counts is decided after, with the lock.
//
// It refuses what is not signed by whom it names, what does not have the digest
// that its header gives, a second contribution, a second opening set, a question
// that was opened before, and anything from a member who is not on the current
// roster. It never sees a record, and nothing it logs comes from one.
package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Options are what a Driver works with. All are required but AfterAppend and
// CosignedFile.
type Options struct {
	Node           *identity.Node
	Store          store.Store
	Blobs          blobs.Store
	Logger         *zap.Logger
	Now            func() time.Time
	CertificateTTL time.Duration
	AfterAppend    func(store.Batch) // called with every batch once it is durable
	CosignedFile   string            // outlives the process with the hospitals' last cosignatures; empty for none
}

// Driver is the coordinator without its network. It is safe for concurrent use.
type Driver struct {
	Options

	started time.Time

	queue  sync.Mutex // of offers alone
	offers []*offer   // that nobody has taken yet

	hearing sync.Mutex // of heard alone: a call need not wait for the disk to be noticed
	heard   map[string]*presence

	mu      sync.Mutex
	facts   uint64
	log     *ledger.Log
	leaves  uint64        // in the store and in the log
	head    signedHead    // the last that was signed
	changed chan struct{} // closed and replaced at every change
	// assigned is closed and replaced at every change that may give a site
	// something to do or to learn.
	assigned chan struct{}
	poked    chan struct{} // asks Run to look again
	broken   error         // why Run must end

	rosters  int // how many are in the ledger
	tokens   map[statement.Digest]enrolled
	enrolled []enrolled
	studies  map[statement.Digest]*studyState
	order    []*studyState
	rounds   map[statement.Digest]*roundState
	opened   map[statement.Digest]*roundState // by question
	finished []*roundState                    // ended rounds, in the order of their ends

	cosigned  map[string]cosignature // by site
	witnessed chan struct{}          // closed and replaced at every cosignature
	keptAt    map[string]uint64      // size of each site's cosignature that was last written to the file
	toWitness uint64                 // the size from which on sites are asked to cosign
}

// Open rebuilds the state from the store.
func Open(ctx context.Context, o Options) (*Driver, error) {
	d := &Driver{
		Options: o, started: o.Now(),
		changed: make(chan struct{}), assigned: make(chan struct{}),
		poked:   make(chan struct{}, 1),
		tokens:  map[statement.Digest]enrolled{},
		studies: map[statement.Digest]*studyState{},
		rounds:  map[statement.Digest]*roundState{},
		opened:  map[statement.Digest]*roundState{},
		heard:   map[string]*presence{},

		cosigned:  map[string]cosignature{},
		keptAt:    map[string]uint64{},
		witnessed: make(chan struct{}),
	}
	for f, err := range o.Store.Facts(ctx) {
		if err != nil {
			return nil, err
		}
		decoded, err := decodeFact(f)
		if err != nil {
			return nil, err
		}
		if err := d.apply(f.Stream, decoded); err != nil {
			return nil, fmt.Errorf("fact %d of the store does not follow from those before it: %w", d.facts, err)
		}
		d.facts++
	}
	if err := d.openLog(ctx); err != nil {
		return nil, err
	}
	if err := d.ledgerRosters(); err != nil {
		return nil, err
	}
	d.readCosigned()
	return d, nil
}

// write is a fact on its way into a stream.
type write struct {
	stream string
	fact   fact
}

// commit makes facts and ledger entries durable together and then applies the
// facts. The caller holds the lock. On an error nothing has changed.
func (d *Driver) commit(writes []write, entries ...ledger.Entry) error {
	var batch store.Batch
	for _, w := range writes {
		f, err := encodeFact(w.stream, w.fact)
		if err != nil {
			return err
		}
		batch.Facts = append(batch.Facts, f)
	}
	for _, e := range entries {
		leaf, err := e.Leaf()
		if err != nil {
			return err
		}
		batch.Leaves = append(batch.Leaves, leaf)
	}
	if err := d.append(batch); err != nil {
		return err
	}
	if d.AfterAppend != nil {
		d.AfterAppend(batch)
	}
	for _, leaf := range batch.Leaves {
		if _, err := d.log.Append(leaf); err != nil {
			d.fail(fmt.Errorf("cannot extend the ledger: %w", err))
			return stopping()
		}
		d.leaves++
	}
	for _, w := range writes {
		if err := d.apply(w.stream, w.fact); err != nil {
			d.fail(fmt.Errorf("a fact that was just decided does not apply: %w", err))
			return stopping()
		}
	}
	if slices.ContainsFunc(entries, worthWitnessing) {
		d.toWitness = d.leaves
	}
	close(d.changed)
	d.changed = make(chan struct{})
	if slices.ContainsFunc(writes, func(w write) bool { return assigns(w.fact) }) || d.toWitness == d.leaves {
		d.assign()
	}
	d.poke()
	return nil
}

// assigns reports whether a fact may give a site something to do or to learn.
// What sites hand in for a round takes a duty from them and gives nobody one.
func assigns(f fact) bool {
	switch f.(type) {
	case round.Planned, round.Begun, round.Contributed, round.Declined, round.SetFixed, round.ShareGiven, round.FaultReported, round.SharesClosed:
		return false
	}
	return true
}

// assign has every site that waits for something to do look again.
func (d *Driver) assign() {
	close(d.assigned)
	d.assigned = make(chan struct{})
}

// append writes a batch. Where the outcome of a write is in doubt, the store is
// asked: it holds the whole batch or nothing of it. Where even that cannot be
// known, the driver stops: what is stored is read again at the next start.
func (d *Driver) append(batch store.Batch) error {
	if d.broken != nil {
		return stopping()
	}
	// Not the caller's context: one that hangs up must not leave doubt.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	facts, leaves := d.facts+uint64(len(batch.Facts)), d.leaves+uint64(len(batch.Leaves))
	if err := d.Store.Append(ctx, d.facts, d.leaves, batch); err != nil {
		d.Logger.Error("facts could not be stored", zap.Error(err))
		nf, nl, sizeErr := d.Store.Size(ctx)
		switch {
		case sizeErr == nil && nf == facts && nl == leaves: // stored after all
		case sizeErr == nil && nf == d.facts && nl == d.leaves:
			return notStored("database")
		default:
			d.fail(fmt.Errorf("it is not known what the database holds: %w", errors.Join(err, sizeErr)))
			return stopping()
		}
	}
	d.facts = facts
	return nil
}

// fail stops the driver: its state may not be what its facts say.
func (d *Driver) fail(err error) {
	d.broken = err
	d.poke()
}

func notStored(where string) error {
	return problem(Unavailable, "not-stored", "the coordinator could not store this",
		"its "+where+" does not accept writes, perhaps because its disk is full; nothing was changed",
		"tell the coordinator's operator, then try again")
}

func stopping() error {
	return problem(Unavailable, "stopping", "the coordinator did not answer",
		"it is being restarted after an error of its database", "try again in a while")
}

// put stores a blob that belongs to no round.
func (d *Driver) put(data []byte) (statement.Digest, error) {
	b := blobs.New(data)
	return b.Name(), d.putAll(d.Blobs, b)
}

// putAll stores blobs, for which it waits once.
func (d *Driver) putAll(where blobs.Store, all ...blobs.Blob) error {
	return d.unstored(where.Put(all...))
}

// bulk is where everything lies that a round is made of.
func (d *Driver) bulk(r *roundState) blobs.Store { return d.Blobs.In(r.ID()) }

// unstored is the problem of a blob that could not be stored.
func (d *Driver) unstored(err error) error {
	if err == nil {
		return nil
	}
	d.Logger.Error("a blob could not be stored", zap.Error(err))
	return notStored("folder of blobs")
}

// apply changes the state by one fact, while running and while rebuilding.
func (d *Driver) apply(stream string, f fact) error {
	if hex, ok := strings.CutPrefix(stream, "round/"); ok {
		return d.applyRound(hex, f.(round.Record))
	}
	if hex, ok := strings.CutPrefix(stream, "study/"); ok {
		return d.applyStudy(hex, f)
	}
	switch f := f.(type) {
	case rostered:
		d.rosters = int(f.Number)
	case enrolled:
		d.tokens[f.Token] = f
		d.enrolled = append(d.enrolled, f)
	default:
		return fmt.Errorf("a %s fact does not belong to stream %q", kindOf(f), stream)
	}
	return nil
}

func (d *Driver) poke() {
	select {
	case d.poked <- struct{}{}:
	default:
	}
}

// Changed returns a channel that is closed at the next change of state.
func (d *Driver) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// Roster returns the roster in force.
func (d *Driver) Roster() *identity.Roster { return d.Node.Rosters().Latest() }

// sign makes a statement of the coordinator's and stores its envelope.
func (d *Driver) sign(kind statement.Kind, v any) (envelope statement.Digest, err error) {
	return d.signIn(d.Blobs, kind, v)
}

// signIn is sign for what belongs to a round.
func (d *Driver) signIn(where blobs.Store, kind statement.Kind, v any) (envelope statement.Digest, err error) {
	data, err := d.signed(kind, v)
	if err != nil {
		return statement.Digest{}, err
	}
	named := blobs.New(data)
	return named.Name(), d.putAll(where, named)
}

func (d *Driver) signed(kind statement.Kind, v any) ([]byte, error) {
	return statement.Sign(kind, v, d.Node.Name(), d.Node.Keys().Signing())
}

// entry is a line of the ledger.
func (d *Driver) entry(kind string, study, round, subject statement.Digest, actor string) ledger.Entry {
	e := ledger.Entry{Time: d.Now().UTC().Truncate(time.Second), Type: kind, Subject: subject, Actor: actor}
	if !study.IsZero() {
		e.Study = study.String()
	}
	if !round.IsZero() {
		e.Round = round.String()
	}
	return e
}
