// Package siteagent is a hospital's side of a consortium. It polls the
// coordinator, shows the hospital which studies ask for its records and what
// each would send, contributes to the rounds of the studies that the hospital
// approved, helps to open sums as a member of a round's committee, tests
// offered models on the hospital's own patients, and predicts with the ones
// that the hospital accepted.
//
// The agent decides nothing by itself about what may leave: participant says
// what the protocol allows, the vault remembers what was done, the outbox
// records what leaves, and uplink is the only way out. What the agent adds is
// order: BEFORE a contribution leaves it is sealed and kept, BEFORE an opening
// share leaves it is remembered, and BEFORE anything leaves it is in the outbox.
//
// What to do follows from the coordinator's assignments and the vault alone, so
// an agent that was killed, or cut off for a day, goes on where it was. No
// record, and nothing computed from one, is ever in a log, an error or a file
// of the state directory, with exceptions that stay here: the counts of the
// dry run, and the comparison of an offered model with the hospital's own
// patients, which are made for the hospital's own people; and a code of the records'
// file, by which a restarted agent knows whether it still is the one that a
// study began with.
package siteagent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/outbox"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// Options say where the agent's state is, where the records come from, and
// what the hospital allows.
type Options struct {
	Dir    string // state directory, made by Enroll
	Source records.Source
	Policy Policy
	Logger *zap.Logger      // nil: no log
	Now    func() time.Time // nil: time.Now

	Address string // of the coordinator; empty: the roster's
	Proxy   string // URL of an HTTP proxy; empty: none

	// Progress is told how an upload goes; it may be nil.
	Progress func(Upload)

	// What follows is for the simulator, which measures a round without its
	// cipher and lets sites vanish. No configuration reaches it.
	Seal             Sealer
	SkipContribution func(step string) bool
	SkipOpening      func(step string) bool
}

// Upload says how far a contribution is on its way.
type Upload struct {
	Round, Step string
	Sent, Total int64 // bytes of ciphertext
}

// Agent is one hospital's agent. Its methods are safe for concurrent use.
type Agent struct {
	o       Options
	log     *zap.Logger
	node    *identity.Node
	vault   *vault.Vault
	outbox  *outbox.Outbox
	site    participant.Site
	witness *ledgerWitness

	sealer   identity.Sealer
	unsealer *identity.Unsealer

	linkMu  sync.Mutex
	link    *uplink.Link
	address string // the link's

	cohorts  cohorts
	reviewed reviewed
	began    *began
	tasks    tasks
	revision string
	asked    map[string]bool // the plans and opening requests of the last news
	status   Status          // as it was written last
}

// Open opens the state directory for this process alone.
func Open(o Options) (*Agent, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Seal == nil {
		o.Seal = Seal
	}
	if err := o.Policy.check(); err != nil {
		return nil, err
	}
	if err := makeStateDirs(o.Dir); err != nil {
		return nil, err
	}
	node, err := identity.OpenNode(filepath.Join(o.Dir, identityDir))
	if err != nil {
		return nil, err
	}
	if node.Role() != identity.RoleSite {
		return nil, fmt.Errorf("%s is enrolled as %s: a site agent needs the identity of a site", node.Name(), node.Role())
	}
	v, err := vault.Open(filepath.Join(o.Dir, vaultDir), o.Now)
	if errors.Is(err, vault.ErrLocked) {
		return nil, fmt.Errorf("%w: %s; stop the other site-agent first", err, o.Dir)
	}
	if err != nil {
		return nil, err
	}
	a := &Agent{o: o, log: o.Logger, node: node, vault: v, unsealer: identity.NewUnsealer(node.Keys())}
	a.site = participant.Site{Name: node.Name(), Rosters: node.Rosters(), Memory: v, Floor: o.Policy.MinimumContributors}
	if a.outbox, err = outbox.Open(filepath.Join(o.Dir, outboxFile), o.Now); err == nil {
		a.witness, err = openWitness(filepath.Join(o.Dir, witnessFile), node, v.Checkpoint())
		a.site.Ledger = a.witness
	}
	if err == nil {
		a.began, err = openBegan(o.Dir, node.Keys().Signing())
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Close gives the state directory back. Run must have returned.
func (a *Agent) Close() error {
	var err error
	a.linkMu.Lock()
	defer a.linkMu.Unlock()
	if a.link != nil {
		err = a.link.Close()
		a.link = nil
	}
	if a.outbox != nil {
		err = errors.Join(err, a.outbox.Close())
		a.outbox = nil
	}
	return errors.Join(err, a.vault.Close())
}

// Name is the hospital's name in the consortium.
func (a *Agent) Name() string { return a.node.Name() }

// Outbox lists everything that left.
func (a *Agent) Outbox() ([]outbox.Entry, error) { return Outbox(a.o.Dir) }

// Violations lists every security violation that the agent has seen.
func (a *Agent) Violations() []vault.Violation { return a.vault.Violations() }

// Files and folders of a state directory.
const (
	identityDir  = "identity"
	vaultDir     = "vault"
	studiesDir   = "studies"
	releasesDir  = "releases"
	installedDir = "installed"
	decisionsDir = "decisions"
	outboxFile   = "outbox.jsonl"
	witnessFile  = "ledger.json"
	statusFile   = "status.json"
)

// makeStateDirs makes the folders that the agent and people's commands share.
func makeStateDirs(dir string) error {
	for _, folder := range []string{studiesDir, releasesDir, installedDir, decisionsDir} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Outbox lists everything that left, from the state directory alone.
func Outbox(dir string) ([]outbox.Entry, error) { return outbox.Read(filepath.Join(dir, outboxFile)) }

// sign makes a statement of this site's.
func (a *Agent) sign(kind statement.Kind, v any) ([]byte, error) {
	return statement.Sign(kind, v, a.node.Name(), a.node.Keys().Signing())
}
