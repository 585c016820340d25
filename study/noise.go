package study

import (
	"fmt"
	"math"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Noise declares that the sums of the bias audit carry random noise, so that they
// say nearly the same of everybody whether or not a patient is among the records:
// differential privacy, for the figures of the groups.
type Noise struct {
	// Epsilon of all noisy sums of the audit together, in thousandths.
	Epsilon int
	// Clip is, in the outcome's unit, the largest error that counts as such; 0 for a
	// binary outcome, whose errors are at most 1. Of a survival outcome it is how many
	// events the model may expect of one patient, the cumulative hazard: 1 is a risk
	// of 63%.
	Clip float64
	// Risks are ascending cuts between predicted risks at the last time at which a
	// survival outcome is looked at, for its C-index; nil for none.
	Risks []float64
	// Colluding is how many hospitals may put their own noise together to take it
	// off the sums: what is left is enough.
	Colluding int
}

// noisyMetrics are those by which groups can be compared that noisy sums give.
var noisyMetrics = []string{
	"mae", "bias", "mse", "rmse", "within10", "within20", "within30", "under20", "over20",
	"tpr", "fpr", "ppv", "npv", "accuracy", "selection_rate", "brier", "calibration_in_the_large",
	"event_share", "oe",
}

// noisyMetric reports whether the study's noisy sums give a metric.
func (s *Study) noisyMetric(metric string) bool {
	return slices.Contains(noisyMetrics, metric) || metric == "cindex" && s.Fairness.Noise.Risks != nil
}

// mostExpected is the largest clip of a survival outcome: a risk of all but 1 in e^64.
const mostExpected = 64

// exactBesideNoise are the keys that would open something exact about a group.
var exactBesideNoise = []struct{ key, why string }{
	{"bands", "under noise patients are not counted by band: each cell of the table would carry noise of its own"},
	{"hospitals", "to count hospitals by a metric, each would have to know its own exactly"},
	{"every", "each audit on the way would cost as much epsilon as the last one"},
	{"minimum_sites", "in how many hospitals a group has patients is an exact count, which is not opened under noise"},
	{"largest_share", "whether one hospital has nearly all patients of a group is an exact count, which is not opened under noise"},
	{"disclosure", "under noise nothing can be worked out exactly, so nothing is withheld for that"},
}

// refuseBesideNoise comes before these keys are read: whatever else may be wrong with
// one of them, under noise it is to go.
func refuseBesideNoise(at *section) {
	if !at.has("noise") {
		return
	}
	for _, exact := range exactBesideNoise {
		at.refuse(exact.key, exact.why)
	}
}

// Limits of epsilon, in thousandths.
const (
	leastEpsilon = 50
	mostEpsilon  = 10_000
)

// Holders is how many hospitals' noise is all that the declared epsilon needs, where
// a sum of fewer than so many is never opened; 0 for the study's minimum, which it is
// at least. Those that collude take theirs off.
func (s *Study) Holders(required int) int {
	return max(required, s.Privacy.MinimumContributors) - s.Fairness.Noise.Colluding
}

// CountedAttributes are the attributes whose groups are counted, exactly, before
// there is a model: none where the audit's own counts are noisy.
func (s *Study) CountedAttributes() []Attribute {
	if s.Fairness.Noise != nil {
		return nil
	}
	return s.Fairness.Attributes
}

// BaseCells is how many combinations of groups of all attributes there are.
func (f *Fairness) BaseCells() int {
	cells := 1
	for _, a := range f.Attributes {
		cells = min(cells*(len(a.Levels)+1), 1<<40)
	}
	return cells
}

// readNoise reads the noise, and refuses beside it groups that would have to be known
// exactly.
func (s *Study) readNoise(r *reader, at *section) {
	const path = "fairness.noise"
	if r.fault != nil || !at.has("noise") {
		return
	}
	n := at.values["noise"]
	switch {
	case s.Model.Kind == Describe:
		r.fail(n, path, "remove it", "%s: describe fits no model that is audited", path)
	case s.Outcome.Type == Survival && !s.HasBaseline():
		r.fail(n, path, "remove it, or use model kind cox, or boost with baseline: breslow",
			"%s: of a survival outcome observed and expected events have a noisy form, and this model expects none: it has no baseline", path)
	}
	if i := slices.IndexFunc(s.Fairness.Attributes, func(a Attribute) bool { return a.Merges != nil }); i >= 0 {
		r.fail(at.values["attributes"], "fairness.attributes", "remove merge, or gather the values in one level", "fairness.attributes: under noise no groups are joined: how large they are is not known exactly")
	}
	if cells := s.Fairness.BaseCells(); cells > MaxAuditGroups {
		r.fail(at.values["attributes"], "fairness.attributes", "declare fewer attributes or levels",
			"fairness.attributes: noise is added to each of %d combinations of groups, more than %d", cells, MaxAuditGroups)
	}
	one := r.section(n, path, "epsilon", "clip", "colluding", "risks")
	one.need("epsilon", "1 is common; less is more private")
	epsilon := 1000 * one.real("epsilon", 1, float64(leastEpsilon)/1000, float64(mostEpsilon)/1000)
	noise := &Noise{Epsilon: int(math.Round(epsilon)), Colluding: one.integer("colluding", 1, 0, 10_000)}
	if r.fault == nil && math.Abs(epsilon-math.Round(epsilon)) > 1e-6 {
		r.fail(one.values["epsilon"], path+".epsilon", "", "%s.epsilon has at most three decimals", path)
	}
	if s.Outcome.Type != Survival {
		one.refuse("risks", "only a survival outcome has predicted risks at a time")
	} else if one.has("risks") {
		noise.Risks = r.ascendingCuts(one.values["risks"], path+".risks")
		if k := len(noise.Risks); r.fault == nil && k > 0 && !(noise.Risks[0] > 0 && noise.Risks[k-1] < 1) {
			r.fail(one.values["risks"], path+".risks", "such as risks: [0.1, 0.3]", "%s.risks must be between 0 and 1", path)
		}
	}
	switch s.Outcome.Type {
	case Binary:
		one.refuse("clip", "the error of a probability is at most 1")
		if s.Fairness.Thresholds == nil { // the prevalence would be an exact count
			s.Fairness.Thresholds = []float64{0.5}
		}
	case Survival:
		if one.need("clip", "name the most events that may be expected of one patient: 1 is a risk of 63%, 2 one of 86%") != nil && r.fault == nil {
			noise.Clip = one.real("clip", 0, 0.001, mostExpected)
		}
	default:
		if one.need("clip", "name the largest error that counts as such: most are well below it") != nil && r.fault == nil {
			width := s.Outcome.Range.Hi - s.Outcome.Range.Lo
			noise.Clip = one.real("clip", 0, 1e-9*width, width)
		}
	}
	s.Fairness.Noise = noise
}

// checkNoise refuses what the rest of the study would open exactly about the groups
// of the audit, and noise that too few hospitals hold.
func (s *Study) checkNoise(r *reader, values map[string]*yaml.Node) {
	if r.fault != nil || s.Fairness.Noise == nil {
		return
	}
	n := keyValue(values["fairness"], "noise")
	switch floor := s.Privacy.MinimumContributors; {
	case s.Mitigation != nil:
		r.fail(values["mitigation"], "mitigation", "remove it, or fairness.noise", "mitigation: it is made of exact sums by group, which fairness.noise is there to avoid")
	case s.Monitor != nil:
		r.fail(n, "fairness.noise", "remove it", "fairness.noise: a monitor has no noisy form")
	case s.Fairness.Noise.Colluding >= floor:
		r.fail(n, "fairness.noise.colluding", fmt.Sprintf("write at most %d, or raise privacy.minimum_contributors", floor-1),
			"fairness.noise.colluding: of %d hospitals, which suffice for a sum, %d that collude leave none whose noise hides anybody", floor, s.Fairness.Noise.Colluding)
	}
}
