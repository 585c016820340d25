package pipeline

import (
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/noise"
	"github.com/consilium-fl/consilium/study"
)

// noiseShown says what the noise on the audit hides, and what it does not.
func noiseShown(s *study.Study) (notes []string) {
	of := s.Fairness.Noise
	if of == nil {
		return nil
	}
	cells := s.Fairness.BaseCells()
	each := noise.Scale{Epsilon: uint64(of.Epsilon), Sensitivity: 2 * 1000}
	whole := math.Sqrt(each.Variance() * float64(cells*fairness.Classes(s)) * float64(s.MinimumContributors()) / float64(s.Holders(0)))
	notes = append(notes, fmt.Sprintf("noise: all that is opened about the groups of the audit carries noise of epsilon %g, which the hospitals make together: this one sum is opened over all who are asked for it, and %s make all of its noise. If one drops out it is asked anew of the others. The size of one combination of groups is off by about %.0f patients, that of all %d together by about %.0f: with the fewest hospitals, and somewhat less with more.",
		float64(of.Epsilon)/1000, without(of.Colluding), whole/math.Sqrt(float64(cells)), cells, whole))
	exact := "noise: the model, the cohort's description"
	if s.Validation.Kind != "" {
		exact += ", the validation's figures of all patients together"
	}
	notes = append(notes, exact+" and the sums behind them stay exact. The audit of another study of the same patients adds its epsilon to this one.")
	if both := featuresAudited(s); both != nil {
		notes = append(notes, fmt.Sprintf("noise: the model sees what the audit divides by, %s: how many patients have each of its levels is opened exactly.", strings.Join(both, ", ")))
	}
	return notes
}

// counted says by what patients are counted exactly.
func counted(s *study.Study) string {
	if s.CountedAttributes() == nil && s.Fairness.Attributes != nil {
		return "at each level of a feature"
	}
	return "at each level and in each group"
}

// without names those whose noise suffices where so many take theirs off.
func without(colluding int) string {
	if colluding == 0 {
		return "all of them"
	}
	return fmt.Sprintf("all but any %d of them", colluding)
}

// featuresAudited are the columns that the model sees and the audit divides by.
func featuresAudited(s *study.Study) (columns []string) {
	for _, a := range s.Fairness.Attributes {
		for _, f := range s.Features {
			if f.Column == a.Column {
				columns = append(columns, f.Column)
			}
		}
	}
	return columns
}
