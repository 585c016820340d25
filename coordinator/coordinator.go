// Package coordinator is the server of a consortium: it carries studies from
// proposal to release without ever seeing a record. Hospitals and researchers
// connect to it; it connects to nobody.
//
// It is trusted to be there, not to be honest. What it can do to a hospital that
// checks is delay it. Sums are encrypted to a committee of hospitals, plans and
// requests are proven to be in the ledger before a hospital acts on them, and
// who is a member is decided by a key that is not kept here.
//
// The state is one folder: identity (keys, certificate, rosters), facts.db (what
// happened, and the ledger), blobs (bulk, by digest). One process holds it at a
// time. A process that is killed loses nothing that it has answered for.
package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/coordinator/internal/rpc"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// patience is how long calls under way may take to end when the server stops.
const patience = 3 * time.Second

// recentBlobs is how many bytes of blobs are kept in memory.
const recentBlobs = 64 << 20

// Options configure a coordinator. Dir, Listener are required.
type Options struct {
	Dir            string           // the state; Dir/identity is made by consilium init
	Listener       net.Listener     // where to serve; Open takes it over once it succeeds
	WebListener    net.Listener     // where to serve the auditor's pages, taken over too; nil: nowhere
	Logger         *zap.Logger      // nil: nothing is logged
	Now            func() time.Time // nil: time.Now
	CertificateTTL time.Duration    // of members' certificates; 0: 24 hours

	// Store and Blobs replace the SQLite file and the folder in Dir; they stay
	// the caller's to close.
	Store store.Store
	Blobs blobs.Store
	// AfterAppend, if set, is called with every batch of facts once it is
	// durable and before it has any effect: where a test pulls the plug.
	AfterAppend func(store.Batch)
}

// Status of a study, as in-process callers see it.
type (
	StudyStatus  = driver.StudyStatus
	RoundStatus  = driver.RoundStatus
	SiteDecision = driver.SiteDecision
	Outcome      = driver.Outcome
)

// Coordinator is an opened coordinator.
type Coordinator struct {
	options Options
	driver  *driver.Driver
	close   []func() error // in reverse order
}

// Open opens the state and rebuilds everything from it. Close, or Serve when it
// returns, gives the state back.
func Open(o Options) (c *Coordinator, err error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CertificateTTL == 0 {
		o.CertificateTTL = identity.DefaultCertificateTTL
	}
	c = &Coordinator{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.release())
			c = nil
		}
	}()
	node, err := openIdentity(filepath.Join(o.Dir, "identity"), o.Now())
	if err != nil {
		return c, err
	}
	lock, err := durable.Acquire(filepath.Join(o.Dir, "lock"))
	if errors.Is(err, durable.ErrLocked) {
		return c, fmt.Errorf("%w: another coordinator runs with %s", ErrInUse, o.Dir)
	}
	if err != nil {
		return c, fmt.Errorf("cannot lock the state: %w", err)
	}
	c.close = append(c.close, lock.Close)
	if o.Store == nil {
		db, err := sqlite.Open(context.Background(), filepath.Join(o.Dir, "facts.db"))
		if err != nil {
			return c, err
		}
		c.close = append(c.close, db.Close)
		o.Store = db
	}
	if o.Blobs == nil {
		files, err := blobs.OpenFiles(filepath.Join(o.Dir, "blobs"))
		if err != nil {
			return c, err
		}
		c.close = append(c.close, files.Close)
		o.Blobs = files
	}
	c.driver, err = driver.Open(context.Background(), driver.Options{
		Node: node, Store: o.Store, Blobs: blobs.Recent(o.Blobs, recentBlobs), Logger: o.Logger, Now: o.Now,
		CertificateTTL: o.CertificateTTL, AfterAppend: o.AfterAppend,
		CosignedFile: filepath.Join(o.Dir, "cosigned.json"),
	})
	for _, l := range []net.Listener{o.Listener, o.WebListener} {
		if err == nil && l != nil {
			c.close = append(c.close, func() error {
				if err := l.Close(); !errors.Is(err, net.ErrClosed) {
					return err
				}
				return nil
			})
		}
	}
	return c, err
}

// Errors that an operator can mend.
var (
	ErrNoIdentity = errors.New("no coordinator identity")
	ErrClock      = errors.New("the clock is wrong")
	ErrInUse      = errors.New("the state is in use")
)

func openIdentity(dir string, now time.Time) (*identity.Node, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no folder %s", ErrNoIdentity, dir)
	}
	node, err := identity.OpenNode(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	if node.Role() != identity.RoleCoordinator {
		return nil, fmt.Errorf("%w: %s holds the identity of a %s", ErrNoIdentity, dir, node.Role())
	}
	if issued := node.Rosters().Latest().Issued; now.Before(issued.Add(-5 * time.Minute)) {
		return nil, fmt.Errorf("%w: it says %s, and the newest roster was signed at %s", ErrClock,
			now.UTC().Format(time.RFC3339), issued.UTC().Format(time.RFC3339))
	}
	return node, nil
}

// Serve answers calls and carries studies until ctx ends, which is not an
// error. It closes the coordinator.
func (c *Coordinator) Serve(ctx context.Context) error {
	defer c.release()
	if c.options.Listener == nil {
		return errors.New("a coordinator needs a listener to serve")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := rpc.NewServer(ctx, c.driver, c.options.Logger, c.options.Now)
	served, worked := make(chan error, 1), make(chan error, 1)
	pagesFailed, stopPages := c.servePages(ctx)
	go func() { served <- server.Serve(c.options.Listener) }()
	go func() { worked <- c.driver.Run(ctx) }()
	c.options.Logger.Info("coordinator serves", zap.String("address", c.options.Listener.Addr().String()),
		zap.String("consortium", c.driver.Roster().Consortium), zap.Uint64("roster", c.driver.Roster().Number))

	var err error
	select {
	case err = <-served: // the listener failed
		served <- nil
	case err = <-pagesFailed:
	case err = <-worked: // the state is in doubt
		worked <- nil
	case <-ctx.Done():
	}
	cancel()
	forced := time.AfterFunc(patience, server.Stop)
	server.GracefulStop()
	forced.Stop()
	stopPages()
	<-served
	err = errors.Join(err, <-worked)
	c.options.Logger.Info("coordinator stopped")
	return err
}

// Close gives the state back without serving.
func (c *Coordinator) Close() error { return c.release() }

func (c *Coordinator) release() error {
	var failed error
	for i := len(c.close) - 1; i >= 0; i-- {
		failed = errors.Join(failed, c.close[i]())
	}
	c.close = nil
	return failed
}

// Wake returns when time alone will next change something, and false while the
// coordinator has work to do or nothing to wait for. Whoever owns the clock may
// skip to it and Nudge.
func (c *Coordinator) Wake() (time.Time, bool) { return c.driver.Wake() }

// Nudge makes the coordinator look at the clock again.
func (c *Coordinator) Nudge() { c.driver.Nudge() }

// Calling reports whether a site has a call under way, as one that waits for
// work has.
func (c *Coordinator) Calling(site string) bool { return c.driver.Calling(site) }

// Status returns the status of a study by its digest in hex.
func (c *Coordinator) Status(study string) (*StudyStatus, error) { return c.driver.Status(study) }

// Outcome returns a study's status, result, signed audit and signed release.
func (c *Coordinator) Outcome(study string) (*Outcome, error) { return c.driver.Outcome(study) }

// Ciphertext reads a chunk of a contribution that is in the ledger. It does not
// hold it against the digest in the contribution's header: the caller does. It is
// read into memory that the caller has, where that is enough.
func (c *Coordinator) Ciphertext(into []byte, round statement.Digest, site string, chunk int) ([]byte, error) {
	return c.driver.Ciphertext(into, round, site, chunk)
}

// Checkpoint returns the signed head of the ledger.
func (c *Coordinator) Checkpoint() ([]byte, error) {
	checkpoint, _, _, err := c.driver.Checkpoint(0)
	return checkpoint, err
}
