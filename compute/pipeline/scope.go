package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// Site is what a hospital brings to a question.
type Site struct {
	Name    study.SiteID
	Records *study.Matrix
	// Installed is the released model that a study watches; nil where it is not
	// installed, and in any other study.
	Installed *Model
	// Random is where the noise of a step comes from whose answer carries any: at a
	// hospital crypto/rand. Every other answer is a function of the records alone.
	Random io.Reader
	// Required is how many contributors the round's plan requires, who make the noise
	// together; 0 for the study's minimum.
	Required int
}

// leaveOut names the records that are kept from a fit, so that it can be tried
// on them. The zero value leaves out nothing.
type leaveOut struct {
	Fold  *int           `json:"fold,omitempty"`  // of a validation by patients
	Sites []study.SiteID `json:"sites,omitempty"` // ascending
}

func (l leaveOut) nothing() bool { return l.Fold == nil && l.Sites == nil }

// holds reports whether record i of a site is left out.
func (l leaveOut) holds(site Site, i int) bool {
	if l.Fold != nil {
		return site.Records.Fold(i) == *l.Fold
	}
	return slices.Contains(l.Sites, site.Name)
}

// check refuses a part that the study's validation does not name.
func (l leaveOut) check(s *study.Study) error {
	if l.nothing() {
		return nil
	}
	v := s.Validation
	byPatient := l.Fold != nil && l.Sites == nil
	bySite := l.Fold == nil && slices.IsSorted(l.Sites)
	switch {
	case v.Kind == study.Holdout && byPatient && *l.Fold == study.HeldOut:
	case v.Kind == study.KFold && byPatient && *l.Fold >= 0 && *l.Fold < v.Folds:
	case v.Kind == study.LeaveOneSiteOut && bySite && len(l.Sites) == 1:
	case v.Kind == study.External && bySite && slices.Equal(l.Sites, external(s)):
	default:
		return errors.New("the study's validation leaves out no such part of the patients")
	}
	return nil
}

// external are the hospitals that only validate, in order.
func external(s *study.Study) []study.SiteID { return slices.Sorted(slices.Values(s.Validation.Sites)) }

// scope says of which records, and in which columns, a question is asked.
type scope struct {
	LeaveOut leaveOut    `json:"leave_out,omitzero"`
	Knots    [][]float64 `json:"knots,omitempty"` // of the study's splines, once they are known
	// Weights in the fit, by group of the mitigation's attribute and by class of the
	// outcome; nil without.
	Weights [][]float64 `json:"weights,omitempty"`
	Q       float64     `json:"q,omitempty"` // of q-FedAvg; 0 without
	// GapWeights of FairFed; nil without.
	GapWeights *study.GapWeights `json:"gap_weights,omitempty"`
}

// scoped are the public parameters of every step but the audit's and the
// validation's.
type scoped struct {
	scope
	Parameters json.RawMessage `json:"parameters,omitempty"` // of the step itself
}

// encode is what readScoped reads. What unscoped takes for the parameters of the
// step is written as it is: they can be long.
func (q scoped) encode() ([]byte, error) {
	c := q.scope
	if c.LeaveOut.nothing() && len(c.Knots) == 0 && len(c.Weights) == 0 && c.Q == 0 && c.GapWeights == nil && len(q.Parameters) > 0 {
		return slices.Concat([]byte(beforeOwn), q.Parameters, []byte(afterOwn)), nil
	}
	return compute.EncodeParameters(q)
}

func readScoped(s *study.Study, parameters []byte) (q scoped, known *study.Study, err error) {
	if own, ok := unscoped(parameters); ok {
		return scoped{Parameters: own}, s, nil
	}
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, nil, err
	}
	if err := q.LeaveOut.check(s); err != nil {
		return q, nil, err
	}
	if err := errors.Join(mitigation.CheckWeights(s, q.Weights), s.CheckSharpness(q.Q), s.CheckGapWeights(q.GapWeights)); err != nil {
		return q, nil, err
	}
	known, err = q.study(s)
	return q, known, err
}

// unscoped are the parameters of a step that is asked of all records in the
// study's own columns. The step reads them, and takes one spelling only: they
// can be long, and need not be gone through here as well.
func unscoped(parameters []byte) (own json.RawMessage, ok bool) {
	own, begins := bytes.CutPrefix(parameters, []byte(beforeOwn))
	own, ends := bytes.CutSuffix(own, []byte(afterOwn))
	return own, begins && ends && len(own) > 0
}

const beforeOwn, afterOwn = `{"parameters":`, "}"

// study is the study with the columns of the scope.
func (c scope) study(s *study.Study) (*study.Study, error) {
	if c.Weights != nil {
		s = s.Weighted()
	}
	if c.Q != 0 {
		s = s.Sharpened(c.Q)
	}
	if c.GapWeights != nil {
		s = s.WeighedByGap(c.GapWeights)
	}
	if c.Knots == nil {
		return s, nil
	}
	known, err := s.Knotted(c.Knots)
	if err != nil {
		return nil, fmt.Errorf("the knots do not fit the study: %w", err)
	}
	return known, nil
}

// part is the key under which a matrix remembers a part of itself.
type part struct{ of string }

// records are a site's records within the scope.
func (c scope) records(site Site) (m *study.Matrix, err error) {
	key, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	m, ok := site.Records.Memo(part{string(key)}, func() any {
		m := site.Records
		if !c.LeaveOut.nothing() {
			m = m.Select(func(i int) bool { return !c.LeaveOut.holds(site, i) })
		}
		if c.Weights != nil {
			m = m.Weighted(c.Weights)
		}
		if c.Knots != nil {
			if m, err = m.Knotted(c.Knots); err != nil {
				return nil
			}
		}
		return m
	}).(*study.Matrix)
	if !ok {
		return nil, errors.New("the knots do not fit the records")
	}
	return m, nil
}
