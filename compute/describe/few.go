package describe

import "math"

// A mean with its number of patients is a sum, and the sum of a column of which few
// have any is those few's: of zeros and ones it is how many they are. So where
// whatever gives a small count away is withheld, a number has neither mean nor
// standard deviation if too few patients can be anywhere but at an end of its range,
// or at zero.

const nobody = 1e-9 // of a scaled sum, which is exact but for its fixed point

// fewHave reports whether fewer patients than the minimum cell may have a value that
// is not the least, the largest or zero, from the sums of the values and of their
// squares, scaled by middle and half of the range.
func (c *Counts) fewHave(sum, squares float64, n int, mid, half float64) bool {
	if !c.study.Fairness.Complementary || half == 0 {
		return false
	}
	few := func(from, farthest float64) bool {
		off := float64(n)*from - sum // of the values from that one
		offSquared := squares - 2*from*sum + float64(n)*from*from
		if offSquared < nobody {
			return false
		}
		// As many would be elsewhere if all of them were as far (Cauchy and Schwarz), and
		// as many if all were as far as can be.
		enough := float64(c.study.Fairness.MinimumCell) - 1e-6
		if from == -1 || from == 1 {
			return off*off < enough*offSquared
		}
		return off*off < enough*offSquared && offSquared < enough*farthest*farthest
	}
	zero := -mid / half
	return few(-1, 2) || few(1, 2) || -1 < zero && zero < 1 && few(zero, max(1-zero, 1+zero))
}

// dividedSecretly reports whether a number's column is an attribute, too, of which a
// group is withheld: the mean would divide the patients where the attribute does.
func (c *Counts) dividedSecretly(column string, r rule) bool {
	if !c.study.Fairness.Complementary {
		return false
	}
	for a, attribute := range c.study.CountedAttributes() {
		if attribute.Column != column {
			continue
		}
		for g := range attribute.Groups() {
			if r.groups[c.index.groupAt[a]+g].State == Suppressed {
				return true
			}
		}
	}
	return false
}

// coarsen rounds a mean of n patients and their standard deviation to at most half
// the mean's standard error. All digits of a mean of whole numbers are a fraction,
// whose denominator is how many patients it is of, and so how many are missing.
func coarsen(mean, sd *float64, n int) {
	if sd == nil || *sd == 0 {
		return
	}
	most := *sd / math.Sqrt(float64(n)) / 2
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, times := range []float64{5, 2} {
		if times*step <= most {
			step *= times
			break
		}
	}
	for _, x := range []*float64{mean, sd} {
		if step < 1 {
			each := math.Round(1 / step)
			*x = math.Round(*x*each) / each
		} else {
			*x = math.Round(*x/step) * step
		}
	}
}
