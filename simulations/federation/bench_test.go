package federation

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// The benchmarks of a whole round: from the plan's announcement to the opened
// sum, over loopback TCP with mutual TLS, everything durable that is durable in
// production. Values are of 16 bits and every site is on the committee.
//
// No study asks for a million narrow numbers, so the coordinator is handed a
// plan where it keeps its facts: its store has the plan as if it had been made
// before a restart. From there on it is the coordinator of production. The sites
// (bench_site_test.go) do an agent's work on made-up values.
//
//	go test -run '^$' -bench Round -benchtime 5x -cpu 2 ./simulations/federation

// BenchmarkRound compares rounds with the cipher and without: cipher=off sends
// vectors of the same form, under a key of zero and without noise.
func BenchmarkRound(b *testing.B) {
	const sites = 8
	for _, values := range []int{1_000, 1_000_000} {
		for _, cipher := range []string{"on", "off"} {
			b.Run(fmt.Sprintf("cipher=%s/values=%d/sites=%d", cipher, values, sites), func(b *testing.B) {
				seal := siteagent.Seal
				if cipher == "off" {
					seal = unencrypted
				}
				benchRounds(b, newBench(b, sites, values), seal)
			})
		}
	}
}

func benchRounds(b *testing.B, c *bench, seal siteagent.Sealer) {
	var took []phases
	var costs []cost
	for b.Loop() {
		b.StopTimer()
		r := c.prepare(b, seal)
		b.StartTimer()
		before := processorTime()
		p := r.run(b)
		costs = append(costs, cost{p.whole(), processorTime() - before})
		b.StopTimer()
		r.check(b)
		took = append(took, p)
		b.StartTimer()
	}
	slices.SortFunc(took, func(x, y phases) int { return int(x.whole() - y.whole()) })
	fastest := took[0]
	c.report(b, costs, fastest.bytes)
	for name, d := range map[string]time.Duration{
		"collecting-ms": fastest.counted.Sub(fastest.announced),
		"opening-ms":    fastest.closed.Sub(fastest.counted),
		"summing-ms":    fastest.ended.Sub(fastest.closed),
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, name)
	}
}

// report gives the fastest round and the median one: what else uses the disk and
// the cores only ever makes a round slower.
func (c *bench) report(b *testing.B, rounds []cost, bytes int64) {
	b.Helper()
	sorted := func(of func(cost) time.Duration) []time.Duration {
		all := make([]time.Duration, len(rounds))
		for i, r := range rounds {
			all[i] = of(r)
		}
		slices.Sort(all)
		return all
	}
	wall := sorted(func(c cost) time.Duration { return c.wall })
	fastest := wall[0].Seconds()
	b.ReportMetric(fastest, "s/round")
	b.ReportMetric(wall[len(wall)/2].Seconds(), "median-s/round")
	b.ReportMetric(sorted(func(c cost) time.Duration { return c.processor })[0].Seconds(), "core-s/round")
	b.ReportMetric(float64(c.values)/fastest, "values/s")
	b.ReportMetric(float64(bytes)/float64(c.values), "bytes/value")
}

// cost is what a round takes of time, and of the cores' time: of all parties,
// who share this process.
type cost struct{ wall, processor time.Duration }

// bench is an enrolled consortium whose one study waits for its first round.
type bench struct {
	dir     string
	address string
	study   statement.Digest
	sites   []*benchSite
	values  int
	layout  secagg.Layout
	nonce   byte
}

const benchBound = 1<<15 - 1

func newBench(b *testing.B, sites, values int) *bench {
	b.Helper()
	c := &bench{dir: b.TempDir(), values: values, layout: secagg.Layout{{Name: "v", Length: values, Bound: benchBound}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	c.address = listener.Addr().String()
	must(b, identity.InitConsortium(identity.InitSpec{
		Consortium: "Benchmark", CoordinatorAddress: c.address, Now: time.Now(),
		GovernanceDir: filepath.Join(c.dir, "governance"), CoordinatorDir: filepath.Join(c.coordinatorDir(), "identity"),
	}))
	governance, err := identity.OpenGovernance(filepath.Join(c.dir, "governance"))
	must(b, err)

	held := c.openStore(b)
	_, stop := c.serve(b, listener, held, nil)
	newcomers := []*newcomer{{name: researcherName, role: identity.RoleResearcher, dir: filepath.Join(c.dir, "researcher")}}
	for i := range sites {
		name := fmt.Sprintf("site %02d", i+1)
		newcomers = append(newcomers, &newcomer{name: name, role: identity.RoleSite, dir: filepath.Join(c.dir, name, "identity")})
	}
	must(b, enrol(b.Context(), governance, newcomers, time.Now))
	for _, n := range newcomers[1:] {
		c.sites = append(c.sites, openBenchSite(b, filepath.Join(c.dir, n.name), c))
	}
	c.startStudy(b, newcomers[0].dir)
	stop()
	must(b, held.Close())
	return c
}

func (c *bench) coordinatorDir() string { return filepath.Join(c.dir, "coordinator") }

// startStudy takes a study as far as its first round, which the store holds back.
func (c *bench) startStudy(b *testing.B, researcher string) {
	b.Helper()
	protocol := []byte("study: benchmark\nversion: 1\n" +
		"outcome: {column: y, type: number, range: [0, 1]}\nfeatures: [{column: x, type: number, range: [0, 1]}]\n" +
		"model: {kind: describe}\nprivacy: {minimum_contributors: 2}\n")
	c.study = statement.DigestOf(protocol)
	node, err := identity.OpenNode(researcher)
	must(b, err)
	conn, err := dial(c.address, node.ClientTLS(time.Now))
	must(b, err)
	defer conn.Close()
	studies := consiliumv1.NewStudyServiceClient(conn)
	sign := func(kind statement.Kind, v any) []byte {
		envelope, err := statement.Sign(kind, v, node.Name(), node.Keys().Signing())
		must(b, err)
		return envelope
	}
	now := time.Now().UTC()
	proposal := sign(statement.KindProposal, statement.Proposal{Study: c.study, Researcher: node.Name(), Time: now})
	_, err = studies.Propose(b.Context(), &consiliumv1.ProposeRequest{Protocol: protocol, Proposal: proposal})
	must(b, err)
	for _, s := range c.sites {
		must(b, s.approve(b.Context(), c.study))
	}
	start := sign(statement.KindStart, statement.Start{Study: c.study, Researcher: node.Name(), Time: now})
	_, err = studies.Start(b.Context(), &consiliumv1.StartRequest{Study: c.study.String(), Start: start})
	must(b, err)
}

// heldStore is the coordinator's store, which for the time being takes no facts
// about rounds other than the benchmark's, and not that one's before it is let go.
type heldStore struct {
	store.Store
	mu  sync.Mutex
	let string // the stream that is let go
}

var errHeld = errors.New("rounds are held back")

func (c *bench) openStore(b *testing.B) *heldStore {
	b.Helper()
	db, err := sqlite.Open(b.Context(), filepath.Join(c.coordinatorDir(), "facts.db"))
	must(b, err)
	return &heldStore{Store: db}
}

func (h *heldStore) letGo(stream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.let = stream
}

func (h *heldStore) Append(ctx context.Context, facts, leaves uint64, batch store.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range batch.Facts {
		if strings.HasPrefix(f.Stream, "round/") && f.Stream != h.let {
			return errHeld
		}
	}
	return h.Store.Append(ctx, facts, leaves, batch)
}

func (c *bench) serve(b *testing.B, listener net.Listener, s store.Store, appended func(store.Batch)) (server *coordinator.Coordinator, stop func()) {
	b.Helper()
	var err error
	if listener == nil {
		listener, err = net.Listen("tcp", c.address)
		must(b, err)
	}
	server, err = coordinator.Open(coordinator.Options{Dir: c.coordinatorDir(), Listener: listener, Store: s, AfterAppend: appended})
	must(b, err)
	serving := start(server.Serve)
	return server, func() { must(b, serving.stop()) }
}

// phases are the moments of a round, as its facts become durable.
type phases struct {
	announced, counted, closed, ended time.Time
	bytes                             int64 // of one contribution
	sum                               *statement.Digest
}

func (p *phases) whole() time.Duration { return p.ended.Sub(p.announced) }

func (p *phases) note(record round.Record) {
	now := time.Now()
	switch record := record.(type) {
	case round.Announced:
		p.announced = now
	case round.Contributed:
		p.counted, p.bytes = now, record.Bytes
	case round.SharesClosed:
		p.closed = now
	case round.Ended:
		p.ended, p.sum = now, record.Sum
	}
}

// benchRound is a round that waits to be announced, with everybody connected.
type benchRound struct {
	*bench
	plan   statement.Plan
	store  *heldStore
	server *coordinator.Coordinator
	stop   func()
	phases phases
	failed chan error
	done   chan struct{}
}

func (c *bench) prepare(b *testing.B, seal siteagent.Sealer) *benchRound {
	b.Helper()
	r := &benchRound{bench: c, plan: c.makePlan(b), store: c.openStore(b), failed: make(chan error, len(c.sites)), done: make(chan struct{})}
	c.insert(b, r.plan, r.store.Store)
	c.drawValues()
	stream := r.stream()
	server, stopServer := c.serve(b, nil, r.store, func(batch store.Batch) {
		for _, f := range batch.Facts {
			if f.Stream != stream {
				continue
			}
			record, err := round.Decode(f.Body)
			if err != nil {
				r.failed <- err
				return
			}
			r.phases.note(record)
			if _, over := record.(round.Ended); over {
				close(r.done)
			}
		}
	})
	r.server = server
	var sites []*running
	for _, s := range c.sites {
		s.seal = seal
		sites = append(sites, start(func(ctx context.Context) error {
			err := s.work(ctx)
			if ctx.Err() != nil {
				return nil
			}
			r.failed <- fmt.Errorf("%s: %w", s.node.Name(), err)
			return err
		}))
	}
	r.stop = func() {
		for _, s := range sites {
			must(b, s.stop())
		}
		stopServer()
		must(b, r.store.Close())
	}
	for _, s := range c.sites {
		for !s.waits.Load() || !server.Calling(s.node.Name()) {
			select {
			case err := <-r.failed:
				b.Fatal(err)
			case <-time.After(time.Millisecond):
			}
		}
	}
	return r
}

// drawValues gives every site new values in every round: without the cipher
// equal ones would make equal chunks, which are sent and stored once.
func (c *bench) drawValues() {
	for i, s := range c.sites {
		random := rand.New(rand.NewPCG(uint64(c.nonce), uint64(i)))
		s.values = s.values[:0]
		for range c.values {
			s.values = append(s.values, float64(random.IntN(2*benchBound+1)-benchBound))
		}
	}
}

func (r *benchRound) stream() string {
	return "round/" + statement.Digest(r.plan.RoundSpec().ID).String()
}

// makePlan plans a round as the coordinator does.
func (c *bench) makePlan(b *testing.B) statement.Plan {
	b.Helper()
	node, err := identity.OpenNode(filepath.Join(c.coordinatorDir(), "identity"))
	must(b, err)
	c.nonce++
	now := time.Now().UTC().Truncate(time.Second)
	plan := statement.Plan{
		Study: c.study, Step: "benchmark", Parameters: statement.DigestOf(nil), Epoch: "1", Layout: c.layout,
		Roster: node.Rosters().Latest().Digest(), MinimumContributors: 2,
		Issued: now, CollectUntil: now.Add(10 * time.Minute), OpenUntil: now.Add(20 * time.Minute),
		Nonce: hex.EncodeToString(bytes.Repeat([]byte{c.nonce}, 16)),
	}
	for _, s := range c.sites {
		plan.Invited = append(plan.Invited, s.node.Name())
	}
	if len(plan.Invited) > statement.MaxCommittee {
		plan.Draw = &statement.Draw{Size: 1, Root: plan.Roster, Roster: plan.Roster} // nobody here checks what it says
	}
	plan.Committee = plan.Appointed()
	plan.Threshold = secagg.Supermajority(len(plan.Committee))
	plan.Suite, err = secagg.SelectSuite(c.layout, len(plan.Invited), len(plan.Committee), plan.Threshold)
	must(b, err)
	plan.Question = plan.QuestionDigest()
	must(b, plan.Validate())
	return plan
}

// insert puts a plan where the coordinator keeps it between making it and
// announcing it.
func (c *bench) insert(b *testing.B, plan statement.Plan, s store.Store) {
	b.Helper()
	files, err := blobs.OpenFiles(filepath.Join(c.coordinatorDir(), "blobs"))
	must(b, err)
	defer files.Close()
	id := statement.Digest(plan.RoundSpec().ID)
	must(b, files.In(id).Put(blobs.New(nil))) // the parameters
	body, err := round.Encode(round.Planned{Round: id, Plan: plan, At: time.Now().UTC().Truncate(time.Millisecond)})
	must(b, err)
	facts, leaves, err := s.Size(b.Context())
	must(b, err)
	must(b, s.Append(b.Context(), facts, leaves, store.Batch{Facts: []store.Fact{{Stream: "round/" + id.String(), Body: body}}}))
}

// run is what is measured.
func (r *benchRound) run(b *testing.B) phases {
	r.store.letGo(r.stream())
	r.server.Nudge()
	select {
	case <-r.done:
	case err := <-r.failed:
		b.Fatal(err)
	case <-time.After(2 * time.Minute):
		b.Fatal("the round does not end")
	}
	return r.phases
}

// check stops everybody and compares the opened sum with the values.
func (r *benchRound) check(b *testing.B) {
	b.Helper()
	r.stop()
	if r.phases.sum == nil {
		b.Fatal("the round was not published")
	}
	files, err := blobs.OpenFiles(filepath.Join(r.coordinatorDir(), "blobs"))
	must(b, err)
	defer files.Close()
	data, err := files.In(statement.Digest(r.plan.RoundSpec().ID)).Get(*r.phases.sum)
	must(b, err)
	crypto, err := secagg.NewRound(r.plan.RoundSpec())
	must(b, err)
	sum, err := crypto.ParseSum(data)
	must(b, err)
	r.checkSum(b, sum.Values())
}

func (c *bench) checkSum(b *testing.B, sum []float64) {
	b.Helper()
	for i, v := range sum {
		for _, s := range c.sites {
			v -= s.values[i]
		}
		if v != 0 {
			b.Fatalf("value %d of the sum is wrong", i)
		}
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
