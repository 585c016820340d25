package compute

import "math"

// Accumulator is a vector of running totals with Neumaier's compensation
// (Neumaier, ZAMM 54, 1974): the error of a total does not grow with the
// number of terms, so a sum over one big site and over many small ones agree
// to the last bits.
type Accumulator struct {
	total        []float64
	compensation []float64
}

// NewAccumulator returns n totals of zero.
func NewAccumulator(n int) *Accumulator {
	return &Accumulator{total: make([]float64, n), compensation: make([]float64, n)}
}

// Add adds x to total i.
func (a *Accumulator) Add(i int, x float64) {
	t := a.total[i] + x
	if math.Abs(a.total[i]) >= math.Abs(x) {
		a.compensation[i] += (a.total[i] - t) + x
	} else {
		a.compensation[i] += (x - t) + a.total[i]
	}
	a.total[i] = t
}

// Values returns the totals.
func (a *Accumulator) Values() []float64 {
	out := make([]float64, len(a.total))
	for i := range out {
		out[i] = a.total[i] + a.compensation[i]
	}
	return out
}
