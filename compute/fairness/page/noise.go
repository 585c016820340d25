package page

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

//go:embed noise.html
var noiseHTML string

// patients of a group that has a count, marked where it is a noisy one.
func patients(g fairness.Group) string {
	if g.Noise != nil {
		return "≈ " + plot.Grouped(*g.N)
	}
	return plot.Grouped(*g.N)
}

// allPatients of an audit, marked where their count is a noisy one.
func allPatients(a *fairness.Audit) string {
	if a.Noise != nil {
		return "≈ " + plot.Grouped(a.N)
	}
	return plot.Grouped(a.N)
}

// ranked says which patients a concordance compares.
func ranked(a *fairness.Audit) string {
	if a.Noise != nil {
		return "all hospitals, by band of the predicted risk and interval of time"
	}
	return "one hospital"
}

// observedRisk says what the observed risk at a time is.
func observedRisk(a *fairness.Audit) string {
	if a.Noise != nil {
		return "a life table's estimate, from noisy counts by interval of time"
	}
	return "Kaplan and Meier's estimate"
}

// hiddenUnderNoise says why a group has no figures where its count is noisy; empty
// where it is not.
func hiddenUnderNoise(g fairness.Group, minimum int) string {
	switch {
	case g.Noise == nil:
	case g.State == fairness.Suppressed:
		return fmt.Sprintf("hidden: fewer than %d patients by the noisy count", minimum)
	case g.State == fairness.NotEstimable:
		return "the noise is too large beside so few patients"
	}
	return ""
}

// noisyPopulations are the groups of each attribute by their noisy counts.
func noisyPopulations(a *fairness.Audit) (out []population) {
	for i, g := range a.Groups {
		if i == 0 || strings.Contains(g.Attribute, " × ") {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Attribute != g.Attribute {
			out = append(out, population{Attribute: g.Attribute})
		}
		p := &out[len(out)-1]
		b := bar{Y: float64(len(p.Bars)) * rowHeight, Label: g.Level, Count: hidden(a, g)}
		if g.N != nil {
			b.Count = patients(g)
			b.Width = barWidth * min(max(float64(*g.N)/float64(a.N), 0), 1)
		}
		b.Text = barStart + b.Width + 8
		p.Bars = append(p.Bars, b)
	}
	return out
}
