package page

import (
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// measure says how a metric is shown and read.
type measure struct {
	Name, Title, Meaning string
	Table                string // of the figures that has it; empty for none
	Short                string // heading of a column
	Noun                 string // in a comparison of groups
	Tile                 string // label beside the headline figures; empty to leave it out
	Unit                 string
	Scale                float64
	Digits               int
	Plot, Zero           bool    // draw it; with a line where it is right
	None                 float64 // which is here
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

// within is how far bins can move the figure; empty where they cannot.
func (m measure) within(x fairness.Metric) string {
	if x.Bound == nil {
		return ""
	}
	if text := m.text(*x.Bound); strings.Trim(text, "0.%") != "" {
		return "± " + text + " by its bins"
	}
	return ""
}

func bound(x float64) *float64 { return &x }

// Tables of the figures, by what they are about.
const (
	errorTable     = "Errors"
	closeTable     = "How close"
	spreadTable    = "How far off, for so many patients"
	rangeTable     = "The interval around a prediction"
	calledTable    = "Called positive"
	scoreTable     = "Probabilities"
	summaryTable   = "One number for both kinds of mistakes"
	survivalTable  = "Order and number of events"
	atTimeTable    = "Risk at the declared times"
	smallerNoWorse = " Smaller is better."
)

// measures are what the page shows of an audit. Under noise much is not asked for:
// what no group has is left out.
func measures(a *fairness.Audit) []measure {
	all := allMeasures(a)
	if a.Noise == nil {
		return all
	}
	return slices.DeleteFunc(all, func(m measure) bool {
		return !slices.ContainsFunc(a.Groups, func(g fairness.Group) bool { _, ok := g.Metrics[m.Name]; return ok })
	})
}

func allMeasures(a *fairness.Audit) []measure {
	switch study.Type(a.OutcomeType) {
	case study.Number, study.Count:
		return doseMeasures(a)
	case study.Survival:
		return survivalMeasures(a)
	}
	return binaryMeasures(a)
}

func doseMeasures(a *fairness.Audit) []measure {
	zero, hundred, u := bound(0), bound(100), a.Unit
	out := []measure{
		{Name: "mae", Table: errorTable, Short: "Mean absolute error", Noun: "mean absolute error", Title: "How far off, on average", Tile: "mean absolute error", Unit: u, Scale: 1, Digits: 2, Plot: true, Floor: zero,
			Meaning: "Mean absolute error: the distance between the predicted and the actual outcome, whichever way. Further left is better."},
		{Name: "within20", Table: closeTable, Short: "Within 20%", Noun: "share predicted within 20%", Title: "How many are predicted within 20%", Tile: "predicted within 20%", Unit: "%", Scale: 1, Digits: 1, Plot: true, Floor: zero, Ceiling: hundred,
			Meaning: "Share of patients whose prediction is at most 20% above or below their actual outcome. Further right is better."},
		{Name: "bias", Table: errorTable, Short: "Bias", Noun: "bias", Title: "Too high or too low, on average", Unit: u, Scale: 1, Digits: 2, Plot: true, Zero: true,
			Meaning: "Bias: the mean of predicted minus actual. Left of zero the model predicts too little, right of zero too much."},
		{Name: "rmse", Table: errorTable, Short: "RMSE", Noun: "root mean square error", Title: "Root mean square error", Unit: u, Scale: 1, Digits: 2, Floor: zero},
		{Name: "r2", Table: errorTable, Short: "R²", Title: "R²", Scale: 1, Digits: 3},
		{Name: "correlation", Table: errorTable, Short: "Correlation", Noun: "correlation of predicted and actual", Title: "Correlation", Scale: 1, Digits: 3},
		{Name: "calibration_slope", Table: errorTable, Short: "Calibration slope", Title: "Are differences between predictions as large as those between outcomes?", Scale: 1, Digits: 2, Plot: true, Zero: true, None: 1,
			Meaning: "Calibration slope: 1 means that they are; below 1 high predictions are too high and low ones too low."},
		{Name: "agreement_lower", Table: errorTable, Short: "95% of errors above", Unit: u, Scale: 1, Digits: 1},
		{Name: "agreement_upper", Table: errorTable, Short: "95% of errors below", Unit: u, Scale: 1, Digits: 1},
		{Name: "within10", Table: closeTable, Short: "Within 10%", Noun: "share predicted within 10%", Unit: "%", Scale: 1, Digits: 1},
		{Name: "within30", Table: closeTable, Short: "Within 30%", Noun: "share predicted within 30%", Unit: "%", Scale: 1, Digits: 1},
		{Name: "under20", Table: closeTable, Short: "Over 20% too low", Noun: "share predicted more than 20% too low", Unit: "%", Scale: 1, Digits: 1},
		{Name: "over20", Table: closeTable, Short: "Over 20% too high", Noun: "share predicted more than 20% too high", Unit: "%", Scale: 1, Digits: 1},
		{Name: "fold_error", Table: closeTable, Short: "Fold error", Scale: 1, Digits: 3},
		{Name: "same_band", Table: closeTable, Short: "In the right band", Unit: "%", Scale: 1, Digits: 1},
		{Name: "absolute_error_p10", Table: spreadTable, Short: "1 of 10 within", Unit: u, Scale: 1, Digits: 2},
		{Name: "absolute_error_p25", Table: spreadTable, Short: "A quarter within", Unit: u, Scale: 1, Digits: 2},
		{Name: "absolute_error_p50", Table: spreadTable, Short: "Half within", Noun: "median absolute error", Unit: u, Scale: 1, Digits: 2},
		{Name: "absolute_error_p75", Table: spreadTable, Short: "Three quarters within", Unit: u, Scale: 1, Digits: 2},
		{Name: "absolute_error_p90", Table: spreadTable, Short: "9 of 10 within", Unit: u, Scale: 1, Digits: 2},
		{Name: "mse", Noun: "mean squared error", Scale: 1, Digits: 2},
		{Name: "mean_predicted", Noun: "mean prediction", Unit: u, Scale: 1, Digits: 2},
		{Name: "log_fold_error", Noun: "mean logarithm of predicted over actual", Scale: 1, Digits: 3},
	}
	if a.HalfWidth != nil {
		out = append(out,
			measure{Name: "interval_coverage", Table: rangeTable, Short: "Inside", Noun: "share inside the interval", Title: "How often the outcome lies inside the interval around the prediction", Unit: "%", Scale: 1, Digits: 1, Plot: true, Ceiling: hundred,
				Meaning: "The model is released with an interval that holds for 95% of all patients. A group to the left of that is told too narrow an interval."},
			measure{Name: "above_interval", Table: rangeTable, Short: "Outcome above", Unit: "%", Scale: 1, Digits: 1},
			measure{Name: "below_interval", Table: rangeTable, Short: "Outcome below", Unit: "%", Scale: 1, Digits: 1},
			measure{Name: "interval_width", Table: rangeTable, Short: "Mean width", Unit: u, Scale: 1, Digits: 2},
			measure{Name: "interval_score", Table: rangeTable, Short: "Interval score", Unit: u, Scale: 1, Digits: 2})
	}
	return out
}

func survivalMeasures(a *fairness.Audit) []measure {
	zero, one := bound(0), bound(1)
	until := ""
	if len(a.Times) > 0 {
		until = " " + strings.TrimSpace("up to "+plot.Plain(a.Times[0])+" "+a.Unit)
	}
	out := []measure{
		{Name: "cindex", Table: survivalTable, Short: "C-index", Noun: "C-index", Title: "Who has the event earlier?", Tile: "C-index", Scale: 1, Digits: 3, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "C-index: of pairs of patients of " + ranked(a) + ", the share in which the one who had the event earlier was given the higher risk. Further right is better; 0.5 is what chance does."},
		{Name: "oe", Table: survivalTable, Short: "Observed over expected" + until, Noun: "ratio of observed to expected events", Title: "Are as many events seen as expected" + until + "?", Tile: "observed over expected" + until, Scale: 1, Digits: 2, Plot: true, Zero: true, None: 1, Floor: zero,
			Meaning: "Observed events over those that the model expects in the time the patients were followed. Right of 1 the model expects too few events, left of it too many."},
		{Name: "event_share", Table: survivalTable, Short: "With the event", Noun: "share with the event", Unit: "%", Scale: 100, Digits: 1},
	}
	for i, t := range a.Times {
		suffix := ""
		at := " at " + plot.Plain(t)
		if a.Unit != "" {
			at += " " + a.Unit
		}
		if i > 0 {
			suffix = "_at_" + strconv.FormatFloat(t, 'g', -1, 64)
			out = append(out, measure{Name: "oe" + suffix, Table: survivalTable, Short: "Observed over expected" + at, Scale: 1, Digits: 2})
		}
		out = append(out,
			measure{Name: "predicted_risk" + suffix, Table: atTimeTable, Short: "Predicted" + at, Unit: "%", Scale: 100, Digits: 1},
			measure{Name: "observed_risk" + suffix, Table: atTimeTable, Short: "Observed" + at, Unit: "%", Scale: 100, Digits: 1},
			measure{Name: "calibration_in_the_large" + suffix, Table: atTimeTable, Short: "Predicted less observed" + at, Noun: "mean of predicted minus observed risk" + at, Title: "Predicted minus observed risk" + at, Unit: "%", Scale: 100, Digits: 1, Plot: true, Zero: true,
				Meaning: "In percentage points; what is observed is " + observedRisk(a) + ". Left of zero the model predicts too little risk, right of it too much."})
	}
	return out
}

func binaryMeasures(a *fairness.Audit) []measure {
	zero, one := bound(0), bound(1)
	at := "0.5"
	if len(a.Thresholds) > 0 {
		at = plot.Plain(a.Thresholds[0])
	}
	out := []measure{
		{Name: "tpr", Table: calledTable, Short: "True positive rate", Noun: "true positive rate", Title: "Found, of those with the outcome", Tile: "true positive rate", Unit: "%", Scale: 100, Digits: 1, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "True positive rate: share of the patients with the outcome whom the model calls positive, at a probability of " + at + ". Further right is better."},
		{Name: "fpr", Table: calledTable, Short: "False positive rate", Noun: "false positive rate", Title: "Called positive by mistake", Tile: "false positive rate", Unit: "%", Scale: 100, Digits: 1, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "False positive rate: share of the patients without the outcome whom the model calls positive, at a probability of " + at + ". Further left is better."},
		{Name: "calibration_in_the_large", Table: scoreTable, Short: "Predicted minus observed", Noun: "mean of predicted minus observed", Title: "Probabilities too high or too low", Unit: "%", Scale: 100, Digits: 1, Plot: true, Zero: true,
			Meaning: "Mean predicted probability minus the share who have the outcome, in percentage points. Zero is right; a model that has the attribute among its features gets there on its own training patients by construction."},
		{Name: "auc", Table: scoreTable, Short: "AUC", Noun: "area under the curve", Title: "Are those with the outcome given the higher probabilities?", Scale: 1, Digits: 3, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "Area under the curve: of pairs of a patient with the outcome and one without, the share in which the first has the higher probability. Further right is better; 0.5 is what chance does."},
		{Name: "brier", Table: scoreTable, Short: "Brier score", Noun: "Brier score", Title: "Error of the probabilities", Tile: "Brier score", Scale: 1, Digits: 3, Plot: true, Floor: zero, Ceiling: one,
			Meaning: "Brier score: mean squared distance between probability and outcome. It also grows with how common the outcome is." + smallerNoWorse},
		{Name: "calibration_slope", Table: scoreTable, Short: "Calibration slope", Title: "Are differences between probabilities as large as they should be?", Scale: 1, Digits: 2, Plot: true, Zero: true, None: 1,
			Meaning: "Slope of a logistic regression of the outcome on the predicted odds: 1 is right; below 1 high probabilities are too high and low ones too low."},
		{Name: "calibration_intercept", Table: scoreTable, Short: "Calibration intercept", Scale: 1, Digits: 2},
		{Name: "observed_over_expected", Table: scoreTable, Short: "Observed over expected", Scale: 1, Digits: 2},
		{Name: "log_loss", Table: scoreTable, Short: "Log loss", Noun: "log loss", Scale: 1, Digits: 3},
		{Name: "ece", Table: scoreTable, Short: "Mean calibration error", Scale: 1, Digits: 3},
		{Name: "mce", Table: scoreTable, Short: "Largest calibration error", Scale: 1, Digits: 3},
		{Name: "hosmer_lemeshow_p", Table: scoreTable, Short: "Hosmer-Lemeshow p", Scale: 1, Digits: 3},
		{Name: "pr_auc", Table: scoreTable, Short: "Average precision", Scale: 1, Digits: 3},
		{Name: "prevalence", Table: calledTable, Short: "Prevalence", Unit: "%", Scale: 100, Digits: 1},
		{Name: "selection_rate", Table: calledTable, Short: "Called positive", Noun: "share called positive", Unit: "%", Scale: 100, Digits: 1},
		{Name: "ppv", Table: calledTable, Short: "Positive predictive value", Noun: "positive predictive value", Unit: "%", Scale: 100, Digits: 1},
		{Name: "npv", Table: calledTable, Short: "Negative predictive value", Noun: "negative predictive value", Unit: "%", Scale: 100, Digits: 1},
		{Name: "accuracy", Table: calledTable, Short: "Called right", Noun: "share called right", Unit: "%", Scale: 100, Digits: 1},
		{Name: "f1", Table: summaryTable, Short: "F1", Scale: 1, Digits: 3},
		{Name: "mcc", Table: summaryTable, Short: "Matthews' correlation", Scale: 1, Digits: 3},
		{Name: "gei", Table: summaryTable, Short: "Generalised entropy", Scale: 1, Digits: 4},
		{Name: "theil", Table: summaryTable, Short: "Theil index", Scale: 1, Digits: 4},
	}
	if slices.ContainsFunc(a.Groups, func(g fairness.Group) bool { _, there := g.Metrics["ndcg"]; return there }) {
		out = append(out,
			measure{Name: "ndcg_adjusted", Table: scoreTable, Short: "Gain beyond chance", Noun: "gain beyond chance", Title: "Are those with the outcome first in a list by probability?", Scale: 1, Digits: 3, Plot: true, Ceiling: one,
				Meaning: "Normalised discounted cumulative gain beyond chance: how near the order of a group's patients by probability is to the one that puts all with the outcome first, where the first ranks count most. 1 is that order, 0 what chance does on average. Further right is better."},
			measure{Name: "ndcg", Table: scoreTable, Short: "NDCG", Noun: "normalised discounted cumulative gain", Scale: 1, Digits: 3},
			measure{Name: "ndcg_by_chance", Table: scoreTable, Short: "NDCG by chance", Scale: 1, Digits: 3})
	}
	if _, there := a.Groups[0].Metrics["tpr_at_prevalence"]; there {
		out = append(out,
			measure{Name: "tpr_at_prevalence", Table: calledTable, Short: "True positive rate, lower threshold", Unit: "%", Scale: 100, Digits: 1},
			measure{Name: "fpr_at_prevalence", Table: calledTable, Short: "False positive rate, lower threshold", Unit: "%", Scale: 100, Digits: 1})
	}
	return out
}
