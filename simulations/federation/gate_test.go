package federation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// gated is a study of a dose that scatters four times as much in men, whom a
// model by age therefore serves worse. The criterion is put in by each test.
const gated = `study: gated
version: 1
title: A dose that scatters more in men
outcome: {column: dose, type: number, range: [0, 100], unit: mg}
features:
  - {column: age, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
  reference: {sex: female}
  bootstrap: 0
  criteria:
    - CRITERION
privacy: {minimum_contributors: 3, threshold: supermajority}
`

// scattered are hospitals whose patients the gated study is about.
func scattered() []Site {
	var sites []Site
	for i := range 3 {
		r := rand.New(rand.NewPCG(uint64(i), 5))
		var rows [][]string
		for j := range 200 {
			age, sex, sd := 20+60*r.Float64(), "female", 2.0
			if j%2 == 0 {
				sex, sd = "male", 8
			}
			dose := min(max(70-0.5*age+sd*r.NormFloat64(), 0), 100)
			rows = append(rows, []string{fmt.Sprint(dose), fmt.Sprint(age), sex})
		}
		sites = append(sites, Site{Name: fmt.Sprintf("site-%02d", i+1), Records: records.Memory([]string{"dose", "age", "sex"}, rows)})
	}
	return sites
}

// gatedRun is a consortium that has run the gated study to the end of its rounds.
func gatedRun(t *testing.T, criterion string, policy func(*siteagent.Policy)) *consortium {
	t.Helper()
	spec := Spec{Protocol: []byte(strings.Replace(gated, "CRITERION", criterion, 1)), Sites: scattered(), Dir: t.TempDir()}
	if policy != nil {
		spec.onSite = func(_ string, o *siteagent.Options) { policy(&o.Policy) }
	}
	protocol, err := spec.check()
	ok(t, err)
	spec.Progress = func(line string) { t.Log(line) }
	c, err := newConsortium(t.Context(), spec, protocol)
	ok(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ok(t, c.propose(t.Context()))
	ok(t, c.startSites())
	ok(t, c.follow(t.Context(), "decisions about the study", c.everySiteDecided))
	ok(t, c.startStudy(t.Context()))
	ok(t, c.follow(t.Context(), "the rounds", c.roundsEnded()))
	return c
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is a study service that a member calls.
func (c *consortium) as(p *person) consiliumv1.StudyServiceClient {
	return consiliumv1.NewStudyServiceClient(p.conn)
}

// override signs the override of the study's release as a member.
func (c *consortium) override(t *testing.T, p *person, reason string) []byte {
	t.Helper()
	answer, err := c.studies().Result(t.Context(), &consiliumv1.ResultRequest{Study: c.digest()}, grpc.WaitForReady(true))
	ok(t, err)
	_, payload, err := statement.Payload(answer.GetAudit())
	ok(t, err)
	envelope, err := statement.Sign(statement.KindReleaseOverride, statement.ReleaseOverride{
		Study: c.protocol.Digest(), Audit: statement.DigestOf(payload), Gate: fairness.Blocked, Auditor: p.node.Name(), Reason: reason, Time: c.clock.Now(),
	}, p.node.Name(), p.node.Keys().Signing())
	ok(t, err)
	return envelope
}

// heard waits until every agent has polled for work that came after the study's
// end: whatever the coordinator offers, it has been offered by then.
func (c *consortium) heard(t *testing.T) {
	t.Helper()
	ok(t, c.follow(t.Context(), "a cosignature of the end by everybody", func(*coordinator.StudyStatus) bool {
		bundle := t.TempDir()
		c.fetchInto(t, bundle)
		f, err := audit.Verify(os.DirFS(bundle), audit.Trust{Governance: c.governance.Public()})
		ok(t, err)
		return f.Holds() && strings.Contains(detail(f, "witnesses"), "3 of 3")
	}))
}

// fetchInto writes the bundle that an auditor gets, ciphertexts included.
func (c *consortium) fetchInto(t *testing.T, dir string) {
	t.Helper()
	whole := newBundle()
	ok(t, fetch(t.Context(), consiliumv1.NewLedgerServiceClient(c.auditor.conn), c.digest(), true, func(path string, data []byte) error {
		return whole.add(path, func([]byte) ([]byte, error) { return data, nil })
	}))
	ok(t, whole.write(dir))
}

func detail(f *audit.Findings, check string) string {
	for _, finding := range f.Checks {
		if finding.Check == check {
			return finding.Detail
		}
	}
	return ""
}

// verified fetches the evidence and has both verifiers hold it.
func (c *consortium) verified(t *testing.T) *audit.Findings {
	t.Helper()
	bundle := filepath.Join(t.TempDir(), "bundle")
	c.fetchInto(t, bundle)
	f, err := audit.Verify(os.DirFS(bundle), audit.Trust{Governance: c.governance.Public()})
	ok(t, err)
	if failed, bad := f.First(audit.Failed); bad {
		t.Errorf("%s: %s", failed.Check, failed.Detail)
	}
	if _, err := independent.Verify(os.DirFS(bundle), identity.GovernanceFingerprint(c.governance.Public())); err != nil {
		t.Errorf("the second verifier: %v", err)
	}
	return f
}

const scatterFails = "{metric: mae, attribute: sex, margin: 0.5}"

// What the study's criteria block reaches no hospital, also after the coordinator
// was killed and started again, until an auditor overrides it; then every hospital
// is offered it under the override, which no policy accepts on its own.
func TestABlockedModelReachesNoHospitalUntilAnAuditorOverrides(t *testing.T) {
	c := gatedRun(t, scatterFails, func(p *siteagent.Policy) { p.Warnings = siteagent.Accept })
	s, err := c.status()
	ok(t, err)
	if s.State != "completed" || s.Gate != fairness.Blocked || !s.Release.IsZero() || s.Override != nil || len(s.GateReasons) != 1 || !strings.Contains(s.GateReasons[0], "male") {
		t.Fatalf("the study is %s, its release %q %v", s.State, s.Gate, s.GateReasons)
	}
	restart := func() {
		t.Helper()
		ok(t, c.stopCoordinator())
		ok(t, c.startCoordinator(nil))
	}
	restart()
	c.heard(t)
	offered := func() (reviews []siteagent.ReleaseReview) {
		for _, site := range c.spec.Sites {
			here, err := siteagent.Releases(c.siteDir(site.Name))
			ok(t, err)
			reviews = append(reviews, here...)
		}
		return reviews
	}
	if reviews := offered(); len(reviews) != 0 {
		t.Fatalf("hospitals were offered %+v", reviews)
	}
	f := c.verified(t)
	if f.Gate != fairness.Blocked || f.Release != "" || f.Override != nil || !strings.Contains(detail(f, "release gate"), "mae of sex: fail") {
		t.Errorf("the evidence says %+v: %s", f, detail(f, "release gate"))
	}

	if r, err := c.Report(t.Context()); err != nil || r.Gate == nil || r.Gate.Outcome != fairness.Blocked || r.Release != nil || r.Card != nil || !strings.Contains(string(r.Page), "no hospital is offered the model") {
		t.Errorf("the report of a blocked study: %+v, %v", r, err)
	}

	// Who may not, and what is no override.
	send := func(p *person, envelope []byte) error {
		_, err := c.as(p).OverrideRelease(context.Background(), &consiliumv1.OverrideReleaseRequest{Study: c.digest(), Override: envelope}, grpc.WaitForReady(true))
		return err
	}
	why := "for women only, ethics vote 2026-118"
	signed := c.override(t, c.auditor, why)
	refused := func(err error, words string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("refused with %v, not %q", err, words)
		}
	}
	refused(send(c.researcher, c.override(t, c.researcher, why)), "researcher may not")
	refused(send(c.researcher, signed), "researcher may not")
	refused(send(c.auditor, c.override(t, c.researcher, why)), "not signed")
	refused(send(c.auditor, c.override(t, c.auditor, " ")), "no reason")

	ok(t, send(c.auditor, signed))
	restart()
	ok(t, send(c.auditor, signed)) // its answer was lost: nothing changes
	refused(send(c.auditor, c.override(t, c.auditor, "once more")), "overrode it before")

	ok(t, c.follow(t.Context(), "the release at every hospital", func(*coordinator.StudyStatus) bool { return len(offered()) == 3 }))
	for _, r := range offered() {
		if r.State != siteagent.Waiting || r.Gate != fairness.Blocked || r.Override == nil || r.Override.Reason != why || r.Override.Auditor != c.auditor.node.Name() {
			t.Errorf("a hospital was offered %+v", r)
		}
	}
	for _, site := range c.spec.Sites {
		ok(t, siteagent.Decide(c.siteDir(site.Name), siteagent.Decision{Kind: siteagent.DecideRelease, Digest: offered()[0].Release, Yes: true}))
	}
	ok(t, c.follow(t.Context(), "acceptance by hand", func(s *coordinator.StudyStatus) bool { return tally(s.ReleaseDecisions, "accepted") == 3 }))

	// A prediction rests on the override as it does on the release: without it, or
	// with another, the installed model is refused.
	dir, patient := c.siteDir("site-01"), records.Memory([]string{"age", "sex"}, [][]string{{"50", "male"}})
	if _, err := siteagent.Predict(dir, "gated", patient, io.Discard); err != nil {
		t.Errorf("under an override: %v", err)
	}
	part := filepath.Join(dir, "releases", offered()[0].Release.String(), "override.json")
	ok(t, os.Rename(part, part+".away"))
	if _, err := siteagent.Predict(dir, "gated", patient, io.Discard); err == nil || !strings.Contains(err.Error(), "criteria block the release") {
		t.Errorf("a blocked model without its override predicts: %v", err)
	}
	ok(t, os.Rename(part+".away", part))

	s, err = c.status()
	ok(t, err)
	if s.Gate != fairness.Blocked || s.Override == nil || s.Override.Reason != why {
		t.Errorf("the status forgets the override: %+v", s)
	}
	f = c.verified(t)
	if f.Override == nil || f.Override.Reason != why || f.Release == "" {
		t.Errorf("the evidence says %+v", f)
	}
	if entries, _ := kinds(t, c); !slices.Equal(entries, []string{"audit", "release-override", "release"}) {
		t.Errorf("the ledger holds %v", entries)
	}
}

// kinds lists the entries about the audit and the release in the ledger.
func kinds(t *testing.T, c *consortium) (found []string, err error) {
	t.Helper()
	bundle := t.TempDir()
	c.fetchInto(t, bundle)
	leaves, err := os.ReadFile(filepath.Join(bundle, "entries.jsonl"))
	ok(t, err)
	for line := range strings.Lines(string(leaves)) {
		for _, kind := range []string{"audit", "release-override", "release"} {
			if strings.Contains(line, `"type":"`+kind+`"`) {
				found = append(found, kind)
			}
		}
	}
	return found, nil
}

// Each verdict does what the study has declared for it, and each policy meets a
// warning as the hospital has decided.
func TestEveryDecisionReachesTheHospitals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		criterion, policy string
		gate, state       string
	}{
		"passes": {"{metric: mae, attribute: sex, margin: 50}", siteagent.Refuse, fairness.Offered, siteagent.Accepted},
		"fails, and the study only warns; accepted":       {"{metric: mae, attribute: sex, margin: 0.5, on_fail: warn}", siteagent.Accept, fairness.OfferedWithWarning, siteagent.Accepted},
		"fails, and the study only warns; asked":          {"{metric: mae, attribute: sex, margin: 0.5, on_fail: warn}", siteagent.Ask, fairness.OfferedWithWarning, siteagent.Waiting},
		"fails, and the study only warns; refused":        {"{metric: mae, attribute: sex, margin: 0.5, on_fail: warn}", siteagent.Refuse, fairness.OfferedWithWarning, siteagent.Refused},
		"undecided, and the study lets it pass; accepted": {"{metric: mae, attribute: sex, margin: 4.8, on_insufficient: offer}", siteagent.Refuse, fairness.Offered, siteagent.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			c := gatedRun(t, test.criterion, func(p *siteagent.Policy) { p.Warnings = test.policy })
			s, err := c.status()
			ok(t, err)
			if s.Gate != test.gate {
				t.Fatalf("the release is %q: %v", s.Gate, s.GateReasons)
			}
			ok(t, c.follow(t.Context(), "the review everywhere", func(*coordinator.StudyStatus) bool {
				for _, site := range c.spec.Sites {
					reviews, err := siteagent.Releases(c.siteDir(site.Name))
					if err != nil || len(reviews) != 1 || reviews[0].State != test.state {
						return false
					}
				}
				return true
			}))
			if f := c.verified(t); f.Gate != test.gate || f.Override != nil {
				t.Errorf("the evidence says %q", f.Gate)
			}
			_, err = c.as(c.auditor).OverrideRelease(t.Context(), &consiliumv1.OverrideReleaseRequest{Study: c.digest(), Override: c.override(t, c.auditor, "why")})
			if err == nil || !strings.Contains(err.Error(), "nothing blocks it") {
				t.Errorf("an override of it: %v", err)
			}
		})
	}
}
