package fairness

import (
	"fmt"
	"strconv"

	"github.com/consilium-fl/consilium/study"
)

// Consequence says in words what a verdict does to a release that the study has
// declared to block, warn or offer. It follows "a fail".
func Consequence(declared string) string {
	switch study.Consequence(declared) {
	case study.Block:
		return "blocks the release"
	case study.Warn:
		return "calls for a warning"
	case study.Offer:
		return "stands in no way"
	}
	return ""
}

// Threshold says in words beyond what a criterion calls a comparison of groups a
// disparity.
func Threshold(s *study.Study, c study.Criterion) string {
	by := "every attribute"
	if c.Attribute >= 0 {
		by = s.Fairness.Attributes[c.Attribute].Column
	}
	if c.Ratio {
		return fmt.Sprintf("%s by %s: a ratio to the reference group above %s or below its inverse", c.Metric, by, decimal(1+c.Margin))
	}
	return fmt.Sprintf("%s by %s: a difference from the reference group of more than %s", c.Metric, by, decimal(c.Margin))
}

// Declared says for each criterion of a study what its verdicts will do to the
// release, before there is one.
func Declared(s *study.Study) (out []string) {
	for _, c := range s.Fairness.Criteria {
		out = append(out, fmt.Sprintf("%s is a fail. A fail %s; insufficient evidence %s.",
			Threshold(s, c), Consequence(string(c.OnFail)), Consequence(string(c.OnInsufficient))))
	}
	return out
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
