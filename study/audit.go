package study

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Hospitals declares that the audit shows how the hospitals differ in one metric
// of all their patients: as a count of hospitals between edges. A hospital
// consents to it by approving the study.
type Hospitals struct {
	Metric string
	Edges  []float64    // ascending; one more interval than edges
	Gap    *HospitalGap // nil for the metric of all patients of a hospital
}

// HospitalGap is the metric of one group of a hospital's patients less that of
// another of the same attribute, by index.
type HospitalGap struct{ Attribute, Level, Against int }

const mostHospitalMetrics = 16

// same reports whether hospitals would be counted by one figure twice.
func (h Hospitals) same(o Hospitals) bool {
	return h.Metric == o.Metric && (h.Gap == nil) == (o.Gap == nil) && (h.Gap == nil || *h.Gap == *o.Gap)
}

// ComparableMetrics are those that groups can be compared by. Means come with
// Welch's interval, shares with Newcombe's.
func ComparableMetrics(outcome Type) []string {
	switch outcome {
	case Survival:
		return []string{"event_share", "cindex", "oe", "calibration_in_the_large"}
	case Binary:
		return []string{"tpr", "fpr", "ppv", "npv", "accuracy", "selection_rate", "brier", "log_loss", "calibration_in_the_large", "auc", "ndcg", "ndcg_adjusted"}
	}
	return []string{"mae", "bias", "mse", "rmse", "correlation", "mean_predicted", "within10", "within20", "within30", "under20", "over20", "log_fold_error"}
}

// ComparableMetrics are those of the study's outcome that its model has: without
// a baseline there are no expected events, without times no predicted risk.
func (s *Study) ComparableMetrics() []string {
	return slices.DeleteFunc(ComparableMetrics(s.Outcome.Type), func(metric string) bool {
		return s.Fairness.Noise != nil && !s.noisyMetric(metric) || s.Outcome.Type == Survival &&
			(metric == "oe" && !s.HasBaseline() || metric == "calibration_in_the_large" && s.Fairness.Times == nil)
	})
}

// HospitalMetrics are those by which hospitals can be counted.
func (s *Study) HospitalMetrics() []string {
	switch s.Outcome.Type {
	case Survival:
		if s.HasBaseline() {
			return []string{"event_share", "oe"}
		}
		return []string{"event_share"}
	case Binary:
		return []string{"tpr", "fpr", "brier", "calibration_in_the_large"}
	}
	return []string{"mae", "bias", "within20"}
}

// HasBaseline reports whether the model says how likely a patient is to be free
// of the event at a time, and not only who has it earlier.
func (s *Study) HasBaseline() bool {
	return s.Outcome.Type == Survival && (s.Model.Kind == Cox || s.Model.Boost != nil && s.Model.Boost.Baseline)
}

// readTimes reads the times at which predicted and observed risks are compared:
// times of the outcome's grid, where both are known.
func (s *Study) readTimes(r *reader, at *section) {
	const path = "fairness.times"
	if !s.HasBaseline() {
		at.refuse("times", "only a survival outcome with model kind cox, or boost with baseline: breslow, has predicted risks at a time")
	}
	if r.fault != nil || !at.has("times") {
		return
	}
	for i, element := range r.list(at.values["times"], path, maxCuts) {
		t := r.number(element, fmt.Sprintf("%s[%d]", path, i))
		switch {
		case r.fault != nil:
			return
		case !slices.Contains(s.Outcome.Grid, t):
			r.fail(element, path, "the grid has "+nearTimes(s.Outcome.Grid, t)+"; or add the time to outcome.time.grid", "%s: %s is no time of the outcome's grid", path, decimal(t))
		case i > 0 && t <= s.Fairness.Times[i-1]:
			r.fail(element, path, "", "%s must ascend", path)
		}
		s.Fairness.Times = append(s.Fairness.Times, t)
	}
}

// nearTimes names the times of the grid around t.
func nearTimes(grid []float64, t float64) string {
	i, _ := slices.BinarySearch(grid, t)
	switch {
	case i == 0:
		return decimal(grid[0])
	case i == len(grid):
		return decimal(grid[i-1])
	}
	return decimal(grid[i-1]) + " and " + decimal(grid[i])
}

// readHospitals reads the metrics by which hospitals are counted.
func (s *Study) readHospitals(r *reader, at *section) {
	const path = "fairness.hospitals"
	if r.fault != nil || !at.has("hospitals") {
		return
	}
	known := s.HospitalMetrics()
	for i, element := range r.list(at.values["hospitals"], path, mostHospitalMetrics) {
		key := fmt.Sprintf("%s[%d]", path, i)
		one := r.section(element, key, "metric", "edges", "attribute", "level", "against")
		h := Hospitals{Metric: r.name(one.need("metric", "say by what hospitals are counted"), key+".metric")}
		h.Edges = r.ascendingCuts(one.need("edges", "such as edges: [5, 10, 15]"), key+".edges")
		h.Gap = s.readHospitalGap(r, one, element, key)
		switch {
		case r.fault != nil:
			return
		case !slices.Contains(known, h.Metric):
			r.fail(element, key+".metric", fmt.Sprintf("hospitals are counted by %v", known), "%s.metric: hospitals are not counted by %q", key, h.Metric)
		case slices.ContainsFunc(s.Fairness.Hospitals, h.same):
			r.fail(element, key, "remove one of the two", "%s: %q twice", key, h.Metric)
		}
		s.Fairness.Hospitals = append(s.Fairness.Hospitals, h)
	}
}

// readHospitalGap reads which groups of a hospital are compared; nil for none.
func (s *Study) readHospitalGap(r *reader, one *section, n *yaml.Node, key string) *HospitalGap {
	if r.fault != nil || !one.has("attribute") {
		if one.has("level") || one.has("against") {
			r.fail(n, key, "add attribute: COLUMN, or leave them out", "%s: level and against are groups of an attribute, which is not named", key)
		}
		return nil
	}
	a := s.attribute(r, one.values["attribute"], key+".attribute", r.name(one.values["attribute"], key+".attribute"))
	if a < 0 {
		return nil
	}
	groups := s.Fairness.Attributes[a].Groups()
	group := func(word string, node *yaml.Node) int {
		name := r.name(node, key+"."+word)
		at := slices.Index(groups, name)
		if at < 0 {
			r.fail(node, key+"."+word, fmt.Sprintf("the groups are %v", groups), "%s.%s: %q is no group of %s", key, word, name, s.Fairness.Attributes[a].Column)
		}
		return at
	}
	g := &HospitalGap{Attribute: a, Level: group("level", one.need("level", "say whose metric is compared"))}
	switch {
	case r.fault != nil:
		return nil
	case one.has("against"):
		g.Against = group("against", one.values["against"])
	case s.Fairness.Attributes[a].Reference != "":
		g.Against = slices.Index(groups, s.Fairness.Attributes[a].Reference)
	default:
		r.fail(n, key, "add against: GROUP, or fairness.reference", "%s: it is not said with which group %s is compared", key, groups[g.Level])
	}
	if r.fault == nil && g.Level == g.Against {
		r.fail(n, key, "name two groups", "%s: a group is compared with itself", key)
	}
	return g
}

// ascendingCuts are a few ascending numbers.
func (r *reader) ascendingCuts(n *yaml.Node, key string) (out []float64) {
	for i, element := range r.list(n, key, maxCuts) {
		x := r.number(element, fmt.Sprintf("%s[%d]", key, i))
		if r.fault == nil && i > 0 && !(out[i-1] < x) {
			r.fail(element, key, "", "%s must ascend", key)
		}
		out = append(out, x)
	}
	return out
}
