package pipeline

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// Shown says what the opened sums show beside the model, as far as the study
// tells: whoever approves it should know.
func Shown(s *study.Study) []string {
	if s.Monitor != nil {
		return watchShown(s)
	}
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	cell := s.Fairness.MinimumCell
	if s.MinimumContributors() == 2 {
		note("privacy: a sum over two hospitals, less what one of them sent, is what the other sent. Where only two contribute, each can work out the other's numbers; minimum_contributors: 3 prevents that.")
	}
	switch s.Validation.Kind {
	case study.LeaveOneSiteOut:
		own := "how many patients it has, " + counted(s) + ", and the sums of its numbers"
		if s.Model.Family == study.Gaussian {
			own += " and of their products"
		}
		note("validation: a sum without a hospital, subtracted from the same sum with it, is that hospital's own: %s. The sum without it may hold one hospital fewer than minimum_contributors says. Use k-fold or holdout if hospitals do not agree to that.", own)
	case study.Holdout, study.KFold:
		note("validation: the sums of all patients less those of the patients who train are the sums of the others, over all hospitals. Keep each part well above %d patients.", cell)
	}
	if s.Validation.Kind != "" && s.Outcome.Type != study.Survival {
		notes = append(notes, validation.Shown(s))
	}
	if s.Outcome.Type == study.Survival {
		notes = append(notes, survivalNote(s))
	}
	for _, h := range s.Fairness.Hospitals {
		what := "their " + h.Metric
		if g := h.Gap; g != nil {
			groups := s.Fairness.Attributes[g.Attribute].Groups()
			what = fmt.Sprintf("the gap of their %s, %s %s less %s", h.Metric, s.Fairness.Attributes[g.Attribute].Column, groups[g.Level], groups[g.Against])
		}
		note("hospitals: the report counts hospitals by %s, in %d intervals, where at least %d have enough patients. No hospital is named, and no number of one is opened but that it lies in one of these intervals.", what, len(h.Edges)+1, fairness.FewestHospitals)
	}
	if len(s.Model.Splines) > 0 {
		note("splines: to place the knots, patients are counted in bins of the number's range. A bin is divided further only if it holds %d patients or more.", 2*cell)
	}
	if crossed := crossedCategories(s); crossed != "" {
		note("interactions: the sums show how many patients have each pair of levels of %s, however few.", crossed)
	}
	if boost := s.Model.Boost; boost != nil {
		note("trees: for each open node the sums show how many patients are in each of up to %d bins of each column, over all hospitals; in a small node a bin can hold few. Fewer bins and a smaller depth show less.", boost.Bins)
	}
	if neural := s.Model.Neural; neural != nil {
		note("neural: where there are fewer than %s, %d for each parameter, the network can keep what single patients look like.",
			count(describe.PatientsPerCoefficient*s.Parameters(), "patient"), describe.PatientsPerCoefficient)
		if neural.Clip == 0 {
			note("neural: without clip one unusual record can decide a round's change; clip: 1 bounds the gradient of each record.")
		}
	}
	notes = append(notes, mitigationShown(s)...)
	notes = append(notes, noiseShown(s)...)
	if !s.Fairness.Complementary && s.Fairness.Noise == nil {
		note("disclosure: primary: fewer than %s are not shown, but can be worked out from what is: a small group as all patients less the others, a few patients with an outcome from a rate and its number. Without this line what gives them away is withheld too.", count(cell, "patient"))
	}
	if s.Fairness.Every > 0 {
		note("fairness: while the model is trained the errors of each group that is large enough are opened every %d rounds, of the model as it then is, always of the same patients.", s.Fairness.Every)
	}
	if cell < 5 {
		note("fairness: groups of %s are shown; most hospitals ask for a minimum_cell of 5 to 11.", count(cell, "patient"))
	}
	return notes
}

// survivalNote says what sums by the outcome's grid show, and suggests a
// coarser one.
func survivalNote(s *study.Study) string {
	intervals := count(len(s.Outcome.Grid), "interval")
	coarser := ""
	if step := coarserStep(s.Outcome); step != "" {
		coarser = fmt.Sprintf(" A coarser outcome.time.grid shows less: grid: {step: %s}.", step)
	}
	if s.Model.Kind == study.Cox && s.Model.Stratify == study.StratifyNone {
		return fmt.Sprintf("stratify: none: for each of %s of time the sums show, over all hospitals, how many patients are at risk, how many have the event, and the sums of the features of those at risk. Intervals are joined until at least %d patients leave between two risk sets, so that no difference of sums is of fewer. stratify: site shows no risk set.%s",
			intervals, s.Fairness.MinimumCell, coarser)
	}
	if s.HasBaseline() && s.Model.Kind == study.Boost {
		coarser = fmt.Sprintf(" For the baseline they show also the sum of exp(score) of the patients at risk, over all hospitals, in intervals that are joined until at least %d patients leave between two of them.%s", s.Fairness.MinimumCell, coarser)
	}
	what := "how many patients have the event"
	if s.Model.Kind == study.Cox {
		what = "how many patients are at risk, where a hospital has two or more, how many have the event,"
	}
	return fmt.Sprintf("survival: the sums show %s in each of %s of time, over all hospitals, however few.%s", what, intervals, coarser)
}

// coarserStep is a round number that divides the range into about ten, empty
// if the grid is as coarse already.
func coarserStep(o study.Outcome) string {
	if len(o.Grid) <= 12 {
		return ""
	}
	tenth := (o.Range.Hi - o.Range.Lo) / 10
	unit := math.Pow(10, math.Floor(math.Log10(tenth)))
	step := 10 * unit
	for _, multiple := range []float64{1, 2, 5} {
		if multiple*unit >= tenth*0.999 {
			step = multiple * unit
			break
		}
	}
	return strconv.FormatFloat(step, 'g', 6, 64)
}

// crossedCategories names the pairs of categories whose levels are multiplied.
func crossedCategories(s *study.Study) string {
	var pairs []string
	for _, x := range s.Model.Interactions {
		a, b := s.Features[x.Features[0]], s.Features[x.Features[1]]
		if a.Type == study.Category && b.Type == study.Category {
			pairs = append(pairs, a.Column+" and "+b.Column)
		}
	}
	return strings.Join(pairs, ", of ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
