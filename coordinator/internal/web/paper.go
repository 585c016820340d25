package web

import (
	"encoding/json"
	"net/http"

	"github.com/consilium-fl/consilium/compute/card"
	"github.com/consilium-fl/consilium/compute/page/paper"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Pages on paper are made when they are asked for, from what the pages themselves
// are made of. They are downloads: a browser that opened a PDF here would need
// more than the policy of these pages allows.

// setting is a turn to set a page, which costs more than to show it.
func (s *site) setting(w http.ResponseWriter, set func() error) error {
	select {
	case s.papers <- struct{}{}:
		defer func() { <-s.papers }()
	default:
		return busy(w, "other pages are being set on paper")
	}
	return set()
}

// onPaper hands out a page as a PDF.
func (s *site) onPaper(name string, make rendered) page {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.setting(w, func() error {
			html, err := make(r.PathValue("study"))
			if err != nil {
				return err
			}
			pdf, err := paper.Set(html, paper.About{Time: s.now(), Software: "Consilium"})
			if err != nil {
				return err
			}
			return s.handOut(w, name, r.PathValue("study"), pdf)
		})
	}
}

// card hands out the model card of a study's release: what follows from the study
// and its sums. What people state of the model is in a card that the researcher
// has signed and published, which the evidence holds.
func (s *site) card(w http.ResponseWriter, r *http.Request) error {
	return s.setting(w, func() error {
		p, err := s.published(r.PathValue("study"))
		if err != nil {
			return err
		}
		if p.Release == nil {
			return &problem{Status: http.StatusNotFound, What: "there is no model card", Why: "the study has no release", Next: "look at the study's page"}
		}
		release, err := s.release(p)
		if err != nil {
			return err
		}
		c, err := card.New(release)
		if err != nil {
			return err
		}
		pdf, err := c.PDF()
		if err != nil {
			return err
		}
		return s.handOut(w, "model-card", r.PathValue("study"), pdf)
	})
}

// release is what the card of a study is made of: model and audit as they are
// signed.
func (s *site) release(p *published) (card.Release, error) {
	var signed statement.Release
	_, payload, err := statement.Payload(p.Release)
	if err != nil {
		return card.Release{}, err
	}
	if err := statement.Decode(payload, &signed); err != nil {
		return card.Release{}, err
	}
	p.found.Model = new(pipeline.Model)
	if err := json.Unmarshal(signed.Body, p.found.Model); err != nil {
		return card.Release{}, err
	}
	protocol, err := s.protocol(p)
	if err != nil {
		return card.Release{}, err
	}
	release := card.Release{
		Study: protocol, Result: p.found, Digest: statement.DigestOf(payload).String(), Signed: signed.Time,
		Accepted: tally(p.Status.ReleaseDecisions, "accepted"), Refused: tally(p.Status.ReleaseDecisions, "refused"),
		Override: overridden(p.Status),
	}
	for _, round := range signed.Rounds {
		release.Rounds = append(release.Rounds, card.Round{Step: round.Step, Contributors: len(round.Contributors)})
	}
	return release, nil
}

func overridden(st *driver.StudyStatus) *card.Override {
	if o := st.Override; o != nil {
		return &card.Override{Auditor: o.Auditor, Reason: o.Reason, Time: o.Time}
	}
	return nil
}

// handOut sends a PDF as a download.
func (s *site) handOut(w http.ResponseWriter, name, study string, pdf []byte) error {
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+"-"+study[:min(12, len(study))]+`.pdf"`)
	send(w, http.StatusOK, "application/pdf", pdf)
	return nil
}
