package glm

import (
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"gonum.org/v1/gonum/mat"
)

// collinear is the share of a column's sum of squares that must remain once
// the earlier columns have explained what they can. Below it the sums, which
// carry 16 digits, no longer determine the coefficient to useful accuracy.
const collinear = 1e-10

// constant is the share of the patients' total weight below which a centred
// column's sum of squares is rounding: its spread is then not a billionth of its range.
const constant = 1e-17

// diagnoseCollinearity walks the columns in order, eliminating each from those
// after it, and names every column of which nothing is left together with the
// earlier columns it is a combination of. The total is what a column of ones
// has. It returns nil when all are independent.
func diagnoseCollinearity(a *mat.SymDense, names []string, total float64) *compute.Diagnosis {
	n := a.SymmetricDim()
	lower := mat.NewDense(n, n, nil) // rows of the factor of the independent columns
	var kept []int
	var d compute.Diagnosis
	var sentences []string
	for j := range n {
		size := a.At(j, j)
		row := make([]float64, len(kept))
		left := size
		for r, k := range kept {
			v := a.At(j, k)
			for c := range r {
				v -= row[c] * lower.At(r, c)
			}
			row[r] = v / lower.At(r, r)
			left -= row[r] * row[r]
		}
		if size > constant*total && left > collinear*size {
			r := len(kept)
			for c, v := range row {
				lower.Set(r, c, v)
			}
			lower.Set(r, r, math.Sqrt(left))
			kept = append(kept, j)
			continue
		}
		// Back substitution gives column j as a combination of the kept ones.
		weights := make([]float64, len(row))
		for r := len(row) - 1; r >= 0; r-- {
			v := row[r]
			for s := r + 1; s < len(row); s++ {
				v -= weights[s] * lower.At(s, r)
			}
			weights[r] = v / lower.At(r, r)
		}
		var on []string
		for r, k := range kept {
			if math.Abs(weights[r])*math.Sqrt(a.At(k, k)) > 1e-4*math.Sqrt(size) {
				on = append(on, names[k])
			}
		}
		d.Terms = append(d.Terms, names[j])
		switch {
		case len(on) == 0:
			if names[0] != InterceptName {
				sentences = append(sentences, fmt.Sprintf("%s is the same for all patients of each site, as the site's effect is", names[j]))
				break
			}
			sentences = append(sentences, fmt.Sprintf("%s is the same for every patient", names[j]))
		case len(on) == 1 && on[0] == InterceptName:
			sentences = append(sentences, fmt.Sprintf("%s is the same for every patient, as the intercept is", names[j]))
		default:
			sentences = append(sentences, fmt.Sprintf("%s is determined by %s", names[j], strings.Join(on, ", ")))
		}
		for _, name := range on {
			if name != InterceptName {
				d.Terms = append(d.Terms, name)
			}
		}
	}
	if len(sentences) == 0 {
		return nil
	}
	d.Kind = compute.Collinearity
	d.Terms = unique(d.Terms)
	remedy := "their separate effects cannot be told apart; leave one of them out of the study, or use a ridge"
	if len(d.Terms) == 1 { // determined by no other term
		remedy = "it has no effect that could be estimated; leave it out of the study"
	}
	d.Message = strings.Join(sentences, "; ") + ": " + remedy
	return &d
}

func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	var out []string
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}
