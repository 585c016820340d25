package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/internal/records"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/study"
)

// Watch is a second study, which watches the release of the first on the
// patients of a later time.
type Watch struct {
	Protocol []byte // that says release: this, where a real one has the release's digest
	Sites    []Site // of the first study, with their later patients; who has none is left out
	Bundle   string // as of a Spec
}

// thisRelease stands in a watch's protocol for a release that is not made yet.
var thisRelease = []byte("release: this")

// protocol is the watch's study once there is a release.
func (w *Watch) protocol(release string) (*study.Study, error) {
	if !bytes.Contains(w.Protocol, thisRelease) {
		return nil, errors.New("the study that watches must say release: this; the simulation writes the release's digest there")
	}
	s, err := study.Parse(bytes.Replace(w.Protocol, thisRelease, []byte("release: "+`"`+release+`"`), 1))
	if err == nil && s.Monitor == nil {
		err = errors.New("the study that watches has no monitor section")
	}
	return s, err
}

// Check refuses what cannot be run, before anything is started.
func (w *Watch) Check(first []Site) error {
	s, err := w.protocol(fmt.Sprintf("%064d", 0))
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, site := range first {
		known[site.Name] = true
	}
	for _, site := range w.Sites {
		if !known[site.Name] {
			return fmt.Errorf("site %q has later patients and no part in the first study", site.Name)
		}
		if _, _, err := records.Load(s, site.Records); err != nil {
			return fmt.Errorf("later patients of site %s: %w", site.Name, err)
		}
	}
	return nil
}

// replaced is a hospital's records, which time replaces.
type replaced struct {
	mu  sync.Mutex
	now records.Source
}

func (r *replaced) Open() (records.Rows, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Open()
}

func (r *replaced) replace(with records.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = with
}

// Watch runs the second study with the hospitals, keys and ledger of the first.
func (c *consortium) Watch(ctx context.Context, release string) (*Result, error) {
	w := c.spec.Watch
	protocol, err := w.protocol(release)
	if err != nil {
		return nil, err
	}
	if len(w.Sites) == 0 {
		return nil, errors.New("nobody has later patients")
	}
	rows, err := w.Sites[0].Records.Open()
	if err != nil {
		return nil, err
	}
	nobody := records.Memory(rows.Columns(), nil)
	if err := rows.Close(); err != nil {
		return nil, err
	}
	later := make(map[string]records.Source)
	for _, site := range w.Sites {
		later[site.Name] = site.Records
	}
	for i := range c.spec.Sites {
		source := later[c.spec.Sites[i].Name]
		if source == nil {
			source = nobody
		}
		c.spec.Sites[i].Records.(*replaced).replace(source)
	}
	c.protocol, c.spec.Bundle = protocol, w.Bundle
	c.spec.Progress(fmt.Sprintf("watching release %.8s with study %.8s", release, c.digest()))
	if err := c.propose(ctx); err != nil {
		return nil, fmt.Errorf("the study that watches was not proposed: %w", err)
	}
	if err := c.decided(ctx, "the sites' decisions about the study that watches"); err != nil {
		return nil, err
	}
	if err := c.startStudy(ctx); err != nil {
		return nil, fmt.Errorf("the study that watches was not started: %w", err)
	}
	ended := c.roundsEnded()
	if err := c.follow(ctx, "the windows", func(s *coordinator.StudyStatus) bool {
		if ended(s) {
			return true
		}
		c.skipToWindow(s)
		return false
	}); err != nil {
		return nil, err
	}
	if err := c.recertify(ctx); err != nil {
		return nil, err
	}
	return c.Report(ctx)
}

// recertify gives the people new certificates, whose last ones ended while only
// the hospitals and the coordinator were at work: their old enrolment, sent again,
// gets one as long as they are on the roster.
func (c *consortium) recertify(ctx context.Context) error {
	for _, p := range []*person{c.researcher, c.auditor} {
		if !p.node.NeedsRenewal(c.clock.Now()) {
			continue
		}
		enrolment, err := p.node.Enrolment()
		if err != nil {
			return err
		}
		conn, err := dial(c.address, p.node.RenewalTLS(c.clock.Now))
		if err != nil {
			return err
		}
		answer, err := consiliumv1.NewEnrollmentServiceClient(conn).Admission(ctx, &consiliumv1.AdmissionRequest{Enrolment: enrolment})
		if err := errors.Join(err, conn.Close()); err != nil {
			return err
		}
		if err := p.node.SetCertificate(answer.GetCertificate()); err != nil {
			return err
		}
		if err := p.conn.Close(); err != nil {
			return err
		}
		if p.conn, err = dial(c.address, p.node.ClientTLS(c.clock.Now)); err != nil {
			return err
		}
	}
	return nil
}

// skipToWindow moves everyone's clock to the end of the next window where
// nothing else is waited for.
func (c *consortium) skipToWindow(s *coordinator.StudyStatus) {
	if n := len(s.Rounds); n > 0 && !round.State(s.Rounds[n-1].State).Terminal() {
		return
	}
	server := c.currentServer()
	at, ok := server.Wake()
	// It is a window's end only if no round began since the look: a round's deadline
	// must not be skipped to.
	now, err := server.Status(c.digest())
	if err != nil || len(now.Rounds) != len(s.Rounds) {
		return // the next look says why
	}
	if ok && at.After(c.clock.Now()) {
		c.clock.SkipTo(at)
		server.Nudge()
	}
}
