package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

const protocol = `study: dose
version: 1
title: Dose by age and genotype
outcome: {column: dose, type: number, range: [0, 100], unit: mg/wk, transform: sqrt}
features:
  - {column: age, type: number, range: [18, 99]}
  - {column: gene, type: category, levels: [GG, AG, AA], reference: GG}
model: {kind: glm, family: gaussian, ridge: 0}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
  minimum_cell: 5
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 2m}
`

var siteNames = []string{"Aare", "Birs", "Ergolz", "Wiese"}

// consortium is a real one, on disk: governance, coordinator, four sites, a
// researcher and an auditor.
type consortium struct {
	governance *identity.Governance
	nodes      map[string]*identity.Node
	now        time.Time
}

func newConsortium(t *testing.T) *consortium {
	t.Helper()
	dir := t.TempDir()
	c := &consortium{nodes: make(map[string]*identity.Node), now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	must(t, identity.InitConsortium(identity.InitSpec{
		Consortium: "test", CoordinatorAddress: "127.0.0.1:1", Now: c.now,
		GovernanceDir: filepath.Join(dir, "governance"), CoordinatorDir: filepath.Join(dir, "coordinator"),
	}))
	var err error
	c.governance, err = identity.OpenGovernance(filepath.Join(dir, "governance"))
	must(t, err)
	server, err := identity.OpenNode(filepath.Join(dir, "coordinator"))
	must(t, err)
	c.nodes["coordinator"] = server

	tokens := make(map[string]string)
	var enrolments [][]byte
	for name, role := range map[string]identity.Role{
		"Aare": identity.RoleSite, "Birs": identity.RoleSite, "Ergolz": identity.RoleSite, "Wiese": identity.RoleSite,
		"rosa": identity.RoleResearcher, "ines": identity.RoleAuditor,
	} {
		tokens[name], err = c.governance.Invite(name, role, time.Hour, c.now)
		must(t, err)
		enrolment, err := identity.NewEnrolment(tokens[name], filepath.Join(dir, name))
		must(t, err)
		enrolments = append(enrolments, enrolment)
	}
	roster, err := c.governance.Admit(enrolments, c.now.Add(time.Minute))
	must(t, err)
	must(t, server.AppendRoster(roster))
	for _, enrolment := range enrolments {
		e, err := identity.OpenEnrolment(enrolment)
		must(t, err)
		certificate, err := server.IssueCertificate(e.CertificateRequest, identity.EnrolledMember(e), c.now, 0)
		must(t, err)
		invitation, err := identity.ParseToken(tokens[e.Name])
		must(t, err)
		must(t, identity.FinishEnrolment(filepath.Join(dir, e.Name), invitation, certificate, c.governance.Rosters().Envelopes()))
		c.nodes[e.Name], err = identity.OpenNode(filepath.Join(dir, e.Name))
		must(t, err)
	}
	return c
}

// lies are the ways in which the maker of a bundle may deviate and still sign
// properly whatever is wrong.
type lies struct {
	change   func(v any)                            // before a statement is signed
	forge    func(v any) any                        // what is signed in its stead, while the builder goes on honestly
	signer   func(v any, name string) string        // who signs it
	twice    func(v any) bool                       // enter it into the log twice
	skip     func(v any) bool                       // leave it out of the log
	order    func(leaves [][]byte)                  // before the log is signed
	question func(q *compute.Question)              // before it is asked
	rounds   func(step string) []string             // ends of rounds before the published one
	invited  func(step string, again bool) []string // again: an earlier round of the step has ended
	share    func(member string, share []byte) []byte
	sum      func(step string, sum []byte) []byte
	more     bool     // a round after the end
	blames   []string // whose key shares do not open, by so many that a failed round is their fault
	decline  func(step, site string) bool
	anyway   bool                // who declines contributes, too
	end      *statement.StudyEnd // the study ends before its second question

	criterion string // of the study, which otherwise declares none
	card      bool   // a model card is published at the end

	witnesses map[string]int // up to where each hospital has cosigned, nil for all of it
}

// builder makes a bundle with the real crypto and nothing of the coordinator.
type builder struct {
	t      *testing.T
	c      *consortium
	lies   lies
	files  fstest.MapFS
	leaves [][]byte
	now    time.Time
	study  *study.Study
	id     statement.Digest
	data   map[string]*study.Matrix
	done   []statement.ReleasedRound
	nonce  int
}

func build(t *testing.T, c *consortium, l lies) fstest.MapFS {
	t.Helper()
	source := []byte(protocol)
	if l.criterion != "" {
		source = bytes.Replace(source, []byte("  minimum_cell: 5\n"), []byte("  minimum_cell: 5\n  reference: {sex: female}\n  criteria: ["+l.criterion+"]\n"), 1)
	}
	s, err := study.Parse(source)
	must(t, err)
	b := &builder{t: t, c: c, lies: l, files: make(fstest.MapFS), now: c.now.Add(time.Hour), study: s, id: s.Digest(), data: make(map[string]*study.Matrix)}
	for i, site := range siteNames {
		b.data[site] = patients(t, s, uint64(i), l.criterion != "")
	}
	b.files[studyFile] = &fstest.MapFile{Data: source}
	key, err := identity.FormatPublicKey(c.governance.Public())
	must(t, err)
	b.files[governanceFile] = &fstest.MapFile{Data: key}
	for i, envelope := range c.governance.Rosters().Envelopes() {
		b.files[rosterFile(i+1)] = &fstest.MapFile{Data: envelope}
		b.leaf(ledger.Entry{Type: ledger.TypeRoster, Subject: statement.DigestOf(envelope), Actor: "governance"})
	}
	b.state(ledger.TypeProposal, statement.KindProposal, &statement.Proposal{Study: b.id, Researcher: "rosa", Time: b.now}, "rosa", "")
	for _, site := range siteNames {
		b.state(ledger.TypeApproval, statement.KindApproval, &statement.Approval{Study: b.id, Site: site, Approved: true, Time: b.now}, site, "")
	}
	b.state(ledger.TypeStart, statement.KindStart, &statement.Start{Study: b.id, Researcher: "rosa", Time: b.now}, "rosa", "")
	b.run()
	b.finish()
	return b.files
}

// patients are drawn anew for every site: a dose that falls with age and rises
// with one genotype, and an outcome that the model fits with some error. With a
// planted disparity the dose of men scatters three times as much.
func patients(t *testing.T, s *study.Study, seed uint64, planted bool) *study.Matrix {
	r := rand.New(rand.NewPCG(seed, 7))
	columns := []string{"dose", "age", "gene", "sex"}
	builder, err := s.NewBuilder(columns)
	must(t, err)
	for range 60 {
		age := 20 + r.IntN(70)
		gene := []string{"GG", "AG", "AA"}[r.IntN(3)]
		scatter, sex := 8.0, ""
		if planted {
			scatter, sex = 3, []string{"female", "male"}[r.IntN(2)]
			if sex == "male" {
				scatter = 9
			}
		}
		dose := 60 - 0.3*float64(age) + scatter*r.NormFloat64()
		if gene == "AA" {
			dose -= 12
		}
		dose = min(max(dose, 1), 99)
		if !planted {
			sex = []string{"female", "male"}[r.IntN(2)]
		}
		builder.Add([]string{strconv.FormatFloat(dose, 'f', 2, 64), strconv.Itoa(age), gene, sex})
	}
	return builder.Matrix()
}

// run asks every question of the study.
func (b *builder) run() {
	session := pipeline.New(b.study)
	var last compute.Question
	for {
		question, done, err := session.Next()
		must(b.t, err)
		if done {
			break
		}
		if b.lies.end != nil && len(b.done) > 0 {
			b.lies.end.Study, b.lies.end.Time = b.id, b.now
			b.state(ledger.TypeStudyEnd, statement.KindStudyEnd, b.lies.end, "coordinator", "")
			if b.lies.more {
				b.round(question, siteNames, "published")
			}
			return
		}
		last = question
		if b.lies.question != nil {
			b.lies.question(&question)
		}
		invited := func(again bool) []string {
			if b.lies.invited != nil {
				return b.lies.invited(question.Step, again)
			}
			return siteNames
		}
		again := false
		if b.lies.rounds != nil {
			for _, state := range b.lies.rounds(question.Step) {
				b.round(question, invited(again), state)
				again = true
			}
		}
		sum := b.round(question, invited(again), "published")
		absorb, err := compute.NewSum(sum.Contributors(), question.Layout, sum.Values())
		must(b.t, err)
		absorb.Sites = b.done[len(b.done)-1].Contributors
		must(b.t, session.Absorb(absorb))
	}
	if b.lies.more {
		shift(b.t, &last)
		b.round(last, siteNames, "published")
	}
	result := session.Result()
	text, err := json.Marshal(result)
	must(b.t, err)
	b.leaf(ledger.Entry{Type: ledger.TypeResult, Study: b.id.String(), Subject: b.put(text), Actor: "coordinator"})
	payload, err := statement.Encode(result.Audit)
	must(b.t, err)
	raw := rawAudit(payload)
	audit := b.state(ledger.TypeAudit, statement.KindAudit, &raw, "coordinator", "")
	body, err := statement.Encode(result.Model)
	must(b.t, err)
	offer := &statement.Release{
		Study: b.id, Roster: b.c.governance.Rosters().Latest().Digest(), Rounds: b.done,
		Audit: audit, Model: statement.DigestOf(body), Body: body, Time: b.now,
	}
	if result.Audit.Decision != nil {
		offer.Gate = result.Audit.Decision.Outcome
	}
	if offer.Gate == fairness.Blocked {
		override := b.state(ledger.TypeReleaseOverride, statement.KindReleaseOverride, &statement.ReleaseOverride{
			Study: b.id, Audit: audit, Gate: offer.Gate, Auditor: "ines", Reason: "for women only", Time: b.now,
		}, "ines", "")
		offer.Override = &override
	}
	release := b.state(ledger.TypeRelease, statement.KindRelease, offer, "coordinator", "")
	if b.lies.card {
		b.state(ledger.TypeCard, statement.KindCard, &statement.Card{
			Study: b.id, Release: release, Format: "markdown", Card: b.put([]byte("# Card\n")), Researcher: "rosa", Time: b.now,
		}, "rosa", "")
	}
	for i, site := range siteNames {
		b.state(ledger.TypeReleaseDecision, statement.KindReleaseDecision, &statement.ReleaseDecision{Release: release, Site: site, Accepted: i > 0, Reason: "seen", Time: b.now}, site, "")
	}
}

// shift changes the model that the question about the model's errors is asked
// with, and makes it another question.
func shift(t *testing.T, q *compute.Question) {
	model := regexp.MustCompile(`"model":"([^"]*)"`).FindSubmatch(q.Parameters)
	decoded, err := base64.StdEncoding.DecodeString(string(model[1]))
	must(t, err)
	digit := regexp.MustCompile(`[0-9]\.[0-9]`).FindIndex(decoded)
	if digit[0]++; decoded[digit[0]+1] == '9' {
		decoded[digit[0]+1] = '0'
	}
	decoded[digit[0]+1]++
	q.Parameters = bytes.Replace(q.Parameters, model[1], []byte(base64.StdEncoding.EncodeToString(decoded)), 1)
}

// round runs one round to the given end.
func (b *builder) round(question compute.Question, invited []string, state string) *secagg.Sum {
	layout := fields(question.Layout)
	suite, err := secagg.SelectSuite(layout, len(invited), len(invited), b.study.Threshold(len(invited)))
	must(b.t, err)
	b.nonce++
	plan := &statement.Plan{
		Study: b.id, Step: question.Step, Parameters: b.put(question.Parameters), Epoch: "1",
		Roster: b.c.governance.Rosters().Latest().Digest(), Invited: invited, Committee: invited,
		Threshold: b.study.Threshold(len(invited)), MinimumContributors: b.study.MinimumContributors(), Layout: layout, Suite: suite,
		Issued: b.now, CollectUntil: b.now.Add(time.Minute), OpenUntil: b.now.Add(2 * time.Minute), Nonce: fmt.Sprintf("%032x", b.nonce),
	}
	plan.Question = plan.QuestionDigest()
	id := b.state(ledger.TypePlan, statement.KindPlan, plan, "coordinator", "plan")
	round, err := secagg.NewRound(plan.RoundSpec())
	must(b.t, err)

	contributors := plan.Invited
	if b.lies.decline != nil {
		contributors = nil
		for _, site := range plan.Invited {
			declines := b.lies.decline(question.Step, site)
			if declines {
				b.state(ledger.TypeDecline, statement.KindDecline, &statement.Decline{Round: id, Site: site, Reason: "not now"}, site, id.String())
			}
			if !declines || b.lies.anyway {
				contributors = append(contributors, site)
			}
		}
	}
	var headers []statement.Digest
	var chunks [][][]byte
	var shares [][][]byte
	for _, site := range contributors {
		values, err := pipeline.Answer(b.study, question.Step, question.Parameters, pipeline.Site{Name: study.SiteID(site), Records: b.data[site]})
		must(b.t, err)
		sealed, err := round.Seal(values)
		must(b.t, err)
		header := &statement.ContributionHeader{Round: id, Site: site}
		for _, chunk := range sealed.Chunks {
			header.Chunks = append(header.Chunks, b.put(chunk))
		}
		for j := range sealed.Shares {
			header.Shares = append(header.Shares, statement.DigestOf([]byte(fmt.Sprint("sealed", site, j, id))))
		}
		headers = append(headers, b.state(ledger.TypeContribution, statement.KindContributionHeader, header, site, id.String()))
		chunks, shares = append(chunks, sealed.Chunks), append(shares, sealed.Shares)
	}
	end := &statement.RoundEnd{Round: id, Question: plan.Question, State: state, Contributors: contributors}
	if state == "abandoned" {
		end.Reason, end.Missing = "committee below threshold", []string{"Aare"}
		b.state(ledger.TypeRoundEnd, statement.KindRoundEnd, end, "coordinator", id.String())
		return nil
	}
	request := b.state(ledger.TypeOpeningRequest, statement.KindOpeningRequest, &statement.OpeningRequest{Round: id, Contributors: contributors, Headers: headers}, "coordinator", id.String())
	openings := make(map[int][]byte)
	openers := plan.Committee
	if state == "failed-integrity" && b.lies.blames != nil {
		openers = plan.Committee[:plan.Threshold-1]
		for _, member := range plan.Committee[plan.Threshold-1:] {
			b.state(ledger.TypeOpeningFault, statement.KindOpeningFault, &statement.OpeningFault{Round: id, Member: member, Request: request, Senders: b.lies.blames}, member, id.String())
		}
		end.AtFault = b.lies.blames
	}
	for j, member := range openers {
		var column [][]byte
		for i := range shares {
			column = append(column, shares[i][j])
		}
		share, err := round.AddShares(column)
		must(b.t, err)
		openings[j] = share
		answer := share
		if b.lies.share != nil {
			answer = b.lies.share(member, bytes.Clone(share))
		}
		b.state(ledger.TypeOpeningShare, statement.KindOpeningShare, &statement.OpeningShare{Round: id, Member: member, Request: request, Share: b.put(answer)}, member, id.String())
	}
	end.Request, end.Openers, end.SharesGiven = &request, openers, true
	if state == "failed-integrity" {
		end.Reason = "noise overflow"
		b.state(ledger.TypeRoundEnd, statement.KindRoundEnd, end, "coordinator", id.String())
		return nil
	}
	sum, err := round.Open(len(chunks), func(i, k int) ([]byte, error) { return chunks[i][k], nil }, openings)
	must(b.t, err)
	data := sum.Bytes()
	if b.lies.sum != nil {
		data = b.lies.sum(question.Step, data)
		sum, err = round.ParseSum(data)
		must(b.t, err)
	}
	digest := b.put(data)
	end.Sum = &digest
	b.state(ledger.TypeRoundEnd, statement.KindRoundEnd, end, "coordinator", id.String())
	b.done = append(b.done, statement.ReleasedRound{Round: id, Step: question.Step, Contributors: contributors, Headers: headers, Sum: digest})
	return sum
}

// rawAudit is a signed statement whose bytes are given.
type rawAudit []byte

func (r rawAudit) MarshalJSON() ([]byte, error) { return r, nil }

// state signs a statement, stores it and enters it into the log. It returns the
// payload's digest. round is its round's id, or "plan" for the statement that
// makes one.
func (b *builder) state(kind string, payloadKind statement.Kind, v any, name, round string) statement.Digest {
	if b.lies.change != nil {
		b.lies.change(v)
	}
	if b.lies.forge != nil {
		v = b.lies.forge(v)
	}
	signer := name
	if b.lies.signer != nil {
		signer = b.lies.signer(v, name)
	}
	envelope, err := statement.Sign(payloadKind, v, signer, b.c.nodes[signer].Keys().Signing())
	must(b.t, err)
	_, payload, err := statement.Payload(envelope)
	must(b.t, err)
	digest := statement.DigestOf(payload)
	if round == "plan" {
		round = digest.String()
	}
	if b.lies.skip != nil && b.lies.skip(v) {
		return digest
	}
	entry := ledger.Entry{Type: kind, Study: b.id.String(), Round: round, Subject: b.put(envelope), Actor: signer}
	b.leaf(entry)
	if b.lies.twice != nil && b.lies.twice(v) {
		b.leaf(entry)
	}
	return digest
}

func (b *builder) put(data []byte) statement.Digest {
	digest := statement.DigestOf(data)
	if len(data) > 0 {
		b.files[blobFile(digest)] = &fstest.MapFile{Data: bytes.Clone(data)}
	}
	return digest
}

func (b *builder) leaf(e ledger.Entry) {
	b.now = b.now.Add(time.Second)
	e.Time = b.now
	leaf, err := e.Leaf()
	must(b.t, err)
	b.leaves = append(b.leaves, leaf)
}

// finish writes the log and signs its head.
func (b *builder) finish() {
	if b.lies.order != nil {
		b.lies.order(b.leaves)
	}
	writeLog(b.t, b.c, b.files, b.leaves)
	addDerived(b.t, b.c, b.files, b.lies.witnesses)
}

// addDerived adds what follows from the log: tiles, what hospitals cosign, proofs,
// and the attestation. witnesses says up to where each hospital has seen the log,
// nil that all saw its end.
func addDerived(t *testing.T, c *consortium, files fstest.MapFS, witnesses map[string]int) {
	t.Helper()
	leaves := leavesOf(files)
	for path, data := range ledger.Tiles(leaves) {
		files[path] = &fstest.MapFile{Data: data}
	}
	if witnesses == nil {
		witnesses = make(map[string]int)
		for _, site := range siteNames {
			witnesses[site] = len(leaves)
		}
	}
	bySize := make(map[int][]ledger.Cosignature)
	for site, size := range witnesses {
		head := head(t, leaves[:size])
		keys := c.nodes[site].Keys()
		signed, err := ledger.Cosign(head, c.now, keys.Signing())
		must(t, err)
		bySize[size] = append(bySize[size], ledger.Cosignature{Member: site, Key: keys.Signing().Public().(ed25519.PublicKey), Bytes: signed})
	}
	var cosigned [][]byte
	coordinator := c.nodes["coordinator"].Keys().Signing()
	for _, size := range slices.Backward(slices.Sorted(maps.Keys(bySize))) {
		signed, err := ledger.SignCheckpoint(head(t, leaves[:size]), coordinator)
		must(t, err)
		note := ledger.FormatCosigned(signed, ledger.Origin("test"), bySize[size])
		files[CosignedFile(uint64(size))] = &fstest.MapFile{Data: note}
		cosigned = append(cosigned, note)
	}
	id := statement.DigestOf(files[studyFile].Data)
	proofs, err := Proofs(id, leaves, Best(files[checkpointFile].Data, cosigned)...)
	must(t, err)
	for path, data := range proofs {
		files[path] = &fstest.MapFile{Data: data}
	}
	attestation, err := Attest(id, head(t, leaves), leaves, func(d statement.Digest) ([]byte, error) { return files[blobFile(d)].Data, nil }, ThisSoftware())
	if err != nil {
		return // of statements that are no statements
	}
	envelope, err := statement.Sign(KindAttestation, attestation, "coordinator", coordinator)
	must(t, err)
	files[attestationFile] = &fstest.MapFile{Data: envelope}
}

// head is the checkpoint over leaves.
func head(t *testing.T, leaves [][]byte) ledger.Checkpoint {
	t.Helper()
	root, err := ledger.RootOf(leaves)
	must(t, err)
	return ledger.Checkpoint{Origin: ledger.Origin("test"), Size: uint64(len(leaves)), Root: root}
}

func writeLog(t *testing.T, c *consortium, files fstest.MapFS, leaves [][]byte) {
	t.Helper()
	log := ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())
	var lines []byte
	for _, leaf := range leaves {
		_, err := log.Append(leaf)
		must(t, err)
		lines = append(append(lines, leaf...), '\n')
	}
	checkpoint, err := log.Checkpoint(c.nodes["coordinator"].Keys().Signing())
	must(t, err)
	files[entriesFile] = &fstest.MapFile{Data: lines}
	files[checkpointFile] = &fstest.MapFile{Data: checkpoint}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
