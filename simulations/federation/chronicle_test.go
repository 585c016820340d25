package federation

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/study"
)

// A chronicle is one consortium's life, in small: five hospitals and study after
// study in one ledger, until its evidence has everything that evidence can have.
// The suites that tamper with evidence take it from here.

// chronicleBegins is the first day of its records, long ago.
var chronicleBegins = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// chapter is one study of it.
type chapter struct {
	name     string
	protocol string
	manners  map[string][]manner // of hospitals, one for each vector they are to seal; then honest
	silent   string              // who contributes and answers no opening
	refuses  string              // who refuses the study, having approved it
	leaves   string              // who does once it has ended
	unread   bool                // nobody starts it
	ends     string              // in which state
	short    bool                // also in the short suite
}

// manner is what a hospital does when it is to seal a vector.
type manner int

const (
	honest manner = iota
	declines
	sealsGarbage // key shares that are none: who is sent one says so
	liesOfItsKey // key shares of another key: the sum does not open and nobody can be blamed
)

var hospitalNames = []string{"Aarau", "Basel", "Bern", "Chur", "Zug"}

const (
	binaryOutcome = `{column: readmitted, type: binary, positive: ["1"]}`
	doseOutcome   = `{column: dose, type: number, range: [0, 100], unit: mg}`
	timeOutcome   = `{type: survival, time: {column: days, range: [0, 400], unit: d, grid: {step: 40}}, event: {column: died, positive: ["1"]}}`
)

// chronicled is the protocol of a study of the chronicle.
func chronicled(name string, version int, outcome, model, more string) string {
	return fmt.Sprintf(`study: %s
version: %d
outcome: %s
features:
  - {column: age, type: number, range: [18, 100]}
  - {column: marker, type: number, range: [-6, 6]}
model: %s
fairness:
  bootstrap: 0
  attributes:
    - {column: sex, levels: [f, m]}
%s`, name, version, outcome, model, more)
}

// chapters are the studies, in their order. A release is watched by its digest,
// which stands for RELEASE.
func chapters() []chapter {
	all := func(n int, m ...manner) map[string][]manner {
		out := make(map[string][]manner)
		for _, name := range hospitalNames[:n] {
			out[name] = m
		}
		return out
	}
	const rare = "    - {column: clan, levels: [Alder, Birch, Cedar, Dogwood]}\n  disclosure: complementary\n"
	const quick = "schedule: {rounds: 25, tolerance: 0.1}\n"
	return []chapter{
		{name: "blocked", short: true, ends: "completed", protocol: chronicled("readmission", 1, binaryOutcome, "{kind: glm, family: binomial}", rare+`  criteria: [{metric: tpr, attribute: sex, margin: 0, on_fail: block, on_insufficient: block}]
mitigation: {method: recalibrate, attribute: sex, strength: [0.5, 1], release: 1}
validation: {kind: k-fold, folds: 2}
`+quick)},
		{name: "watch", short: true, ends: "completed", manners: map[string][]manner{
			"Basel": {honest, honest, honest, declines}, "Bern": {honest, honest, honest, declines}, "Chur": {honest, honest, honest, declines},
		}, protocol: strings.Replace(chronicled("readmission-watch", 1, binaryOutcome, "{kind: glm, family: binomial}", `mitigation: {method: recalibrate, attribute: sex, strength: [0.5, 1], release: 1}
monitor:
  release: "RELEASE"
  periods: {column: visit, type: date, from: 2025-01-01, every: 30d, times: 4}
`), "  bootstrap: 0\n", "", 1)},
		{name: "faulty", ends: "failed", manners: map[string][]manner{"Aarau": {sealsGarbage}}, protocol: chronicled("readmission", 2, binaryOutcome, "{kind: glm, family: binomial}", "")},
		{name: "amended", ends: "completed", protocol: chronicled("readmission", 3, binaryOutcome, "{kind: glm, family: binomial}", rare+
			"cohort: {exclude_if: [{column: part, equals: [\"x\"]}]}\n"+quick)},
		{name: "noisy", short: true, ends: "completed", manners: map[string][]manner{"Bern": {honest, honest, declines}}, protocol: chronicled("dose", 1, doseOutcome, "{kind: glm, family: gaussian}", `  noise: {epsilon: 8, clip: 25, colluding: 1}
  criteria: [{metric: mae, attribute: sex, margin: 1, on_fail: warn}]
`)},
		{name: "trees", ends: "completed", silent: "Zug", manners: map[string][]manner{"Bern": {honest, declines}}, protocol: chronicled("dose-by-trees", 1, doseOutcome, "{kind: boost, trees: 2, depth: 2, bins: 8}", "")},
		{name: "neural", ends: "completed", protocol: chronicled("readmission-by-net", 1, binaryOutcome, "{kind: neural, hidden: [2], epochs: 1}", "schedule: {rounds: 2}\n")},
		{name: "survival", ends: "completed", refuses: "Chur", protocol: chronicled("survival", 1, timeOutcome, "{kind: cox, stratify: site}", quick)},
		{name: "described", ends: "completed", protocol: chronicled("who", 1, binaryOutcome, "{kind: describe}", "")},
		{name: "diagnosed", ends: "diagnosed", protocol: strings.Replace(chronicled("separated", 1, binaryOutcome, "{kind: glm, family: binomial}", quick), "{column: marker, type: number, range: [-6, 6]}", "{column: same, type: number, range: [-6, 6]}", 1)},
		{name: "too few", ends: "failed", leaves: "Zug", manners: all(3, declines), protocol: chronicled("few", 1, binaryOutcome, "{kind: glm, family: binomial}", "")},
		{name: "spoilt", short: true, ends: "failed", manners: map[string][]manner{"Basel": {liesOfItsKey}}, protocol: chronicled("spoilt", 1, binaryOutcome, "{kind: glm, family: binomial}", "")},
		{name: "unstarted", ends: "proposed", unread: true, refuses: "Basel", protocol: chronicled("someday", 1, binaryOutcome, "{kind: glm, family: binomial}", "")},
	}
}

// chronicledPatients have something for every study. Of clan Cedar there are seven,
// of Dogwood nobody; four of a hospital are of part x.
func chronicledPatients(hospital int) records.Source {
	r := rand.New(rand.NewPCG(uint64(hospital), 3))
	var rows [][]string
	for i := range 240 {
		age, marker := max(18, min(100, 65+12*r.NormFloat64())), max(-6, min(6, r.NormFloat64()))
		sex, clan, part := []string{"f", "m"}[r.IntN(2)], []string{"Alder", "Birch"}[r.IntN(2)], ""
		if i%34 == 0 && hospital < 1 {
			clan = "Cedar"
		}
		if i < 2 {
			part = "x"
		}
		scatter := 2.0
		if sex == "m" {
			scatter = 8
		}
		month := i % 4
		eta := -1.2 + 0.03*(age-65) + 0.8*marker
		if sex == "f" && month >= 2 {
			eta += 3 // an alert
		}
		chance := func() string {
			if r.Float64() < 1/(1+math.Exp(-eta)) {
				return "1"
			}
			return "0"
		}
		visit := chronicleBegins.AddDate(0, 0, 30*month+r.IntN(30)).Format("2006-01-02")
		number := func(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }
		rows = append(rows, []string{visit, chance(), number(max(0, min(100, 70-0.5*age+scatter*r.NormFloat64()))), number(min(390, 200*r.ExpFloat64()*math.Exp(-eta/2))), chance(),
			number(age), number(marker), "1", sex, clan, part})
	}
	return records.Memory([]string{"visit", "readmitted", "dose", "days", "died", "age", "marker", "same", "sex", "clan", "part"}, rows)
}

// evidence is what an auditor has of one study of the chronicle.
type evidence struct {
	chapter
	study       statement.Digest
	bundle      fstest.MapFS
	before      fstest.MapFS // as it was once before; nil for none
	ciphertexts fstest.MapFS // the bundle with them; nil for none
}

// chronicle is the evidence of all its studies, and the keys of a coordinator that
// turns against everybody.
type chronicle struct {
	studies    []evidence
	governance ed25519.PublicKey
	key        ed25519.PrivateKey
	name       string
}

// told is the chronicle of this test binary, once it is there.
var told struct {
	sync.Mutex
	*chronicle
}

// tell gives the chronicle, which is lived once; in the short suite, some studies of
// it.
func tell(t *testing.T) *chronicle {
	t.Helper()
	told.Lock()
	defer told.Unlock()
	if told.chronicle == nil {
		told.chronicle = live(t)
	}
	return told.chronicle
}

func live(t *testing.T) *chronicle {
	t.Helper()
	var sites []Site
	for i, name := range hospitalNames {
		sites = append(sites, Site{Name: name, Records: chronicledPatients(i)})
	}
	stage := &stage{}
	all := slices.DeleteFunc(chapters(), func(c chapter) bool { return testing.Short() && !c.short })
	spec := Spec{Protocol: []byte(all[0].protocol), Sites: sites, Dir: t.TempDir(), Seed: 1, onSite: stage.direct, Progress: func(line string) { t.Log(line) }}
	first, err := spec.check()
	ok(t, err)
	c, err := newConsortium(t.Context(), spec, first)
	ok(t, err)
	defer func() { ok(t, c.Close()) }()
	ok(t, c.startSites())
	node, err := identity.OpenNode(filepath.Join(c.coordinatorDir(), "identity"))
	ok(t, err)
	out := &chronicle{governance: c.governance.Public(), key: node.Keys().Signing(), name: node.Name()}
	release := ""
	for _, ch := range all {
		begun := time.Now()
		ch.protocol = strings.Replace(ch.protocol, "RELEASE", release, 1)
		e := stage.play(t, c, ch)
		if ch.name == "blocked" {
			release = settle(t, c)
			e.before, e.bundle = e.bundle, witnessed(t, c)
		}
		if ch.name == "noisy" {
			e.ciphertexts = whole(t, c)
		}
		out.studies = append(out.studies, e)
		t.Logf("%s: %.1f s, %d files", ch.name, time.Since(begun).Seconds(), len(e.bundle))
	}
	return out
}

// stage is where hospitals do as a chapter has it.
type stage struct {
	mu      sync.Mutex
	chapter chapter
	sealed  map[string]int // vectors, by hospital, of this chapter
}

// direct lets a hospital do as it is told.
func (s *stage) direct(site string, o *siteagent.Options) {
	o.Policy.Releases, o.Policy.MinimumContributors = siteagent.Manual, 3
	o.SkipOpening = func(string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.chapter.silent == site
	}
	o.Seal = func(r *secagg.Round, values []float64, emit func(int, []byte) error, seeds ...[secagg.SeedBytes]byte) ([][]byte, error) {
		m := s.next(site)
		if m == declines {
			return nil, errors.New("not this one")
		}
		shares, err := siteagent.Seal(r, values, emit, seeds...)
		for _, share := range shares {
			switch m {
			case sealsGarbage:
				copy(share, bytes.Repeat([]byte{0xff}, len(share)))
			case liesOfItsKey:
				clear(share)
			}
		}
		return shares, err
	}
}

func (s *stage) next(site string) manner {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, manners := s.sealed[site], s.chapter.manners[site]
	if s.sealed[site]++; n < len(manners) {
		return manners[n]
	}
	return honest
}

// play runs a chapter to its end and fetches its evidence, which holds.
func (s *stage) play(t *testing.T, c *consortium, ch chapter) evidence {
	t.Helper()
	protocol, err := study.Parse([]byte(ch.protocol))
	ok(t, err)
	s.mu.Lock()
	s.chapter, s.sealed = ch, make(map[string]int)
	s.mu.Unlock()
	c.protocol, c.spec.Drops = protocol, nil
	if ch.silent != "" {
		c.spec.Drops = []Drop{{ch.silent, Opening}}
	}
	e := evidence{chapter: ch, study: protocol.Digest()}
	ok(t, c.propose(t.Context()))
	ok(t, c.decided(t.Context(), "decisions about "+ch.name))
	if ch.refuses != "" { // having approved, by policy
		ok(t, siteagent.Decide(c.siteDir(ch.refuses), siteagent.Decision{Kind: siteagent.DecideStudy, Digest: e.study, Reason: "not our patients"}))
		ok(t, c.follow(t.Context(), "the refusal of "+ch.name, func(s *coordinator.StudyStatus) bool { return tally(s.Decisions, "refused") == 1 }))
	}
	if !ch.unread {
		ok(t, c.startStudy(t.Context()))
		ok(t, c.follow(t.Context(), ch.name, c.roundsEnded()))
	}
	if ch.leaves != "" {
		ok(t, siteagent.Decide(c.siteDir(ch.leaves), siteagent.Decision{Kind: siteagent.DecideStudy, Digest: e.study, Reason: "no longer"}))
		ok(t, c.follow(t.Context(), "the withdrawal from "+ch.name, func(s *coordinator.StudyStatus) bool { return tally(s.Decisions, "refused") == 1 }))
	}
	status, err := c.status()
	ok(t, err)
	if status.State != ch.ends {
		t.Fatalf("%s is %s (%s), not %s", ch.name, status.State, status.Reason, ch.ends)
	}
	e.bundle = witnessed(t, c)
	return e
}

// settle has the blocked release overridden, decided about by every hospital, one of
// which refuses, and its cards published.
func settle(t *testing.T, c *consortium) (release string) {
	t.Helper()
	overrideRelease(t, c)
	asked := make(map[string]bool)
	ok(t, c.follow(t.Context(), "decisions about the release", func(s *coordinator.StudyStatus) bool {
		for _, name := range hospitalNames {
			reviews, err := siteagent.Releases(c.siteDir(name))
			for _, r := range reviews {
				if err == nil && !asked[name] && r.State == siteagent.Waiting {
					asked[name] = true
					ok(t, siteagent.Decide(c.siteDir(name), siteagent.Decision{Kind: siteagent.DecideRelease, Digest: r.Release, Yes: name != "Zug", Reason: "looked at"}))
				}
			}
		}
		return tally(s.ReleaseDecisions, "accepted")+tally(s.ReleaseDecisions, "refused") == len(hospitalNames)
	}))
	report, err := c.Report(t.Context())
	ok(t, err)
	for format, card := range map[string][]byte{"markdown": report.Card, "pdf": report.CardPDF, "chai-xml": report.CardXML} {
		publish(t, c, report.Release.Digest, format, card)
	}
	return report.Release.Digest
}

// witnessed fetches a study's evidence once all hospitals have cosigned it. It holds
// for both verifiers.
func witnessed(t *testing.T, c *consortium) (bundle fstest.MapFS) {
	t.Helper()
	ok(t, c.follow(t.Context(), "cosignatures", func(*coordinator.StudyStatus) bool {
		bundle = fetched(t, c)
		f, err := audit.Verify(bundle, audit.Trust{Governance: c.governance.Public()})
		ok(t, err)
		if failed, bad := f.First(audit.Failed); bad {
			t.Fatalf("%s: %s", failed.Check, failed.Detail)
		}
		return f.Witnesses == len(hospitalNames)
	}))
	if _, err := independent.Verify(bundle, identity.GovernanceFingerprint(c.governance.Public())); err != nil {
		t.Fatalf("the second verifier: %v", err)
	}
	return bundle
}

func fetched(t *testing.T, c *consortium) fstest.MapFS {
	t.Helper()
	bundle := fstest.MapFS{}
	ok(t, fetch(t.Context(), consiliumv1.NewLedgerServiceClient(c.auditor.conn), c.digest(), false, func(path string, data []byte) error {
		bundle[path] = &fstest.MapFile{Data: bytes.Clone(data), Mode: 0o644}
		return nil
	}))
	return bundle
}

// overrideRelease has the auditor override what the study's criteria block.
func overrideRelease(t *testing.T, c *consortium) {
	t.Helper()
	studies := consiliumv1.NewStudyServiceClient(c.auditor.conn)
	answer, err := studies.Result(t.Context(), &consiliumv1.ResultRequest{Study: c.digest()})
	ok(t, err)
	_, report, err := statement.Payload(answer.GetAudit())
	ok(t, err)
	envelope, err := statement.Sign(statement.KindReleaseOverride, statement.ReleaseOverride{
		Study: c.protocol.Digest(), Audit: statement.DigestOf(report), Gate: fairness.Blocked, Auditor: auditorName, Reason: "to see it through", Time: c.clock.Now().UTC(),
	}, auditorName, c.auditor.node.Keys().Signing())
	ok(t, err)
	_, err = studies.OverrideRelease(t.Context(), &consiliumv1.OverrideReleaseRequest{Study: c.digest(), Override: envelope})
	ok(t, err)
}

func publish(t *testing.T, c *consortium, release, format string, card []byte) {
	t.Helper()
	of, err := statement.ParseDigest(release)
	ok(t, err)
	envelope, err := statement.Sign(statement.KindCard, statement.Card{
		Study: c.protocol.Digest(), Release: of, Format: format, Card: statement.DigestOf(card), Researcher: researcherName, Time: c.clock.Now().UTC(),
	}, researcherName, c.researcher.node.Keys().Signing())
	ok(t, err)
	_, err = c.studies().PublishCard(t.Context(), &consiliumv1.PublishCardRequest{Statement: envelope, Card: card})
	ok(t, err)
}
