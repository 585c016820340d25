package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	auditpage "github.com/consilium-fl/consilium/compute/fairness/page"
	resultpage "github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// published is a study that has a result.
type published struct {
	*driver.Outcome
	found *pipeline.Result
}

// published reads a study's result.
func (s *site) published(hex string) (*published, error) {
	o, err := s.driver.Outcome(hex)
	if err != nil {
		return nil, err
	}
	if o.Result == nil {
		return nil, &problem{Status: http.StatusNotFound, What: "there is no result", Why: "the study is " + o.Status.State, Next: "look at the study's page"}
	}
	p := &published{Outcome: o, found: new(pipeline.Result)}
	if err := json.Unmarshal(o.Result, p.found); err != nil {
		return nil, fmt.Errorf("the result of study %s cannot be read: %w", o.Status.Study, err)
	}
	return p, nil
}

// reported is published for a study that must have a bias audit. The pages are
// made from the result; that its audit is the signed one is checked here.
func (s *site) reported(hex string) (*published, error) {
	p, err := s.published(hex)
	if err != nil {
		return nil, err
	}
	if p.Audit == nil || p.found.Audit == nil || p.found.Model == nil {
		return nil, &problem{Status: http.StatusNotFound, What: "there is no bias audit", Why: "the study has no model that could be audited", Next: "look at the study's page"}
	}
	var signed json.RawMessage
	if _, err := statement.Open(p.Audit, statement.KindAudit, &signed, s.driver.Roster().KeyOfRole(identity.RoleCoordinator)); err != nil {
		return nil, fmt.Errorf("the signed audit of study %s: %w", p.Status.Study, err)
	}
	derived, err := statement.Encode(p.found.Audit)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(derived, signed) {
		return nil, fmt.Errorf("the audit in the result of study %s is not the signed one", p.Status.Study)
	}
	return p, nil
}

// names says how the signed evidence names what is shown.
func (p *published) names() ([][2]string, error) {
	var facts [][2]string
	for _, signed := range []struct {
		name     string
		envelope []byte
	}{{"signed report", p.Audit}, {"override", p.Override}, {"release", p.Release}} {
		if signed.envelope == nil {
			continue
		}
		_, payload, err := statement.Payload(signed.envelope)
		if err != nil {
			return nil, err
		}
		facts = append(facts, [2]string{signed.name, statement.DigestOf(payload).String()})
	}
	return facts, nil
}

// rendered is a page that stands alone, of a study.
type rendered func(hex string) ([]byte, error)

// alone shows such a page.
func (s *site) alone(make rendered) page {
	return func(w http.ResponseWriter, r *http.Request) error {
		html, err := make(r.PathValue("study"))
		if err != nil {
			return err
		}
		return document(w, html)
	}
}

func (s *site) report(hex string) ([]byte, error) {
	p, err := s.reported(hex)
	if err != nil {
		return nil, err
	}
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	d := auditpage.Document{Cohort: p.found.Cohort, Model: p.found.Model.GLM, Audit: p.found.Audit, Diagnoses: p.found.Diagnoses, Override: p.override()}
	for _, n := range names {
		d.Evidence = append(d.Evidence, auditpage.Fact{Name: n[0], Value: n[1]})
	}
	return auditpage.Render(d)
}

func (s *site) result(hex string) ([]byte, error) {
	p, err := s.published(hex)
	if err != nil {
		return nil, err
	}
	protocol, err := s.protocol(p)
	if err != nil {
		return nil, err
	}
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	d := resultpage.Document{Title: p.Status.Title, Version: p.Status.Version, Result: p.found, Protocol: protocol, Override: p.override(), Ended: p.Status.Reason}
	for _, n := range names {
		d.Evidence = append(d.Evidence, resultpage.Fact{Name: n[0], Value: n[1]})
	}
	return resultpage.Render(d)
}

// override of the release, as a page shows it.
func (p *published) override() *auditpage.Override {
	o := p.Status.Override
	if o == nil {
		return nil
	}
	return &auditpage.Override{Auditor: o.Auditor, Reason: o.Reason, Time: o.Time}
}

func (s *site) protocol(p *published) (*study.Study, error) {
	source, err := s.driver.Blobs.Get(p.Status.Study)
	if err != nil {
		return nil, err
	}
	return study.Parse(source)
}

// document sends a page that stands alone, as the command line writes it. Its
// style is inside; the browser is told to apply that one style and nothing else.
func document(w http.ResponseWriter, html []byte) error {
	_, rest, opened := bytes.Cut(html, []byte("<style>"))
	style, _, closed := bytes.Cut(rest, []byte("</style>"))
	if !opened || !closed {
		return errors.New("a document without its style")
	}
	sum := sha256.Sum256(style)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	send(w, http.StatusOK, "text/html; charset=utf-8", html)
	return nil
}
