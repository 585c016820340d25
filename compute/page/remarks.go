package page

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// advice says in plain words what a diagnosis means and what to do.
var advice = map[string]string{
	compute.Separation:     "In a level, or a combination of features, everyone or no one has the outcome: the estimate is infinite. Gather levels, or use a ridge.",
	compute.Collinearity:   "A term is determined by others. Drop one of those named.",
	compute.EmptyLevel:     "Nobody has this level: its term was left out. Drop the level from the study, or leave it.",
	compute.TooFewPatients: "There are too few patients for what was asked. Ask for fewer features, or more hospitals.",
	compute.TooMuchNoise:   "Declare a larger epsilon, fewer attributes or levels, or fewer thresholds or times; or ask more hospitals.",
	compute.NoConvergence:  "The fit has not settled in the rounds it had. Allow more rounds, or look for a combination that nearly determines the outcome.",
	compute.ConstantTarget: "Everyone has the same outcome: there is nothing to explain.",
	compute.PerfectFit:     "The model explains the outcome completely: most likely a feature is the outcome in another form.",
	compute.NoValidation:   "There is a model, but it could not be tried on patients it had not seen. Its figures are of the patients it was fitted to.",
	compute.Divergence:     "Training went away from a solution. Choose a smaller learning rate, or clip gradients.",
	compute.ClippedUpdate:  "Numbers of a hospital were cut to their declared bound. Choose a smaller learning rate, or narrower ranges.",
	compute.UnusedColumn:   "Drop the column, gather rare levels, or declare the range in which patients are.",
	compute.NoSplit:        "Trees found nothing that lowers the loss. Ask for fewer trees, or smaller leaves.",
}

// remarks are the diagnoses in words, before everything else.
func remarks(r *pipeline.Result) section {
	title := "Remarks on the fit"
	if r.Model == nil {
		title = "Why there is no model"
	}
	var blocks []block
	for _, d := range r.Diagnoses {
		words := d.Message
		if len(d.Terms) > 0 {
			words = list(d.Terms) + ": " + words
		}
		blocks = append(blocks, note("%s: %s. %s", capital(d.Kind), words, advice[d.Kind]))
	}
	return section{title, blocks}
}

// tiles are the headline figures.
func tiles(r *pipeline.Result) []tile {
	out := []tile{{count(r.Cohort.Patients).Text, "patients", ""}, {plot.Grouped(r.Cohort.Contributors), "hospitals", ""}}
	unit := r.Cohort.Outcome.Unit
	switch {
	case r.Validation != nil:
		for _, name := range []string{"mae", "within20", "r2", "auc", "brier", "cindex"} {
			if x, ok := r.Validation.Metrics[name]; ok && len(out) < 5 {
				m := metric(name)
				t := tile{m.Text(x), m.Heading(unit), ""}
				if i, ok := r.Validation.Intervals[name]; ok {
					t.Note = "95% interval " + m.between(i.Lower, i.Upper)
				}
				out = append(out, t)
			}
		}
	case r.Cohort.Outcome.Events != nil:
		out = append(out, tile{count(*r.Cohort.Outcome.Events).Text, "have the event", ""})
	case r.Cohort.Outcome.Positives != nil:
		out = append(out, tile{count(*r.Cohort.Outcome.Positives).Text, "have the outcome", ""})
	case r.Cohort.Outcome.Mean != nil:
		out = append(out, tile{plot.Number(*r.Cohort.Outcome.Mean), unitIn("mean "+r.Cohort.Outcome.Column, unit), ""})
	}
	return out
}

func metric(name string) Metric {
	for _, m := range Metrics {
		if m.Name == name {
			return m
		}
	}
	return Metric{Name: name, Title: name}
}
