package page

import (
	"fmt"
	"strconv"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// familyNames of generalised linear models, as a sentence begins.
var familyNames = map[string]string{
	study.Gaussian:         "A linear model",
	study.Binomial:         "A logistic model, of the log-odds of the outcome,",
	study.Poisson:          "A Poisson model, of the logarithm of the mean count,",
	study.NegativeBinomial: "A negative binomial model, of the logarithm of the mean count,",
	study.Gamma:            "A gamma model, of the logarithm of the mean,",
}

// glmSection shows the model; weighted says that patients weigh by a mitigation.
func glmSection(m *glm.Model, c *describe.Cohort, curves []block, weighted bool) section {
	words := familyNames[m.Family]
	if words == "" {
		words = "A generalised linear model (" + m.Family + ")"
	}
	if m.Family == study.Gaussian && m.Transform != string(study.Identity) {
		words += " of the outcome on the " + scaleName(m.Transform) + " scale"
	}
	words += fmt.Sprintf(" over %s of %s.", plot.Plural(m.N, "patient", "patients"), plot.Plural(m.Contributors, "hospital", "hospitals"))
	if m.Offset != "" {
		words += " " + m.Offset + " is added to its linear predictor as it is."
	}
	if m.Weights == study.MitigationWeights {
		words += " Each patient counts as much as the mitigation gives their group."
	} else if m.Weights != "" {
		words += " Each patient counts as much as " + m.Weights + " says."
	}
	switch m.SiteEffects {
	case study.FixedSiteEffects:
		words += " Each hospital has an intercept of its own, which stays there; the intercept here is their mean over the patients."
	case study.RandomSiteEffects:
		words += " Hospitals differ by a normal random intercept."
	}
	if m.Ridge > 0 {
		words += fmt.Sprintf(" A ridge penalty of %s draws its coefficients towards zero, and its intervals do not hold what that costs.", plot.Plain(m.Ridge))
	}
	words += " The coefficient of a level says how it differs from the level without a line, that of a number is per unit."

	var terms []coefficient
	for _, t := range m.Terms {
		lower, upper := m.Interval(t)
		terms = append(terms, coefficient{Name: t.Name, Estimate: t.Estimate, StdError: t.StdError, Lower: lower, Upper: upper, Statistic: t.Statistic, PValue: t.PValue})
	}
	ratio := ratioName(m.Family, m.Link)
	blocks := []block{text("%s", words)}
	if f := forest(terms, ratio, c); f != nil {
		blocks = append(blocks, block{Rows: f})
	}
	blocks = append(blocks, block{Table: coefficientTable(terms, ratio, m.Statistic, "Coefficients per unit of their column, on the scale of the fit.")})
	if weighted && m.Clusters == nil {
		blocks = append(blocks, note("Patients weigh in this fit by their group, and the standard errors take the weights as given, as R's glm does: a patient who weighs two counts as two, so they are too small for whoever weighs more. standard_errors: robust does not rest on that."))
	}
	blocks = append(blocks, curves...)
	if len(m.Dropped) > 0 {
		blocks = append(blocks, note("Left out, because no patient has them: %s.", list(m.Dropped)))
	}
	if m.Clusters != nil {
		blocks = append(blocks, note("Standard errors are robust, clustered by hospital: a sandwich over %s. With fewer than about 30 it is too small on average.", plot.Plural(*m.Clusters, "hospital", "hospitals")))
	}
	blocks = append(blocks, block{Head: "How it fits"}, block{Facts: glmFacts(m)})
	blocks = append(blocks, glmTests(m.Tests)...)
	return section{"The model", append(blocks, convergence(m.Curve, "Deviance per patient")...)}
}

// glmTests are those of several coefficients at once.
func glmTests(tests *glm.Tests) []block {
	if tests == nil {
		return nil
	}
	t := &table{Fold: "Tests of several coefficients at once", Head: []string{"Test", "Statistic", "Degrees of freedom", "p"}}
	add := func(kind string, x glm.Test) {
		statistic, df := "χ² ", fmt.Sprint(x.DF)
		if x.DFResidual > 0 {
			statistic, df = "F ", fmt.Sprintf("%d and %d", x.DF, x.DFResidual)
		}
		t.Rows = append(t.Rows, row{Name: x.Name, Note: kind, Cells: cells(statistic+plot.Number(x.Statistic), df, plot.PValue(x.PValue))})
	}
	if x := tests.LikelihoodRatio; x != nil {
		add("likelihood ratio", *x)
	}
	if x := tests.RandomEffect; x != nil {
		add("do hospitals differ?", *x)
	}
	for _, x := range tests.Wald {
		add("Wald", x)
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []block{{Table: t}}
}

func glmFacts(m *glm.Model) []Fact {
	deviance := plot.Likelihood(m.Deviance)
	if m.NullDeviance != 0 {
		deviance += ", without features " + plot.Likelihood(m.NullDeviance)
	}
	facts := []Fact{{"Deviance", deviance}}
	add := func(name string, value *float64) {
		if value != nil {
			facts = append(facts, Fact{name, plot.Number(*value)})
		}
	}
	add("R²", m.R2)
	add("Adjusted R²", m.AdjustedR2)
	if m.Family == study.Gaussian || m.Family == study.Gamma {
		dispersion := plot.Number(m.Dispersion)
		if m.DispersionStdError != nil {
			dispersion += " (standard error " + plot.Number(*m.DispersionStdError) + ")"
		}
		facts = append(facts, Fact{"Dispersion", dispersion})
	}
	add("Pseudo-R² (McFadden)", m.McFadden)
	add("Pseudo-R² (Nagelkerke)", m.Nagelkerke)
	if m.Theta != nil {
		theta := plot.Number(*m.Theta)
		if m.ThetaStdError != nil {
			theta += " (standard error " + plot.Number(*m.ThetaStdError) + ")"
		}
		facts = append(facts, Fact{"θ, where the variance is μ + μ²/θ", theta})
	}
	if e := m.RandomEffects; e != nil {
		between := fmt.Sprintf("%s over %s (%s)", plot.Number(e.Variance), plot.Plural(e.Sites, "hospital", "hospitals"), e.Method)
		if e.ICC != nil {
			between += ", which is " + plot.Percent(*e.ICC) + " of all variance"
		}
		facts = append(facts, Fact{"Variance between hospitals", between})
	}
	facts = append(facts, Fact{"Log-likelihood", plot.Likelihood(m.LogLike)}, Fact{"AIC", plot.Likelihood(m.AIC)}, Fact{"BIC", plot.Likelihood(m.BIC)})
	add("Penalised deviance", m.PenalisedDeviance)
	add("Effective degrees of freedom", m.EffectiveDF)
	return append(facts, Fact{"Rounds of the fit", strconv.Itoa(m.Iterations)})
}
