package page

import (
	_ "embed"
	"fmt"

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
