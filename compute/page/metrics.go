package page

import (
	"strconv"

	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

// Metric says how a measure of a model's predictions is shown and read.
type Metric struct {
	Name, Title, Meaning string
	Better               int     // 1: more is better; -1: less is
	unit                 bool    // in the outcome's unit
	percent              bool    // is a share
	scale                float64 // of a percentage
	whole                bool
}

// Metrics of validation, in the order in which they are shown.
var Metrics = []Metric{
	{Name: "mae", Title: "Mean absolute error", Better: -1, unit: true, Meaning: "the distance between prediction and outcome, whichever way"},
	{Name: "rmse", Title: "Root mean square error", Better: -1, unit: true, Meaning: "like it, but large errors weigh more"},
	{Name: "bias", Title: "Bias", unit: true, Meaning: "mean of predicted minus actual: below zero the model predicts too little"},
	{Name: "within20", Title: "Within 20%", Better: 1, percent: true, scale: 1, Meaning: "share of patients predicted within 20% of their outcome"},
	{Name: "r2", Title: "R²", Better: 1, Meaning: "share of the outcome's spread that the predictions explain; below zero they do worse than the mean"},
	{Name: "calibration_slope", Title: "Calibration slope", Meaning: "1 means that differences between predictions are as large as those between outcomes; below 1 they are exaggerated"},
	{Name: "deviance", Title: "Mean Poisson deviance", Better: -1, Meaning: "what the mean predicted counts leave unexplained"},
	{Name: "auc", Title: "Area under the ROC curve", Better: 1, Meaning: "how often, of a patient with and one without the outcome, the first has the higher probability; 0.5 is chance"},
	{Name: "brier", Title: "Brier score", Better: -1, Meaning: "mean squared distance between probability and outcome"},
	{Name: "logloss", Title: "Log loss", Better: -1, Meaning: "minus the mean log of the probability that was given to what happened"},
	{Name: "prevalence", Title: "Prevalence", percent: true, scale: 100, Meaning: "share with the outcome"},
	{Name: compare.HalfWidth, Title: "Half width of a prediction", Better: -1, unit: true, Meaning: "95% of new patients are expected this near to their prediction"},
	{Name: "cindex", Title: "Concordance (C-index)", Better: 1, Meaning: "how often, of two patients of a hospital, the one with the higher predicted hazard has the event first; 0.5 is chance"},
	{Name: "events", Title: "Events", whole: true, Meaning: "patients who had the event"},
}

// Text writes a value of the metric.
func (m Metric) Text(x float64) string {
	switch {
	case m.percent:
		return plot.Minus(strconv.FormatFloat(m.scale*x, 'f', 1, 64)) + "%"
	case m.whole:
		return plot.Grouped(int(min(max(x, 0), 1<<40)))
	}
	return plot.Number(x)
}

// Difference writes what one value of the metric has more than another.
func (m Metric) Difference(d float64) string {
	if m.percent {
		return Points(m.scale / 100 * d)
	}
	return Signed(d, m.Text)
}

// Heading of the metric, with the unit of the outcome where it has it.
func (m Metric) Heading(unit string) string {
	if m.unit {
		return unitIn(m.Title, unit)
	}
	return m.Title
}

func (m Metric) between(lower, upper float64) string {
	return m.Text(lower) + "\u00a0to\u00a0" + m.Text(upper)
}
