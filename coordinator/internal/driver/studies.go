package driver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// States of a study.
const (
	Proposed  = "proposed"
	Running   = "running"
	Completed = "completed"
	Diagnosed = "diagnosed"
	Failed    = "failed"
)

// studyState is a study and all that was decided about it.
type studyState struct {
	id        statement.Digest
	study     *study.Study
	proposed  proposed
	decisions map[string]decided // the latest of each site
	started   *started
	ended     *ended
	// Of a release that the criteria block, who had it offered all the same.
	overridden *overridden
	cards      []carded
	releases   map[string]releaseDecided // the latest of each site
	heard      map[statement.Digest]bool // envelopes of sites' decisions: each counts once
	rounds     []*roundState

	session *pipeline.Session // rebuilt from the opened sums at first use

	// Of a study that watches a release:
	missed map[statement.Digest]bool // questions whose windows go without figures
	told   int                       // windows that were reported
	report *statement.Digest         // of them; nil for none
	word   string                    // its verdict so far; empty until it is looked at
}

func (s *studyState) state() string {
	switch {
	case s.ended != nil:
		return s.ended.State
	case s.started != nil:
		return Running
	}
	return Proposed
}

// active returns the round that has not ended, if there is one.
func (s *studyState) active() *roundState {
	if n := len(s.rounds); n > 0 && !s.rounds[n-1].State().Terminal() {
		return s.rounds[n-1]
	}
	return nil
}

func (d *Driver) applyStudy(hex string, f fact) error {
	id, err := statement.ParseDigest(hex)
	if err != nil {
		return err
	}
	s := d.studies[id]
	if p, ok := f.(proposed); ok {
		if s != nil {
			return fmt.Errorf("study %s is proposed a second time", id)
		}
		return d.addStudy(id, p)
	}
	if s == nil {
		return fmt.Errorf("no study %s", id)
	}
	switch f := f.(type) {
	case decided:
		s.decisions[f.Site], s.heard[f.Envelope] = f, true
	case started:
		s.started = &f
	case missed:
		s.missed[f.Question] = true
	case told:
		s.told, s.report = f.Windows, f.Report
	case roundEnded:
		r, ok := d.rounds[f.Round]
		if !ok {
			return fmt.Errorf("no round %s", f.Round)
		}
		r.end = f.Envelope
		d.finished = append(d.finished, r)
	case ended:
		s.ended, s.session = &f, nil
	case overridden:
		if s.gate() != fairness.Blocked || s.overridden != nil {
			return fmt.Errorf("study %s has no blocked release to override", id)
		}
		s.overridden, s.ended.Release, s.ended.Offered = &f, &f.Release, &f.Offered
	case carded:
		s.cards = append(s.cards, f)
	case releaseDecided:
		s.releases[f.Site], s.heard[f.Envelope] = f, true
	default:
		return fmt.Errorf("a %s fact is of no study", kindOf(f))
	}
	return nil
}

func (d *Driver) addStudy(id statement.Digest, p proposed) error {
	source, err := d.Blobs.Get(id)
	if err != nil {
		return err
	}
	parsed, err := study.Parse(source)
	if err != nil {
		return fmt.Errorf("study %s no longer parses: %w", id, err)
	}
	s := &studyState{id: id, study: parsed, proposed: p, decisions: map[string]decided{}, missed: map[statement.Digest]bool{}, releases: map[string]releaseDecided{}, heard: map[statement.Digest]bool{}}
	d.studies[id] = s
	d.order = append(d.order, s)
	return nil
}

// Propose registers a protocol file.
func (d *Driver) Propose(researcher string, protocol, envelope []byte) (id statement.Digest, err error) {
	id = statement.DigestOf(protocol)
	var s statement.Proposal
	if _, err := statement.Open(envelope, statement.KindProposal, &s, d.keyOf(researcher, identity.RoleResearcher)); err != nil {
		return id, unsigned("the proposal", err)
	}
	if s.Study != id {
		return id, problem(Invalid, "other-study", "the study was not proposed", "the signed proposal names another protocol file", "sign the digest of the very file that is sent")
	}
	parsed, err := study.Parse(protocol)
	if err != nil {
		return id, problem(Invalid, "study-invalid", "the study was not proposed", err.Error(), "correct the file and check it with: consilium study check FILE")
	}
	if _, _, err := pipeline.New(parsed).Next(); err != nil {
		return id, problem(Invalid, "study-invalid", "the study was not proposed", err.Error(), "correct the file and check it with: consilium study check FILE")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.studies[id]; known {
		return id, nil
	}
	if _, err := d.put(protocol); err != nil {
		return id, err
	}
	name, err := d.put(envelope)
	if err != nil {
		return id, err
	}
	return id, d.commit([]write{{studyStream(id), proposed{Protocol: id, Researcher: researcher, Envelope: name, At: d.time()}}},
		d.entry(ledger.TypeProposal, id, statement.Digest{}, name, researcher))
}

// DecideStudy records a site's approval or refusal. Until the study starts a
// site may change its mind.
func (d *Driver) DecideStudy(site string, envelope []byte) error {
	var a statement.Approval
	if _, err := statement.Open(envelope, statement.KindApproval, &a, d.keyOf(site, identity.RoleSite)); err != nil {
		return unsigned("the decision", err)
	}
	if err := checkReason(a.Reason); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.study(a.Study)
	if err != nil {
		return err
	}
	if before, ok := s.decisions[site]; ok && before.Approved == a.Approved && before.Reason == a.Reason {
		return nil
	}
	if s.heard[statement.DigestOf(envelope)] {
		return saidBefore()
	}
	name, err := d.put(envelope)
	if err != nil {
		return err
	}
	return d.commit([]write{{studyStream(s.id), decided{Site: site, Approved: a.Approved, Reason: a.Reason, Envelope: name, At: d.time()}}},
		d.entry(ledger.TypeApproval, s.id, statement.Digest{}, name, site))
}

// saidBefore refuses a decision that was taken back since it was signed: entered
// once more it would say what its site no longer says, and auditors refuse it.
func saidBefore() error {
	return problem(Invalid, "said-before", "the decision was not recorded", "this very statement was recorded before, and another after it", "decide again: a new statement has another time")
}

// Start begins a study's rounds with the sites that have approved so far.
func (d *Driver) Start(researcher, hex string, envelope []byte) error {
	id, err := statement.ParseDigest(hex)
	if err != nil {
		return noStudy()
	}
	var start statement.Start
	if _, err := statement.Open(envelope, statement.KindStart, &start, d.keyOf(researcher, identity.RoleResearcher)); err != nil {
		return unsigned("the start", err)
	}
	if start.Study != id {
		return problem(Invalid, "other-study", "the study was not started", "the signed start names another study", "sign the digest of the study to start")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.study(id)
	if err != nil {
		return err
	}
	if s.proposed.Researcher != researcher {
		return problem(Denied, "not-your-study", "the study was not started", "another researcher proposed it", "ask the researcher who proposed it")
	}
	if s.started != nil {
		return nil
	}
	sites := d.approved(s)
	if least := max(2, s.study.MinimumContributors()); len(sites) < least {
		return problem(Precondition, "too-few-approvals", "the study was not started",
			fmt.Sprintf("%d sites have approved it, it needs %d", len(sites), least), "ask more sites to approve: site-agent approve "+id.String())
	}
	name, err := d.put(envelope)
	if err != nil {
		return err
	}
	return d.commit([]write{{studyStream(id), started{Sites: sites, Envelope: name, At: d.time()}}},
		d.entry(ledger.TypeStart, id, statement.Digest{}, name, researcher))
}

// approved returns the sites on the current roster that approve, ascending.
func (d *Driver) approved(s *studyState) []string {
	var sites []string
	for _, m := range d.Roster().Sites() {
		if s.decisions[m.Name].Approved {
			sites = append(sites, m.Name)
		}
	}
	slices.Sort(sites)
	return sites
}

// DecideRelease records a site's acceptance or refusal of a release.
func (d *Driver) DecideRelease(site string, envelope []byte) error {
	var r statement.ReleaseDecision
	if _, err := statement.Open(envelope, statement.KindReleaseDecision, &r, d.keyOf(site, identity.RoleSite)); err != nil {
		return unsigned("the decision", err)
	}
	if err := checkReason(r.Reason); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.studyOfRelease(r.Release)
	if err != nil {
		return err
	}
	if before, ok := s.releases[site]; ok && before.Accepted == r.Accepted && before.Reason == r.Reason {
		return nil
	}
	if s.heard[statement.DigestOf(envelope)] {
		return saidBefore()
	}
	name, err := d.put(envelope)
	if err != nil {
		return err
	}
	return d.commit([]write{{studyStream(s.id), releaseDecided{Site: site, Accepted: r.Accepted, Reason: r.Reason, Envelope: name, At: d.time()}}},
		d.entry(ledger.TypeReleaseDecision, s.id, statement.Digest{}, name, site))
}

// studyOfRelease finds the study by the digest of a release's payload.
func (d *Driver) studyOfRelease(release statement.Digest) (*studyState, error) {
	for _, s := range d.order {
		if s.ended != nil && s.ended.Offered != nil && *s.ended.Offered == release {
			return s, nil
		}
	}
	return nil, problem(NotFound, "no-such-release", "the decision was not recorded", "no study has a release of this digest", "poll for the release that is offered")
}

func (d *Driver) study(id statement.Digest) (*studyState, error) {
	s, ok := d.studies[id]
	if !ok {
		return nil, noStudy()
	}
	return s, nil
}

func noStudy() error {
	return problem(NotFound, "no-such-study", "the coordinator knows no such study", "nobody proposed a file of this digest", "list the studies with: consilium study list")
}

// time is now as facts hold it.
func (d *Driver) time() time.Time { return d.Now().UTC().Round(0).Truncate(time.Millisecond) }

// diagnosis returns the named reason in an error of the computation.
func diagnosis(err error) (*compute.Diagnosis, bool) { return errors.AsType[*compute.Diagnosis](err) }
