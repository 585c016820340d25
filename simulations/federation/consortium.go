package federation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/study"
)

// consortium is everyone, enrolled and running.
type consortium struct {
	spec     Spec
	protocol *study.Study
	clock    clock

	governance *identity.Governance
	address    string    // of the coordinator
	blobs      *overflow // of a coordinator whose folder is thrown away; nil: in the folder

	mu          sync.Mutex
	server      *coordinator.Coordinator
	coordinator *running
	sites       map[string]*running

	researcher, auditor *person
}

// running is a coordinator or an agent in its goroutine.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // read after done
}

// start runs a member until it is stopped.
func start(run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = run(ctx)
	}()
	return r
}

func (r *running) stop() error {
	r.cancel()
	<-r.done
	return r.err
}

// person is a researcher or an auditor at a terminal.
type person struct {
	node *identity.Node
	conn *grpc.ClientConn
}

// newConsortium founds a consortium in spec.Dir and starts everyone.
func newConsortium(ctx context.Context, spec Spec, protocol *study.Study) (_ *consortium, err error) {
	c := &consortium{spec: spec, protocol: protocol, sites: make(map[string]*running)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.address = listener.Addr().String()
	governance := filepath.Join(spec.Dir, "governance")
	if err := identity.InitConsortium(identity.InitSpec{
		Consortium: "simulation", CoordinatorAddress: c.address,
		GovernanceDir: governance, CoordinatorDir: filepath.Join(c.coordinatorDir(), "identity"), Now: c.clock.Now(),
	}); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if c.governance, err = identity.OpenGovernance(governance); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if spec.disk != "" {
		if c.blobs, err = newOverflow(filepath.Join(c.coordinatorDir(), "blobs"), spec.disk); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	if err := c.startCoordinator(listener); err != nil {
		return nil, err
	}
	if err := c.enrolAll(ctx); err != nil {
		return nil, err
	}
	spec.Progress(fmt.Sprintf("enrolled %d sites, a researcher and an auditor", len(spec.Sites)))
	if spec.Nowhere > 0 {
		spec.Progress(fmt.Sprintf("left out %d records that name no site", spec.Nowhere))
	}
	return c, nil
}

func (c *consortium) enrolAll(ctx context.Context) error {
	people := map[string]identity.Role{researcherName: identity.RoleResearcher, auditorName: identity.RoleAuditor}
	var newcomers []*newcomer
	for name, role := range people {
		newcomers = append(newcomers, &newcomer{name: name, role: role, dir: c.personDir(name)})
	}
	for _, site := range c.spec.Sites {
		newcomers = append(newcomers, &newcomer{name: site.Name, role: identity.RoleSite, dir: filepath.Join(c.siteDir(site.Name), "identity")})
	}
	if err := enrol(ctx, c.governance, newcomers, c.clock.Now); err != nil {
		return err
	}
	var err error
	if c.researcher, err = c.login(researcherName); err != nil {
		return err
	}
	c.auditor, err = c.login(auditorName)
	return err
}

func (c *consortium) login(name string) (*person, error) {
	node, err := identity.OpenNode(c.personDir(name))
	if err != nil {
		return nil, err
	}
	conn, err := dial(c.address, node.ClientTLS(c.clock.Now))
	if err != nil {
		return nil, err
	}
	return &person{node: node, conn: conn}, nil
}

func (c *consortium) coordinatorDir() string { return filepath.Join(c.spec.Dir, "coordinator") }
func (c *consortium) personDir(name string) string {
	return filepath.Join(c.spec.Dir, "people", name)
}
func (c *consortium) siteDir(name string) string { return filepath.Join(c.spec.Dir, "sites", name) }

// startCoordinator runs the coordinator; a nil listener listens again where it
// listened before.
func (c *consortium) startCoordinator(listener net.Listener) (err error) {
	if listener == nil {
		if listener, err = net.Listen("tcp", c.address); err != nil {
			return err
		}
	}
	options := coordinator.Options{
		Dir: c.coordinatorDir(), Listener: listener, Logger: c.spec.Logger.Named("coordinator"), Now: c.clock.Now,
	}
	if c.blobs != nil {
		options.Blobs = c.blobs
	}
	if c.spec.onCoordinator != nil {
		c.spec.onCoordinator(&options)
	}
	server, err := coordinator.Open(options)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.coordinator = server, start(server.Serve)
	return nil
}

func (c *consortium) currentServer() *coordinator.Coordinator {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

func (c *consortium) stopCoordinator() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.coordinator == nil {
		return nil
	}
	err := c.coordinator.stop()
	c.coordinator = nil
	return err
}

// startSites runs every site's agent, in an order drawn from the seed.
func (c *consortium) startSites() error {
	order := rand.New(rand.NewPCG(c.spec.Seed, 0)).Perm(len(c.spec.Sites))
	for _, i := range order {
		if err := c.startSite(c.spec.Sites[i]); err != nil {
			return fmt.Errorf("site %s: %w", c.spec.Sites[i].Name, err)
		}
	}
	return nil
}

func (c *consortium) startSite(site Site) error {
	options := siteagent.Options{
		Dir: c.siteDir(site.Name), Source: site.Records, Now: c.clock.Now,
		Logger: c.spec.Logger.Named("site").With(zap.String("site", site.Name)),
		Policy: siteagent.Policy{
			Approve: siteagent.Any, Releases: siteagent.Automatic,
			MinimumContributors: c.protocol.MinimumContributors(),
		},
	}
	if c.spec.Unencrypted {
		options.Seal = unencrypted
	}
	if c.spec.dropped(site.Name, Collecting) {
		options.SkipContribution = func(string) bool { return true }
	}
	if c.spec.dropped(site.Name, Opening) {
		options.SkipOpening = func(string) bool { return true }
	}
	if c.spec.onSite != nil {
		c.spec.onSite(site.Name, &options)
	}
	agent, err := siteagent.Open(options)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sites[site.Name] = start(func(ctx context.Context) error {
		return errors.Join(agent.Run(ctx), agent.Close())
	})
	return nil
}

func (c *consortium) stopSite(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	site := c.sites[name]
	if site == nil {
		return nil
	}
	delete(c.sites, name)
	return site.stop()
}

// Close stops everyone, the sites first and all at once.
func (c *consortium) Close() error {
	var failed []error
	for _, p := range []*person{c.researcher, c.auditor} {
		if p != nil {
			failed = append(failed, p.conn.Close())
		}
	}
	c.mu.Lock()
	for _, site := range c.sites {
		site.cancel()
	}
	for name, site := range c.sites {
		if err := site.stop(); err != nil {
			failed = append(failed, fmt.Errorf("site %s: %w", name, err))
		}
	}
	clear(c.sites)
	c.mu.Unlock()
	failed = append(failed, c.stopCoordinator())
	if c.blobs != nil {
		failed = append(failed, c.blobs.Close())
	}
	return errors.Join(failed...)
}

// unencrypted is a Sealer without a cipher.
func unencrypted(r *secagg.Round, values []float64, emit func(chunk int, ciphertext []byte) error, seeds ...[secagg.SeedBytes]byte) (shares [][]byte, err error) {
	c, err := secagg.Unencrypted(r, values, seeds...)
	if err != nil {
		return nil, err
	}
	for i, chunk := range c.Chunks {
		if err := emit(i, chunk); err != nil {
			return nil, err
		}
	}
	return c.Shares, nil
}
