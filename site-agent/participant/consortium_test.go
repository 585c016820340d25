package participant_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

const protocol = `study: dose
version: 1
outcome: {column: dose, type: number, range: [2, 320]}
features:
  - {column: age, type: number, range: [1, 9]}
model: {kind: glm, family: gaussian, ridge: 0}
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 2m}
`

var now = time.Now().UTC().Truncate(time.Second)

// consortium is real keys, rosters and a ledger; one is shared by the tests,
// which only add to its ledger.
type consortium struct {
	t           testing.TB
	governance  *identity.Governance
	coordinator *identity.Node
	nodes       map[string]*identity.Node
	log         *ledger.Log
	study       *study.Study
	parameters  []byte // of the study's first question, which every plan asks
	memory      *memory
	site        *participant.Site // alpha
}

var siteNames = []string{"alpha", "beta", "delta", "gamma"}

func newConsortium(t testing.TB) *consortium {
	t.Helper()
	dir := t.TempDir()
	spec := identity.InitSpec{Consortium: "test", CoordinatorAddress: "127.0.0.1:1", GovernanceDir: filepath.Join(dir, "g"), CoordinatorDir: filepath.Join(dir, "c"), Now: now}
	check(t, identity.InitConsortium(spec))
	c := &consortium{t: t, nodes: map[string]*identity.Node{}, log: ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())}
	var err error
	c.governance, err = identity.OpenGovernance(spec.GovernanceDir)
	check(t, err)
	c.coordinator, err = identity.OpenNode(spec.CoordinatorDir)
	check(t, err)
	c.admit(map[string]identity.Role{"alpha": identity.RoleSite, "beta": identity.RoleSite, "gamma": identity.RoleSite, "delta": identity.RoleSite, "rita": identity.RoleResearcher})
	c.study, err = study.Parse([]byte(protocol))
	check(t, err)
	c.memory = &memory{studies: map[statement.Digest]*study.Study{c.study.Digest(): c.study}, headers: map[statement.Digest]statement.Digest{},
		answered: map[statement.Digest]statement.Digest{}, ends: map[statement.Digest]*statement.RoundEnd{}, forgotten: map[statement.Digest]bool{},
		asked: map[statement.Digest][]participant.Asked{}}
	c.site = &participant.Site{Name: "alpha", Rosters: c.coordinator.Rosters(), Memory: c.memory}
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *consortium) admit(people map[string]identity.Role) {
	c.t.Helper()
	dirs := map[string]string{}
	var enrolments [][]byte
	for name, role := range people {
		token, err := c.governance.Invite(name, role, time.Hour, now)
		check(c.t, err)
		dirs[name] = c.t.TempDir()
		e, err := identity.NewEnrolment(token, dirs[name])
		check(c.t, err)
		enrolments = append(enrolments, e)
	}
	c.publish(c.governance.Admit(enrolments, now))
	for name, dir := range dirs {
		invitation, envelope, err := identity.UnfinishedEnrolment(dir)
		check(c.t, err)
		e, err := identity.OpenEnrolment(envelope)
		check(c.t, err)
		certificate, err := c.coordinator.IssueCertificate(e.CertificateRequest, identity.EnrolledMember(e), now, 0)
		check(c.t, err)
		check(c.t, identity.FinishEnrolment(dir, invitation, certificate, c.coordinator.Rosters().Envelopes()))
		c.nodes[name], err = identity.OpenNode(dir)
		check(c.t, err)
	}
}

func (c *consortium) publish(envelope []byte, err error) {
	c.t.Helper()
	check(c.t, err)
	check(c.t, c.coordinator.AppendRoster(envelope))
}

func (c *consortium) sign(kind statement.Kind, v any) []byte {
	c.t.Helper()
	return c.signAs(c.coordinator, kind, v)
}

func (c *consortium) signAs(node *identity.Node, kind statement.Kind, v any) []byte {
	c.t.Helper()
	envelope, err := statement.Sign(kind, v, node.Name(), node.Keys().Signing())
	check(c.t, err)
	return envelope
}

// logged appends an entry and proves it.
func (c *consortium) logged(kind string, round statement.Digest, envelope []byte) participant.Logged {
	c.t.Helper()
	leaf, err := ledger.Entry{Time: now, Type: kind, Study: round.String(), Round: round.String(), Subject: statement.DigestOf(envelope), Actor: "coordinator"}.Leaf()
	check(c.t, err)
	index, err := c.log.Append(leaf)
	check(c.t, err)
	size, err := c.log.Size()
	check(c.t, err)
	root, err := c.log.Root()
	check(c.t, err)
	proof, err := c.log.Inclusion(index, size)
	check(c.t, err)
	return participant.Logged{Leaf: leaf, Index: index, Proof: proof, Size: size, Root: root}
}

// plan returns a plan that alpha accepts.
func (c *consortium) plan() *statement.Plan {
	c.t.Helper()
	q, _, err := pipeline.New(c.study).Next()
	check(c.t, err)
	c.parameters = q.Parameters
	p := &statement.Plan{
		Study: c.study.Digest(), Step: q.Step, Parameters: statement.DigestOf(q.Parameters), Epoch: "1", Roster: c.coordinator.Rosters().Latest().Digest(),
		Invited: slices.Clone(siteNames), Committee: slices.Clone(siteNames), Threshold: 3, MinimumContributors: 3,
		Issued: now, CollectUntil: now.Add(2 * time.Minute), OpenUntil: now.Add(4 * time.Minute), Nonce: "000102030405060708090a0b0c0d0e0f",
	}
	for _, f := range q.Layout {
		p.Layout = append(p.Layout, secagg.Field(f))
	}
	return derive(p)
}

// derive fills in what follows from the rest of a plan.
func derive(p *statement.Plan) *statement.Plan {
	if suite, err := secagg.SelectSuite(p.Layout, len(p.Invited), len(p.Committee), p.Threshold); err == nil {
		p.Suite = suite
	}
	p.Question = p.QuestionDigest()
	return p
}

func idOf(envelope []byte) statement.Digest {
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		panic(err)
	}
	return statement.DigestOf(payload)
}

// request asks for a contribution to a plan.
func (c *consortium) request(p *statement.Plan) participant.PlanRequest {
	c.t.Helper()
	envelope := c.sign(statement.KindPlan, p)
	return participant.PlanRequest{Envelope: envelope, Parameters: c.parameters, Logged: c.logged(ledger.TypePlan, idOf(envelope), envelope)}
}

// opening asks alpha to open a set of a plan. Every share is sealed for real.
func (c *consortium) opening(p *statement.Plan, set []string) participant.OpeningRequest {
	c.t.Helper()
	plan := c.sign(statement.KindPlan, p)
	id := idOf(plan)
	r, err := secagg.NewRound(p.RoundSpec())
	check(c.t, err)
	in := participant.OpeningRequest{Plan: plan}
	request := statement.OpeningRequest{Round: id, Contributors: set}
	var sealer identity.Sealer
	for _, name := range set {
		to := identity.ShareAddress{Study: p.Study, Round: id, Sender: name, Recipient: "alpha"}
		sealed, err := sealer.Seal(c.nodes["alpha"].Keys().SealingPublic(), to, make([]byte, r.ShareBytes()))
		check(c.t, err)
		header := statement.ContributionHeader{Round: id, Site: name, Chunks: make([]statement.Digest, r.Chunks()), Shares: make([]statement.Digest, len(p.Committee))}
		header.Shares[slices.Index(p.Committee, "alpha")] = statement.DigestOf(sealed)
		envelope := c.signAs(c.nodes[name], statement.KindContributionHeader, header)
		in.Headers = append(in.Headers, envelope)
		in.SealedShares = append(in.SealedShares, sealed)
		request.Headers = append(request.Headers, idOf(envelope))
		if name == "alpha" {
			c.memory.headers[id] = idOf(envelope)
		}
	}
	c.sealRequest(&in, request)
	return in
}

// sealRequest signs a request and puts it into the ledger.
func (c *consortium) sealRequest(in *participant.OpeningRequest, request statement.OpeningRequest) {
	c.t.Helper()
	in.Request = c.sign(statement.KindOpeningRequest, request)
	in.Logged = c.logged(ledger.TypeOpeningRequest, request.Round, in.Request)
}

// memory is a Memory that a test writes into.
type memory struct {
	studies   map[statement.Digest]*study.Study
	asked     map[statement.Digest][]participant.Asked
	questions int
	epoch     string
	headers   map[statement.Digest]statement.Digest
	answered  map[statement.Digest]statement.Digest
	forgotten map[statement.Digest]bool
	ends      map[statement.Digest]*statement.RoundEnd
}

func (m *memory) Study(id statement.Digest) (*study.Study, bool) {
	s, ok := m.studies[id]
	return s, ok
}
func (m *memory) Asked(q statement.Digest) []participant.Asked { return m.asked[q] }
func (m *memory) Questions(statement.Digest, string) int       { return m.questions }
func (m *memory) Epoch(statement.Digest) (string, bool)        { return m.epoch, m.epoch != "" }
func (m *memory) Header(r statement.Digest) (statement.Digest, bool) {
	d, ok := m.headers[r]
	return d, ok
}
func (m *memory) Answered(r statement.Digest) (statement.Digest, bool) {
	d, ok := m.answered[r]
	return d, ok
}
func (m *memory) Forgotten(r statement.Digest) bool { return m.forgotten[r] }
func (m *memory) End(r statement.Digest) (*statement.RoundEnd, bool) {
	e, ok := m.ends[r]
	return e, ok
}
