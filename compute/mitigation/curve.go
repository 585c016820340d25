package mitigation

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// Result is the curve: what each strength does to the error of all patients and
// to the gap between groups.
type Result struct {
	Method    string `json:"method"`
	Attribute string `json:"attribute"`
	Error     string `json:"error"`   // the measure of all patients
	Measure   string `json:"measure"` // by which groups are compared
	// Released is the strength that the study declared; 0 is the model without
	// mitigation.
	Released   float64 `json:"released"`
	NeedsGroup bool    `json:"needs_group"` // the released model asks for a patient's group
	Unseen     bool    `json:"unseen"`      // the models had not seen the patients they are compared on
	// Among are the groups that take part and that the gap is between; others keep
	// what the model without mitigation has for them.
	Among  []string `json:"among"`
	Points []Point  `json:"points"` // by strength, from 0
	Limits []string `json:"limits"`
}

// Point is one model.
type Point struct {
	Strength float64 `json:"strength"`
	Released bool    `json:"released"`
	// Failed says why there is no such model; then nothing else is known of it.
	Failed  string           `json:"failed,omitempty"`
	Error   *fairness.Metric `json:"error,omitempty"`
	Gap     *Gap             `json:"gap,omitempty"` // nil where fewer than two groups have the measure
	Groups  []Group          `json:"groups,omitempty"`
	Changes []Change         `json:"changes,omitempty"` // what was done; nothing at strength 0
}

// Gap is the widest difference between two groups.
type Gap struct {
	High     string  `json:"high"`
	Low      string  `json:"low"`
	Estimate float64 `json:"estimate"`
	// Lower and Upper are of the difference between these two, from the intervals
	// of both (Newcombe's hybrid, or MOVER). That the pair is the widest apart is
	// not in them: compare with Floor.
	Lower *float64 `json:"lower,omitempty"`
	Upper *float64 `json:"upper,omitempty"`
	Floor *float64 `json:"floor,omitempty"` // 95 of 100 audits of groups that are alike show less
}

// Group is what a model does for a group, as the audit has it.
type Group struct {
	Level   string                     `json:"level"`
	N       *int                       `json:"n,omitempty"`
	State   string                     `json:"state"`
	Metrics map[string]fairness.Metric `json:"metrics,omitempty"`
}

// errorRate is the share of patients who are called what they are not.
const errorRate = "error_rate"

// Discordance is the share of pairs of patients of whom the one with the lower
// hazard had the event first: one less the C-index.
const Discordance = "discordance"

// ErrorOf is the measure of all patients that the curve shows.
func ErrorOf(s *study.Study) string {
	switch {
	case s.Outcome.Type == study.Survival:
		return Discordance
	case s.Outcome.Type != study.Binary:
		return "mae"
	case s.Mitigation.Method == study.GroupThresholds:
		return errorRate
	}
	return "brier"
}

// overall is the curve's measure of all patients.
func overall(s *study.Study, a *fairness.Audit) *fairness.Metric {
	all := a.Group(fairness.All, fairness.All)
	if all == nil {
		return nil
	}
	less := map[string]string{errorRate: "accuracy", Discordance: "cindex"}[ErrorOf(s)]
	if less == "" {
		x, ok := all.Metrics[ErrorOf(s)]
		if !ok {
			return nil
		}
		return &x
	}
	x, ok := all.Metrics[less]
	if !ok {
		return nil
	}
	x.Estimate = 1 - x.Estimate
	if x.Lower != nil && x.Upper != nil {
		lower, upper := 1-*x.Upper, 1-*x.Lower
		x.Lower, x.Upper = &lower, &upper
	}
	return &x
}

// NewPoint takes from a model's audit what the curve shows; the gap is among the
// groups that take part, all where among is nil.
func NewPoint(s *study.Study, strength float64, changes []Change, among []string, a *fairness.Audit) Point {
	m := s.Mitigation
	p := Point{Strength: strength, Released: strength == m.Release, Changes: changes, Error: overall(s, a)}
	column := s.Fairness.Attributes[m.Attribute].Column
	shown := []string{m.Measure, "mae", "bias", "rmse", "within20", "tpr", "fpr", "selection_rate", "accuracy", "brier", "log_loss", "calibration_in_the_large", "auc", "ndcg", "ndcg_adjusted", "cindex", "oe", "event_share", "observed_risk", "predicted_risk"}
	for _, g := range a.Groups {
		if g.Attribute != column {
			continue
		}
		out := Group{Level: g.Level, N: g.N, State: g.State}
		for _, name := range shown {
			if x, ok := g.Metrics[name]; ok {
				if out.Metrics == nil {
					out.Metrics = map[string]fairness.Metric{}
				}
				out.Metrics[name] = x
			}
		}
		p.Groups = append(p.Groups, out)
	}
	var part []Group
	known := 0
	for _, g := range p.Groups {
		if _, ok := g.Metrics[m.Measure]; ok {
			known++
			if among == nil || slices.Contains(among, g.Level) {
				part = append(part, g)
			}
		}
	}
	p.Gap = widest(part, m.Measure)
	for _, l := range a.Largest {
		if p.Gap != nil && l.Attribute == column && l.Metric == m.Measure && known == len(part) { // the floor is of the same groups
			p.Gap.Floor = &l.Floor
		}
	}
	return p
}

// Among are the groups that something was done for.
func Among(changes []Change) (names []string) {
	for _, c := range changes {
		if c.General == "" {
			names = append(names, c.Level)
		}
	}
	return names
}

// widest gap between two groups that have the measure; it can be zero.
func widest(groups []Group, measure string) *Gap {
	var high, low *Group
	for i := range groups {
		if x, ok := groups[i].Metrics[measure]; ok && (high == nil || x.Estimate > high.Metrics[measure].Estimate) {
			high = &groups[i]
		}
	}
	for i := range groups {
		x, ok := groups[i].Metrics[measure]
		if ok && &groups[i] != high && (low == nil || x.Estimate < low.Metrics[measure].Estimate) {
			low = &groups[i]
		}
	}
	if low == nil {
		return nil
	}
	x, y := high.Metrics[measure], low.Metrics[measure]
	g := &Gap{High: high.Level, Low: low.Level, Estimate: x.Estimate - y.Estimate}
	if x.Lower != nil && x.Upper != nil && y.Lower != nil && y.Upper != nil {
		lower := g.Estimate - math.Hypot(x.Estimate-*x.Lower, *y.Upper-y.Estimate)
		upper := g.Estimate + math.Hypot(*x.Upper-x.Estimate, y.Estimate-*y.Lower)
		g.Lower, g.Upper = &lower, &upper
	}
	return g
}

// Limits are what the curve does not tell.
func Limits(s *study.Study, r *Result) []string {
	var out []string
	if !r.Unseen {
		out = append(out, "The study has no hold-out: the models are compared on the patients that they were fitted to, and a mitigation looks better there than it is.")
	}
	out = append(out,
		"Which strength is released was declared before there was a result. To choose another after seeing the curve is a new study, and a new look at the same patients.",
		"The interval of a gap is of the two groups that are widest apart; of several groups that do not differ, two always are. The noise floor says how far.",
		"A gap also closes where errors grow for those who had small ones. The figures of every group say whose did.")
	m := s.Mitigation
	column := r.Attribute
	switch m.Method {
	case study.Recalibrate:
		if s.Outcome.Type == study.Survival {
			out = append(out, fmt.Sprintf("The factors make as many events expected in a group as were seen, among the patients of the fit. They do not change who of a group is at higher risk. Where a model errs because of a feature it lacks, a factor by %s hides that.", column))
			break
		}
		out = append(out, fmt.Sprintf("The lines move the mean of a group's predictions to the mean of its outcomes, among the patients of the fit. They need not lessen an absolute error. Where a model errs because of a feature it lacks, a line by %s hides that.", column))
	case study.GroupThresholds:
		out = append(out, fmt.Sprintf("Thresholds by %s do not change a probability. With the same probability a patient of one group is called positive and one of another is not.", column))
	case study.QFedAvg:
		out = append(out, "The method evens out the losses of hospitals, and knows nothing of groups: a gap between groups changes only as far as they are at different hospitals.")
	case study.FairFed:
		out = append(out, "The method counts a hospital more whose own gap is near that of all patients. It evens out what hospitals teach the network; a gap that all of them have alike stays.")
	case study.Reweigh, study.BoundedGroupLoss:
		switch {
		case s.Model.Kind == study.Cox && !s.Model.Robust && !s.Model.ModelErrors:
			out = append(out, "The standard errors of a weighted fit are robust: each patient is one, whatever the weight (as R's coxph has it); the weights count as given.")
		case s.Model.Kind == study.GLM || s.Model.Kind == study.Cox: // others have no standard errors
			out = append(out, "The standard errors of a weighted fit are those of the weights taken as given; standard_errors: robust does not rest on that.")
		}
	}
	if m.NeedsGroup() {
		out = append(out, fmt.Sprintf("The released model asks for %s. A patient whose %s is unknown, not declared, or of a group that was too small has the general model. Whether a decision may depend on it is for the clinic and the law to say.", column, column))
	}
	return out
}
