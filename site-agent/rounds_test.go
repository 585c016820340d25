package siteagent

import (
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/study"
)

// plan makes the plan of a question.
func (c *coordinator) plan(s *study.Study, q compute.Question, invited []string) *statement.Plan {
	c.t.Helper()
	invited = slices.Sorted(slices.Values(invited))
	now := time.Now().UTC().Truncate(time.Second)
	nonce := make([]byte, 16)
	rand.Read(nonce)
	p := &statement.Plan{
		Study: s.Digest(), Step: q.Step, Parameters: statement.DigestOf(q.Parameters), Epoch: "1", Roster: c.node.Rosters().Latest().Digest(),
		Invited: invited, Committee: invited, Threshold: s.Threshold(len(invited)), MinimumContributors: s.MinimumContributors(),
		Issued: now, CollectUntil: now.Add(s.Deadline()), OpenUntil: now.Add(2 * s.Deadline()), Nonce: hex.EncodeToString(nonce),
	}
	for _, f := range q.Layout {
		p.Layout = append(p.Layout, secagg.Field(f))
	}
	suite, err := secagg.SelectSuite(p.Layout, len(invited), len(invited), p.Threshold)
	if err != nil {
		c.t.Fatal(err)
	}
	p.Suite, p.Question = suite, p.QuestionDigest()
	return p
}

// invite puts a plan into the ledger and asks the sites for contributions.
func (c *coordinator) invite(p *statement.Plan, parameters []byte) (id statement.Digest, envelope []byte) {
	c.t.Helper()
	envelope = c.sign(statement.KindPlan, p)
	_, payload, _ := statement.Payload(envelope)
	id = statement.DigestOf(payload)
	c.mu.Lock()
	index := c.append(ledger.TypePlan, p.Study, id, envelope, c.node.Name())
	c.mu.Unlock()
	c.assign("contribute", &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Contribute{Contribute: &consiliumv1.Contribute{
		Plan: envelope, Parameters: parameters, LedgerIndex: index}}}, p.Invited...)
	return id, envelope
}

// requestOpening asks the committee to open a set and returns the request's
// envelope.
func (c *coordinator) requestOpening(p *statement.Plan, id statement.Digest, plan []byte, set []string) []byte {
	c.t.Helper()
	request := statement.OpeningRequest{Round: id, Contributors: set}
	c.mu.Lock()
	var headers [][]byte
	for _, site := range set {
		header := c.headers[id.String()][site]
		_, payload, err := statement.Payload(header)
		if err != nil {
			c.t.Fatal(err)
		}
		request.Headers = append(request.Headers, statement.DigestOf(payload))
		headers = append(headers, header)
	}
	envelope := c.sign(statement.KindOpeningRequest, request)
	index := c.append(ledger.TypeOpeningRequest, p.Study, id, envelope, c.node.Name())
	c.mu.Unlock()
	for j, member := range p.Committee {
		open := &consiliumv1.Open{Plan: plan, Request: envelope, Headers: headers, LedgerIndex: index}
		for _, site := range set {
			open.SealedShares = append(open.SealedShares, c.sealed[id.String()][site][j])
		}
		c.assign("open", &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Open{Open: open}}, member)
	}
	return envelope
}

func (c *coordinator) end(p *statement.Plan, id statement.Digest, end statement.RoundEnd) {
	c.t.Helper()
	end.Round, end.Question = id, p.Question
	envelope := c.sign(statement.KindRoundEnd, end)
	c.mu.Lock()
	c.append(ledger.TypeRoundEnd, p.Study, id, envelope, c.node.Name())
	c.mu.Unlock()
	c.withdraw("contribute", p.Invited...)
	c.withdraw("open", p.Invited...)
	c.assign("end "+id.String(), &consiliumv1.Assignment{Work: &consiliumv1.Assignment_RoundEnded{RoundEnded: &consiliumv1.RoundEnded{
		Round: id.String(), State: end.State, End: envelope}}}, p.Invited...)
}

// round carries one question through to its opened sum.
func (c *coordinator) round(s *study.Study, q compute.Question, sites []string) (*secagg.Sum, statement.ReleasedRound) {
	c.t.Helper()
	p := c.plan(s, q, sites)
	id, envelope := c.invite(p, q.Parameters)
	c.eventually("every site contributes to "+q.Step, func() bool { return len(c.counted[id.String()]) == len(p.Invited) })
	c.requestOpening(p, id, envelope, p.Invited)
	c.eventually("the committee opens "+q.Step, func() bool { return len(c.answers[id.String()]) == len(p.Committee) })
	sum := c.open(p, id)
	digest := statement.DigestOf(sum.Bytes())
	c.end(p, id, statement.RoundEnd{State: "published", Contributors: p.Invited, SharesGiven: true, Sum: &digest})
	released := statement.ReleasedRound{Round: id, Step: p.Step, Contributors: p.Invited, Sum: digest}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, site := range p.Invited {
		_, payload, _ := statement.Payload(c.headers[id.String()][site])
		released.Headers = append(released.Headers, statement.DigestOf(payload))
	}
	return sum, released
}

func (c *coordinator) open(p *statement.Plan, id statement.Digest) *secagg.Sum {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := secagg.NewRound(p.RoundSpec())
	if err != nil {
		c.t.Fatal(err)
	}
	openings := map[int][]byte{}
	for j, member := range p.Committee {
		openings[j] = c.answers[id.String()][member][1]
	}
	sum, err := r.Open(len(p.Invited), func(contributor, chunk int) ([]byte, error) {
		_, payload, _ := statement.Payload(c.headers[id.String()][p.Invited[contributor]])
		var h statement.ContributionHeader
		if err := statement.Decode(payload, &h); err != nil {
			return nil, err
		}
		return c.chunks[h.Chunks[chunk]], nil
	}, openings)
	if err != nil {
		c.t.Fatal(err)
	}
	return sum
}

// propose shows a study to the sites.
func (c *coordinator) propose(protocol []byte, researcher *researcher, sites ...string) {
	c.t.Helper()
	proposal, err := statement.Sign(statement.KindProposal, statement.Proposal{Study: statement.DigestOf(protocol), Researcher: researcher.name, Time: time.Now()}, researcher.name, researcher.keys.Signing())
	if err != nil {
		c.t.Fatal(err)
	}
	c.assign("study", &consiliumv1.Assignment{Work: &consiliumv1.Assignment_ReviewStudy{ReviewStudy: &consiliumv1.ReviewStudy{Protocol: protocol, Proposal: proposal}}}, sites...)
}

type researcher struct {
	name string
	keys *identity.Keys
}

// researcher enrols someone who proposes studies.
func (c *coordinator) researcher(name string) *researcher {
	c.t.Helper()
	token, err := c.governance.Invite(name, identity.RoleResearcher, time.Hour, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	dir := c.t.TempDir()
	enrolment, err := identity.NewEnrolment(token, dir)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.enrolled[name] = enrolment
	c.mu.Unlock()
	c.admit()
	m, _ := c.node.Rosters().Latest().Member(name)
	e, _ := identity.OpenEnrolment(enrolment)
	certificate, err := c.node.IssueCertificate(e.CertificateRequest, m, c.now(), 0)
	if err != nil {
		c.t.Fatal(err)
	}
	invitation, _, err := identity.UnfinishedEnrolment(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := identity.FinishEnrolment(dir, invitation, certificate, c.node.Rosters().Envelopes()); err != nil {
		c.t.Fatal(err)
	}
	node, err := identity.OpenNode(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	return &researcher{name, node.Keys()}
}

// study runs a whole study and offers its release.
func (c *coordinator) study(s *study.Study, sites []string) *pipeline.Result {
	c.t.Helper()
	session := pipeline.New(s)
	var rounds []statement.ReleasedRound
	for {
		q, done, err := session.Next()
		if err != nil {
			c.t.Fatal(err)
		}
		if done {
			break
		}
		sum, released := c.round(s, q, sites)
		rounds = append(rounds, released)
		opened, err := compute.NewSum(sum.Contributors(), q.Layout, sum.Values())
		if err != nil {
			c.t.Fatal(err)
		}
		if err := session.Absorb(opened); err != nil {
			c.t.Fatal(err)
		}
	}
	result := session.Result()
	audit, err := statement.Encode(result.Audit)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := statement.Encode(result.Model)
	if err != nil {
		c.t.Fatal(err)
	}
	release := statement.Release{
		Study: s.Digest(), Roster: c.node.Rosters().Latest().Digest(), Rounds: rounds,
		Audit: statement.DigestOf(audit), Model: statement.DigestOf(body), Body: body, Time: time.Now(),
	}
	c.assign("release", &consiliumv1.Assignment{Work: &consiliumv1.Assignment_ReviewRelease{ReviewRelease: &consiliumv1.ReviewRelease{
		Release: c.sign(statement.KindRelease, release), Audit: c.sign(statement.KindAudit, result.Audit), Protocol: s.Source()}}}, sites...)
	return result
}

// signOf signs as the agent in a state directory would.
func (w *ward) signOf(site int, v any) []byte {
	w.t.Helper()
	node, err := identity.OpenNode(filepath.Join(w.dirs[site], identityDir))
	if err != nil {
		w.t.Fatal(err)
	}
	kind := statement.KindOpeningShare
	if _, ok := v.(statement.ContributionHeader); ok {
		kind = statement.KindContributionHeader
	}
	envelope, err := statement.Sign(kind, v, node.Name(), node.Keys().Signing())
	if err != nil {
		w.t.Fatal(err)
	}
	return envelope
}

func (c *coordinator) publish(roster []byte, err error) {
	c.t.Helper()
	if err == nil {
		err = c.node.AppendRoster(roster)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}
