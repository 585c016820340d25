package page

import (
	"strconv"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// measure says how a metric is shown and read.
type measure struct {
	Name, Title, Meaning string
	Short                string // heading of a column
	Noun                 string // in a comparison of groups
	Tile                 string // label beside the headline figures; empty to leave it out
	Unit                 string
	Scale                float64
	Digits               int
	Plot, Zero           bool // draw it; with a line at zero
	Floor, Ceiling       *float64
}

func (m measure) text(x float64) string {
	text := strconv.FormatFloat(x*m.Scale, 'f', m.Digits, 64)
	if x*m.Scale == 0 || text == "-0" || text == "-0.0" || text == "-0.00" || text == "-0.000" {
		text = strconv.FormatFloat(0, 'f', m.Digits, 64)
	}
	if m.Unit == "%" {
		return plot.Minus(text) + "%"
	}
	return plot.Minus(text)
}

func (m measure) interval(x fairness.Metric) string {
	if x.Lower == nil || x.Upper == nil {
		return ""
	}
	return m.text(*x.Lower) + " to " + m.text(*x.Upper)
}

func bound(x float64) *float64 { return &x }

func measures(a *fairness.Audit) []measure {
	zero, one, hundred := bound(0), bound(1), bound(100)
	if a.OutcomeType == string(study.Number) || a.OutcomeType == string(study.Count) {
		u := a.Unit
		return []measure{
			{Name: "mae", Short: "Mean absolute error", Noun: "mean absolute error", Title: "How far off, on average", Tile: "mean absolute error", Unit: u, Scale: 1, Digits: 2, Plot: true, Floor: zero,
				Meaning: "Mean absolute error: the distance between the predicted and the actual outcome, whichever way. Further left is better."},
			{Name: "within20", Short: "Within 20%", Noun: "share predicted within 20%", Title: "How many are predicted within 20%", Tile: "predicted within 20%", Unit: "%", Scale: 1, Digits: 1, Plot: true, Floor: zero, Ceiling: hundred,
				Meaning: "Share of patients whose prediction is at most 20% above or below their actual outcome. Further right is better."},
			{Name: "bias", Short: "Bias", Noun: "bias", Title: "Too high or too low, on average", Unit: u, Scale: 1, Digits: 2, Plot: true, Zero: true,
				Meaning: "Bias: the mean of predicted minus actual. Left of zero the model predicts too little, right of zero too much."},
			{Name: "rmse", Short: "RMSE", Title: "Root mean square error", Unit: u, Scale: 1, Digits: 2, Floor: zero,
				Meaning: "Like the mean absolute error, but large errors weigh more."},
			{Name: "r2", Short: "R²", Title: "R²", Scale: 1, Digits: 3,
				Meaning: "Share of the spread within the group that the predictions explain; below zero they do worse than the group's own mean."},
			{Name: "calibration_slope", Short: "Calibration slope", Title: "Calibration slope", Scale: 1, Digits: 2,
				Meaning: "1 means that differences between predictions are as large as those between outcomes."},
		}
	}
	return []measure{
		{Name: "tpr", Short: "True positive rate", Noun: "true positive rate", Title: "Found, of those with the outcome", Tile: "true positive rate", Unit: "%", Scale: 100, Digits: 1, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "True positive rate: share of the patients with the outcome whom the model calls positive, at a probability of 0.5. Further right is better."},
		{Name: "fpr", Short: "False positive rate", Noun: "false positive rate", Title: "Called positive by mistake", Tile: "false positive rate", Unit: "%", Scale: 100, Digits: 1, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "False positive rate: share of the patients without the outcome whom the model calls positive, at a probability of 0.5. Further left is better."},
		{Name: "calibration_in_the_large", Short: "Predicted minus observed", Noun: "predicted minus observed", Title: "Probabilities too high or too low", Unit: "%", Scale: 100, Digits: 1, Plot: true, Zero: true,
			Meaning: "Mean predicted probability minus the share who have the outcome, in percentage points. Zero is right; a model that has the attribute among its features gets there on its own training patients by construction."},
		{Name: "brier", Short: "Brier score", Title: "Error of the probabilities", Tile: "Brier score", Scale: 1, Digits: 3, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "Brier score: mean squared distance between probability and outcome. Smaller is better, but it also grows with how common the outcome is."},
		{Name: "prevalence", Short: "Prevalence", Title: "Have the outcome", Unit: "%", Scale: 100, Digits: 1, Meaning: "Share of the group with the outcome."},
		{Name: "ppv", Short: "Positive predictive value", Title: "Right when called positive", Unit: "%", Scale: 100, Digits: 1, Meaning: "Positive predictive value: share of those called positive who have the outcome."},
		{Name: "tpr_at_prevalence", Short: "True positive rate, lower threshold", Title: "Found, at the lower threshold", Unit: "%", Scale: 100, Digits: 1, Meaning: "True positive rate when a patient is called positive at the prevalence of the outcome or above."},
		{Name: "fpr_at_prevalence", Short: "False positive rate, lower threshold", Title: "Called by mistake, at the lower threshold", Unit: "%", Scale: 100, Digits: 1, Meaning: "False positive rate at that threshold."},
	}
}
