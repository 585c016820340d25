package fairness

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Schema names this form of the report.
const Schema = "consilium/fairness-audit/v1"

// States of a group.
const (
	OK           = "ok"
	Suppressed   = "suppressed"    // some patients, but fewer than the minimum cell
	Zero         = "zero"          // no patients
	NotEstimable = "not-estimable" // enough patients, but no measure has a value
)

// Audit is the report. It depends on nothing but the study, the model and the
// opened sums.
type Audit struct {
	Schema       string    `json:"schema"`
	Study        string    `json:"study"` // digest, hex
	Name         string    `json:"name"`
	Version      int       `json:"version"`
	Title        string    `json:"title,omitempty"`
	OutcomeType  string    `json:"outcome_type"`
	Outcome      string    `json:"outcome"`
	Unit         string    `json:"unit,omitempty"`
	Contributors int       `json:"contributors"`
	N            int       `json:"n"`
	MinimumCell  int       `json:"minimum_cell"`
	Unseen       bool      `json:"unseen"`               // every patient was predicted by a model that had not seen it
	Thresholds   []float64 `json:"thresholds,omitempty"` // binary: 0.5 and the prevalence
	Groups       []Group   `json:"groups"`               // all patients first
	Gaps         []Gap     `json:"gaps"`
	Calibration  []Bin     `json:"calibration,omitempty"` // binary: all patients, by predicted probability
	Cut          int       `json:"cut"`                   // errors counted as twice the outcome's range
	Hidden       []Hidden  `json:"hidden"`
	Limits       []string  `json:"limits"`
}

// Group is the audit of one group. A measure without a value is in Undefined
// with the reason, not in Metrics.
type Group struct {
	Attribute string            `json:"attribute"`
	Level     string            `json:"level"`
	N         *int              `json:"n,omitempty"`
	State     string            `json:"state"`
	Metrics   map[string]Metric `json:"metrics,omitempty"`
	Undefined map[string]string `json:"undefined,omitempty"`
}

// Metric is an estimate and its 95% interval, where it has one.
type Metric struct {
	Estimate float64  `json:"estimate"`
	Lower    *float64 `json:"lower,omitempty"`
	Upper    *float64 `json:"upper,omitempty"`
	Method   string   `json:"method,omitempty"` // of the interval
}

// Bin is a step of the calibration curve.
type Bin struct {
	From      float64  `json:"from"`
	To        float64  `json:"to"`
	N         *int     `json:"n,omitempty"`
	State     string   `json:"state"`
	Predicted *float64 `json:"predicted,omitempty"` // mean probability
	Observed  *Metric  `json:"observed,omitempty"`  // share with the outcome
}

// Hidden is a group whose figures are withheld.
type Hidden struct {
	Attribute string `json:"attribute"`
	Level     string `json:"level"`
	Why       string `json:"why"`
}

// Flat lists a group's measures as plain numbers: name, name_lower, name_upper.
func (g Group) Flat() map[string]float64 {
	out := make(map[string]float64, 3*len(g.Metrics))
	for name, m := range g.Metrics {
		out[name] = m.Estimate
		if m.Lower != nil {
			out[name+"_lower"] = *m.Lower
		}
		if m.Upper != nil {
			out[name+"_upper"] = *m.Upper
		}
	}
	return out
}

// Group finds a group, nil if the audit has none of that name.
func (a *Audit) Group(attribute, level string) *Group {
	for i := range a.Groups {
		if a.Groups[i].Attribute == attribute && a.Groups[i].Level == level {
			return &a.Groups[i]
		}
	}
	return nil
}

// Session is the coordinator's half of an audit.
type Session struct {
	study    *study.Study
	sizes    Sizes
	question question
	audit    *Audit // nil until the sum is absorbed
}

// New begins an audit of so many patients.
func New(s *study.Study, sizes Sizes) *Session {
	return &Session{study: s, sizes: sizes, question: newQuestion(s, sizes)}
}

// Next is the question whose sum Absorb expects.
func (a *Session) Next() (q compute.Question, done bool, err error) {
	if a.audit != nil {
		return q, true, nil
	}
	q = compute.Question{Step: Step, Layout: layout(a.study, len(a.question.Cells))}
	q.Parameters, err = compute.EncodeParameters(a.question)
	return q, false, err
}

// Absorb takes the opened sum.
func (a *Session) Absorb(sum compute.Sum) (err error) {
	zero := make(map[int]bool)
	for i, c := range cells(a.study) {
		if c.attribute >= 0 && a.sizes.Group(c.attribute, c.group) == 0 {
			zero[i] = true
		}
	}
	a.audit, err = read(a.study, a.question, zero, a.study.Fairness.MinimumCell, a.sizes.Unseen, sum)
	return err
}

// Audit is the report, nil until its sums are absorbed.
func (a *Session) Audit() *Audit { return a.audit }

// Local is the same report over one hospital's own patients, for that hospital
// alone: nothing is suppressed, because it sees its own records anyway, and
// nothing of it is ever sent. The prevalence is the second threshold of the
// whole's audit (Thresholds[1]), nil but for a binary outcome.
func Local(s *study.Study, prevalence *float64, m *study.Matrix, predictions []float64) (*Audit, error) {
	if m.Rows() == 0 {
		return nil, errors.New("no usable record here, so there is nothing to compare")
	}
	q := question{Prevalence: prevalence}
	for i := range cells(s) {
		q.Cells = append(q.Cells, i)
	}
	parameters, err := compute.EncodeParameters(q)
	if err != nil {
		return nil, err
	}
	values, err := Answer(s, Step, parameters, m, predictions)
	if err != nil {
		return nil, err
	}
	sum, err := compute.NewSum(1, layout(s, len(q.Cells)), values)
	if err != nil {
		return nil, err
	}
	return read(s, q, nil, 1, true, sum)
}

func read(s *study.Study, q question, zero map[int]bool, minimum int, unseen bool, sum compute.Sum) (*Audit, error) {
	for _, f := range layout(s, len(q.Cells)) {
		if len(sum.Field(f.Name)) != f.Length {
			return nil, fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	digest := s.Digest()
	a := &Audit{
		Schema: Schema, Study: hex.EncodeToString(digest[:]), Name: s.Name, Version: s.Version, Title: s.Title,
		OutcomeType: string(s.Outcome.Type), Outcome: s.Outcome.Column, Unit: s.Outcome.Unit,
		Contributors: sum.Contributors, MinimumCell: minimum, Unseen: unseen, Gaps: []Gap{}, Hidden: []Hidden{},
	}
	if q.Prevalence != nil {
		a.Thresholds = []float64{0.5, *q.Prevalence}
		a.Calibration = calibration(sum, minimum)
	}
	position := make(map[int]int, len(q.Cells))
	for i, c := range q.Cells {
		position[c] = i
	}
	stats := make([]*tally, 0) // by group, nil where hidden or empty
	for i, c := range cells(s) {
		g := Group{Attribute: c.name, Level: c.level}
		at, open := position[i]
		var t *tally
		if open {
			t = newTally(s, sum, at)
		}
		switch {
		case open && t.n == 0, !open && zero[i]:
			n := 0
			g.State, g.N, t = Zero, &n, nil
		case !open, t.n < float64(minimum):
			g.State, t = Suppressed, nil
			a.Hidden = append(a.Hidden, Hidden{c.name, c.level, fmt.Sprintf("fewer than %d patients", minimum)})
		default:
			n := int(t.n)
			g.N = &n
			g.State, g.Metrics, g.Undefined = OK, map[string]Metric{}, map[string]string{}
			t.measure(&g)
			if len(g.Metrics) == 0 {
				g.State = NotEstimable
			}
			if len(g.Undefined) == 0 {
				g.Undefined = nil
			}
			if i == 0 {
				a.N, a.Cut = n, int(t.cut)
			}
		}
		a.Groups = append(a.Groups, g)
		stats = append(stats, t)
	}
	if a.Groups[0].State != OK {
		return nil, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: fmt.Sprintf("the audit has fewer than %d patients", minimum)}
	}
	a.Gaps = append(a.Gaps, gaps(a.Groups, stats, a.Unit)...)
	a.Limits = limits(a, q)
	return a, nil
}

func calibration(sum compute.Sum, minimum int) []Bin {
	var out []Bin
	for b := range bins {
		n := math.Round(sum.Field("bin_patients")[b])
		bin := Bin{From: float64(b) / bins, To: float64(b+1) / bins}
		switch {
		case n == 0:
			zero := 0
			bin.State, bin.N = Zero, &zero
		case n < float64(minimum):
			bin.State = Suppressed
		default:
			count, predicted := int(n), sum.Field("bin_predicted")[b]/n
			observed := proportion(math.Round(sum.Field("bin_positives")[b]), n, 1)
			bin.State, bin.N, bin.Predicted, bin.Observed = OK, &count, &predicted, &observed
		}
		out = append(out, bin)
	}
	return out
}

// limits says, in the report itself, what the report cannot tell.
func limits(a *Audit, q question) []string {
	var out []string
	if !a.Unseen {
		out = append(out, "The figures describe the patients the model was trained on; expect somewhat larger errors for new patients.")
	}
	out = append(out,
		"The audit covers all hospitals together. A hospital can differ from the whole and sees its own figures locally.",
		"A group is named as the records name it. Groups that the study does not declare, and combinations of attributes, were not examined.",
		"The margins of the verdicts are defaults of the software, not clinical judgements, and the intervals are not adjusted for the number of comparisons.",
		"Rates inside a group that is large enough are shown even where they rest on few events; their intervals say how little that is.",
		"Groups below the minimum cell have no figures here. Where a single group of an attribute is hidden, what concerns it can be worked out from the totals, and the model's covariance determines the sums it was computed from.")
	if a.Cut > 0 {
		out = append(out, fmt.Sprintf("%d errors were larger than twice the declared range of the outcome and count as exactly that.", a.Cut))
	}
	if q.Prevalence != nil {
		out = append(out, "Rates without a suffix call a patient positive at a probability of 0.5 or more; those ending in at_prevalence, at the prevalence of the outcome or more.")
	}
	return out
}
