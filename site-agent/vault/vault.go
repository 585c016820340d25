// Package vault is a hospital's durable memory of what may happen only once.
//
// It remembers which plans were accepted, the digest of each contribution's
// header, the exact bytes of each answer to an opening request, how rounds
// ended, and what people decided about studies and releases. Every fact is on
// the disk BEFORE the message that depends on it leaves, so that a site killed
// at any point gives the same answer again and never a second, different one.
//
// The memory is a journal: one line per fact, with a checksum and a sequence
// number, appended and synced. A last line cut short by a
// crash was never acted on and is removed. Any other damage is refused loudly:
// forgetting an answer would let a second set be opened. What is forgotten is the
// bytes of an answer whose round is over, never that there was one: from memory
// when the site is told of the end, from the journal at a later start, when they are
// most of it.
//
// Beside the journal lies a spool with the sealed contributions under way: a
// contribution is written there whole before its first byte leaves, so that an
// interrupted upload goes on with the same bytes. A long one has a file of its own,
// which is written while it is sealed and read chunk by chunk while it is sent, and
// is never in memory as a whole. A short one is written at once, into a file that
// the next one writes over, and sent from memory. The round's secret key is never
// written anywhere. A state directory is for one process at a time, which a lock
// enforces.
package vault

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/study"
)

var (
	// ErrLocked says that another process uses the state directory.
	ErrLocked = durable.ErrLocked
	// ErrDamaged says that the journal is damaged other than by a crash.
	ErrDamaged = errors.New("the vault is damaged")
	// ErrOnce says that a fact that may be had once would be had twice.
	ErrOnce = errors.New("refused: the vault remembers otherwise")
)

// worthShortening is how much of a journal is kept that nobody asks for any more.
const worthShortening = 1 << 20

// Vault is safe for concurrent use.
type Vault struct {
	dir  string
	now  func() time.Time
	lock *durable.Lock

	mu         sync.Mutex
	journal    *journal
	rounds     map[statement.Digest]*Round
	asked      map[statement.Digest][]statement.Digest // rounds of a question, the oldest first
	questions  map[step]int                            // how many different ones of a step
	epochs     map[statement.Digest]string             // of each study's first plan
	studies    map[statement.Digest]*approved
	releases   map[statement.Digest]Decision
	violations []Violation
	sealing    map[statement.Digest]bool  // rounds whose contribution is being written
	slots      map[statement.Digest]*slot // of short contributions that are not over
	spare      []*slot
	over       int64  // bytes of the journal that nobody asks for any more
	checkpoint []byte // of the ledger, of the last fact that names one
}

// Round is what the site remembers of a round.
type Round struct {
	Plan      *Plan               // nil for a round only known to be forgotten
	Header    *statement.Digest   // of the site's header payload, once sealed
	Receipt   []byte              // envelope, once the contribution counts
	Declined  bool                // the site said that it will not contribute
	Answer    *Answer             // to the opening request; without its bytes once the round is over
	Fault     *Fault              // reported instead of an answer
	End       *statement.RoundEnd // once told
	Forgotten bool                // the ledger knows more than the vault
}

// Plan is a plan that the site accepted.
type Plan struct {
	Round    statement.Digest `json:"round"`
	Question statement.Digest `json:"question"`
	Study    statement.Digest `json:"study"`
	Step     string           `json:"step"`
	Epoch    string           `json:"epoch"`
	// Who holds the key shares, and how many open: whether a later round of the
	// question could be opened beside this one follows from it.
	Committee []string `json:"committee,omitempty"`
	Threshold int      `json:"threshold,omitempty"`
	// Checkpoint is the signed one of the ledger under which the plan was accepted.
	Checkpoint []byte `json:"checkpoint,omitempty"`
}

// Answer is the one answer to a round's one opening request.
type Answer struct {
	Round     statement.Digest `json:"round"`
	Request   statement.Digest `json:"request"` // of the request's payload
	Statement []byte           `json:"statement"`
	Share     []byte           `json:"share"`
	// Checkpoint is the signed one of the ledger under which the request was accepted.
	Checkpoint []byte `json:"checkpoint,omitempty"`
}

// Fault is the report of senders whose sealed share did not open.
type Fault struct {
	Round     statement.Digest `json:"round"`
	Request   statement.Digest `json:"request"`
	Senders   []string         `json:"senders"`
	Statement []byte           `json:"statement"`
	// Checkpoint is the signed one of the ledger under which the request was accepted.
	Checkpoint []byte `json:"checkpoint,omitempty"`
}

// Decision is a person's or a policy's yes or no to a study or a release.
type Decision struct {
	Subject statement.Digest `json:"subject"`
	Yes     bool             `json:"yes"`
	Reason  string           `json:"reason,omitempty"`
	Time    time.Time        `json:"time"`
	// Statement is the signed envelope that tells the coordinator.
	Statement []byte `json:"statement"`
	// Protocol is the study's file, kept with its approval.
	Protocol []byte `json:"protocol,omitempty"`
}

// Violation is something that an honest coordinator does not do.
type Violation struct {
	Time     time.Time `json:"time"`
	Code     string    `json:"code"`
	Sentence string    `json:"sentence"` // public facts only
}

type approved struct {
	Decision
	study *study.Study
}

// Open locks the state directory and reads its journal.
func Open(dir string, now func() time.Time) (*Vault, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(filepath.Join(dir, spoolDir), 0o700); err != nil {
		return nil, err
	}
	lock, err := durable.Acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	v := &Vault{
		dir: dir, now: now, lock: lock,
		rounds:    make(map[statement.Digest]*Round),
		asked:     make(map[statement.Digest][]statement.Digest),
		questions: make(map[step]int),
		epochs:    make(map[statement.Digest]string),
		studies:   make(map[statement.Digest]*approved),
		releases:  make(map[statement.Digest]Decision),
		sealing:   make(map[statement.Digest]bool),
		slots:     make(map[statement.Digest]*slot),
	}
	if v.journal, err = openJournal(filepath.Join(dir, "journal"), v.apply); err != nil {
		lock.Close()
		return nil, err
	}
	if v.over >= worthShortening && v.over >= v.journal.size/2 {
		if err := v.journal.shorten(v.withoutBytes); err != nil {
			v.Close()
			return nil, err
		}
	}
	if err := v.cleanSpool(); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// withoutBytes takes the bytes of an answer out of a fact whose round is over.
func (v *Vault) withoutBytes(f *fact) (changed bool) {
	if f.Answer == nil || f.Answer.Share == nil || v.rounds[f.Answer.Round].End == nil {
		return false
	}
	answer := *f.Answer
	answer.Statement, answer.Share = nil, nil
	f.Answer = &answer
	return true
}

// Failed says why nothing more can be remembered, nil if all is well. What
// cannot be remembered is not done; the process must be restarted.
func (v *Vault) Failed() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.journal.failed
}

// Close gives the state directory back.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(v.journal.close(), v.closeSlots(), v.lock.Close())
}

// record writes a fact and then applies it to the state in memory.
func (v *Vault) record(f fact) error {
	f.Time = v.now().UTC().Truncate(time.Millisecond)
	if err := v.journal.append(&f); err != nil {
		return err
	}
	return v.apply(f)
}

// apply brings the state up to a fact. It is how the journal is replayed.
func (v *Vault) apply(f fact) error {
	switch {
	case f.Plan != nil:
		v.under(&f.Plan.Checkpoint)
		v.round(f.Plan.Round).Plan = f.Plan
		v.index(f.Plan)
	case f.Sealed != nil:
		v.round(f.Sealed.Round).Header = &f.Sealed.Header
	case f.Receipt != nil:
		v.round(f.Receipt.Round).Receipt = f.Receipt.Envelope
	case f.Declined != nil:
		v.round(*f.Declined).Declined = true
	case f.Answer != nil:
		v.under(&f.Answer.Checkpoint)
		r := v.round(f.Answer.Round)
		r.Answer = f.Answer
		v.over += r.forgetBytes()
	case f.Fault != nil:
		v.under(&f.Fault.Checkpoint)
		v.round(f.Fault.Round).Fault = f.Fault
	case f.End != nil:
		r := v.round(f.End.Round)
		r.End = f.End
		v.over += r.forgetBytes()
	case f.Forgotten != nil:
		v.round(*f.Forgotten).Forgotten = true
	case f.Study != nil:
		s := &approved{Decision: *f.Study}
		if f.Study.Yes {
			// A protocol that this version cannot read any more counts as not
			// approved; the rest of the memory is still good.
			s.study, _ = study.Parse(f.Study.Protocol)
		}
		v.studies[f.Study.Subject] = s
	case f.Release != nil:
		v.releases[f.Release.Subject] = *f.Release
	case f.Violation != nil:
		v.violations = append(v.violations, *f.Violation)
	default:
		return fmt.Errorf("%w: a fact of a kind this version does not know: use the version that wrote it or a later one", ErrDamaged)
	}
	return nil
}

// forgetBytes leaves of an answer only that there is one, once the round is over: a
// round that ended is not opened, so nobody is given the answer again. Whoever
// holds the answer keeps it whole. It returns about how much of the journal that is.
func (r *Round) forgetBytes() (bytes int64) {
	if r.Answer == nil || r.End == nil {
		return 0
	}
	bytes = int64(base64.StdEncoding.EncodedLen(len(r.Answer.Statement)) + base64.StdEncoding.EncodedLen(len(r.Answer.Share)))
	r.Answer = &Answer{Round: r.Answer.Round, Request: r.Answer.Request}
	return bytes
}

func (v *Vault) round(id statement.Digest) *Round {
	r := v.rounds[id]
	if r == nil {
		r = new(Round)
		v.rounds[id] = r
	}
	return r
}

// step is a step of a study.
type step struct {
	study statement.Digest
	name  string
}

// index notes what an accepted plan asks.
func (v *Vault) index(p *Plan) {
	if len(v.asked[p.Question]) == 0 {
		v.questions[step{p.Study, p.Step}]++ // a question names its study and step
	}
	v.asked[p.Question] = append(v.asked[p.Question], p.Round)
	if _, known := v.epochs[p.Study]; !known {
		v.epochs[p.Study] = p.Epoch
	}
}

// Round returns what is remembered of a round.
func (v *Vault) Round(id statement.Digest) (Round, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[id]; r != nil {
		return *r, true
	}
	return Round{}, false
}

// under remembers the checkpoint of a fact: one of all facts, the last.
func (v *Vault) under(checkpoint *[]byte) {
	if *checkpoint != nil {
		v.checkpoint, *checkpoint = *checkpoint, nil
	}
}

// Checkpoint is the signed one of the ledger under which this site last accepted
// a plan or a request, nil if none is remembered.
func (v *Vault) Checkpoint() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.checkpoint
}

// Violations lists every security violation seen, the oldest first.
func (v *Vault) Violations() []Violation {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.violations)
}

// StudyDecision returns what was decided about a study.
func (v *Vault) StudyDecision(id statement.Digest) (Decision, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.studies[id]; s != nil {
		return s.Decision, true
	}
	return Decision{}, false
}

// ReleaseDecision returns what was decided about a release.
func (v *Vault) ReleaseDecision(id statement.Digest) (Decision, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, ok := v.releases[id]
	return d, ok
}
