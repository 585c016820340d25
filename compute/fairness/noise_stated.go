package fairness

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/noise"
	"github.com/consilium-fl/consilium/study"
)

// Noise is what an audit under noise says of it.
type Noise struct {
	Epsilon   float64      `json:"epsilon"`            // of all queries together: they add up
	Clip      float64      `json:"clip,omitempty"`     // errors beyond it count as this large
	Steps     int          `json:"steps"`              // of the grid of the sums, up to the clip
	Cells     int          `json:"cells"`              // combinations of groups, each with noise of its own
	Required  int          `json:"required,omitempty"` // hospitals without whom the sum was not to be opened; 0 where that is the study's minimum
	Holders   int          `json:"holders"`            // hospitals whose noise together is all that epsilon needs
	Colluding int          `json:"colluding"`          // so many of those who were required may know their own
	Queries   []NoisyQuery `json:"queries"`            // all that a patient is part of
	Meaning   string       `json:"meaning"`
	Covers    []string     `json:"covers"`
	Outside   []string     `json:"outside"` // what the guarantee does not cover
}

// NoisyQuery is one thing that is asked of every base cell.
type NoisyQuery struct {
	Name        string  `json:"name"`
	What        string  `json:"what"`
	Numbers     int     `json:"numbers"`     // per cell
	Epsilon     float64 `json:"epsilon"`     // of the query
	Sensitivity float64 `json:"sensitivity"` // what one patient changes, at most
	SD          float64 `json:"sd"`          // of the noise of one number
	Within      float64 `json:"within"`      // 95% of the noise, if only as many hospitals as hold it take part
}

func newNoise(s *study.Study, sum compute.Sum) *Noise {
	of, cells := s.Fairness.Noise, s.Fairness.BaseCells()
	n := &Noise{Epsilon: float64(of.Epsilon) / 1000, Clip: of.Clip, Steps: steps, Cells: cells, Required: sum.Required, Holders: s.Holders(sum.Required), Colluding: of.Colluding}
	query := func(name, what string, scale noise.Scale, numbers int, share, sensitivity, unit float64) {
		n.Queries = append(n.Queries, NoisyQuery{name, what, numbers, share * n.Epsilon, sensitivity,
			unit * math.Sqrt(scale.Variance()*float64(sum.Contributors)/float64(n.Holders)), unit * float64(scale.Within(0.95))})
	}
	f := noisyFields(s)
	switch s.Outcome.Type {
	case study.Survival:
		what := "in which interval of time the follow-up ended, and whether with the event: one class each"
		if of.Risks != nil {
			what = "in which interval of time the follow-up ended, whether with the event, and between which declared risks the predicted one lies: one class each"
		}
		query("counts", what, f[0].scale, f[0].width, 0.5, 1, f[0].unit)
		share := 0.5 / float64(len(f)-1)
		query("expected", "the sum of the events that the model expects in the time each patient was followed: what it grows by until each declared time, all of which together are at most the clip", f[1].scale, f[1].width, share, of.Clip, f[1].unit)
		if len(f) > 2 {
			query("risks", "the sum of the predicted risks: what it grows by until each declared time, all of which together are at most 1", f[2].scale, f[2].width, share, 1, f[2].unit)
		}
	case study.Binary:
		query("counts", "whether a patient has the outcome, and between which thresholds the prediction lies: one class each", f[0].scale, f[0].width, 0.5, 1, f[0].unit)
		query("predictions", "the sum of the predicted probabilities", f[1].scale, 1, 0.25, 1, f[1].unit)
		query("squares", "the sum of the squared errors", f[2].scale, 1, 0.25, 1, f[2].unit)
	default:
		query("counts", "within how many percent a prediction is, and to which side it is off: one class each", f[0].scale, f[0].width, 0.5, 1, f[0].unit)
		query("errors", "the sum of the errors, those too high and those too low apart: a patient is in one of the two", f[1].scale, 2, 0.25, of.Clip, f[1].unit)
		query("squares", "the sum of the squared errors", f[3].scale, 1, 0.25, of.Clip*of.Clip, f[3].unit)
	}
	factor := strconv.FormatFloat(math.Exp(n.Epsilon), 'g', 3, 64)
	if n.Epsilon > math.Log(1000) {
		factor = strconv.FormatFloat(math.Exp(n.Epsilon), 'f', 0, 64)
	}
	n.Meaning = fmt.Sprintf("Whoever sees the group figures, and knows every other patient, learns only so much about whether one particular patient is among the records: whatever they see is at most %s times as likely with that patient as without (epsilon %g, differential privacy).", factor, n.Epsilon)
	n.Covers = []string{"every figure by group in this report, and the opened sums that they are made of, given the model"}
	n.Outside = []string{
		"the model and the sums it was fitted to, which are exact",
		"the description of the cohort: how many patients there are, their outcome and the model's features, over all hospitals",
	}
	if s.Validation.Kind != "" {
		n.Outside = append(n.Outside, "the validation: its figures of all patients together are exact")
	}
	for _, a := range s.Fairness.Attributes {
		for _, f := range s.Features {
			if a.Column == f.Column {
				n.Outside = append(n.Outside, fmt.Sprintf("%s by itself: it is a feature of the model, so that its levels are counted exactly", a.Column))
			}
		}
	}
	n.Outside = append(n.Outside, "more than one record of a patient: each counts as a patient")
	n.Outside = append(n.Outside, "other studies of the same patients: epsilons add up")
	return n
}

// noisyLimits says what the report cannot tell.
func noisyLimits(s *study.Study, a *Audit) []string {
	var out []string
	if !a.Unseen {
		out = append(out, "The figures describe the patients the model was trained on; expect somewhat larger errors for new patients.")
	}
	out = append(out,
		fmt.Sprintf("All counts and figures by group carry random noise (epsilon %g). Groups need not add up to the whole that other pages show, and a count is not one of patients but near one. Intervals and verdicts allow for the noise.", a.Noise.Epsilon),
		"The audit covers all hospitals together. A hospital can differ from the whole and sees its own figures locally.",
		"Whether a group has no patients at all, or has nearly all of them at one hospital, is not known under noise: a group below the minimum cell by its noisy count is withheld, and may be empty.",
		"A group is named as the records name it. Groups and combinations of attributes that the study does not declare were not examined.",
		"The margins of the gaps are defaults of the software, not clinical judgements; the study's own are those of its criteria. Intervals and verdicts are not adjusted for the number of comparisons; the p-values are also shown adjusted, by Holm's method.")
	if len(a.Groups) > 1 && !slices.ContainsFunc(a.Groups[1:], func(g Group) bool { return g.State == OK }) {
		out = append(out, "No group has figures beside the noise. A larger epsilon, fewer attributes or levels, or fewer thresholds or times would make it less; so would more patients.")
	}
	if a.OutcomeType == string(study.Survival) {
		out = append(out, fmt.Sprintf("Expected events of one patient count up to %s: a cumulative hazard beyond it counts as exactly that, so that observed over expected is too high where the model expects more. How many are beyond is not counted. The observed risk is a life table's: of those who leave in an interval of time half count as at risk in it; the bound beside it says how much any order of events and leaving could change it, as far as noisy counts tell.", withUnit(a.Noise.Clip, "")))
		if s.Fairness.Noise.Risks != nil {
			out = append(out, "The C-index is of the declared bands of predicted risk, pairs of one band counting half, and of pairs of all hospitals whose follow-up ended in different intervals of time; the bound beside it says how much the others could change it.")
		}
	} else if a.Noise.Clip > 0 {
		out = append(out, fmt.Sprintf("Errors beyond %s count as exactly that in bias, MAE and RMSE, and are added up in steps of 1/%d of it. How many are beyond is not counted.", withUnit(a.Noise.Clip, a.Unit), steps))
	}
	return out
}

// plural is a count of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func withUnit(x float64, unit string) string {
	text := strconv.FormatFloat(x, 'g', -1, 64)
	if unit != "" {
		text += " " + unit
	}
	return text
}
