package neural

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Column is where a column is centred and what counts as 1 there.
type Column struct {
	Name string  `json:"name"`
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"` // with denominator n; 0 if all patients have the same value, and the column is not used
}

// minSpread is the standard deviation, against half the declared range, below
// which a column is taken as constant: the sums carry about 16 digits, of which
// a variance has lost half.
const minSpread = 1e-7

const momentBits = 60 // fractional, of a number scaled to [-1, 1]

// momentsLayout: every number is scaled by its declared range to [-1, 1].
func (n *network) momentsLayout() []compute.Field {
	fields := []compute.Field{{Name: "patients", Length: 1, Bound: maxRows}}
	if p := len(n.inputs); p > 0 {
		fields = append(fields,
			compute.Field{Name: "columns", Length: p, FracBits: momentBits, Bound: maxRows},
			compute.Field{Name: "columns_squared", Length: p, FracBits: momentBits, Bound: maxRows})
	}
	return append(fields, compute.Field{Name: "outcome", Length: 2, FracBits: momentBits, Bound: maxRows})
}

// ranges are the middles and half widths of the declared ranges of the inputs
// and, last, of the outcome on the scale of the fit.
func (n *network) ranges() (mid, half []float64) {
	put := func(lo, hi float64) {
		mid, half = append(mid, lo/2+hi/2), append(half, hi/2-lo/2)
	}
	for _, t := range n.inputs {
		put(t.Lo, t.Hi)
	}
	lo, hi := n.study.Outcome.Bounds()
	put(lo, hi)
	return mid, half
}

func (n *network) answerMoments(m *study.Matrix) []float64 {
	p := len(n.inputs)
	mid, half := n.ranges()
	unit := func(x float64, j int) float64 {
		if half[j] == 0 {
			return 0
		}
		z, _ := bounded((x-mid[j])/half[j], 1)
		return z
	}
	sums := compute.NewAccumulator(2*p + 2)
	var row []float64
	for i := range m.Rows() {
		row = m.AppendRow(row[:0], i)
		for j, x := range row[1:] {
			z := unit(x, j)
			sums.Add(j, z)
			sums.Add(p+j, z*z)
		}
		y := unit(n.study.Outcome.Transform(m.Outcome(i)), p)
		sums.Add(2*p, y)
		sums.Add(2*p+1, y*y)
	}
	return append([]float64{float64(m.Rows())}, sums.Values()...)
}

// scaling takes a record to the network's inputs and the outcome to the scale
// of the loss.
type scaling struct {
	columns []Column // by input
	outcome Column   // mean 0 and standard deviation 1 but for a number
}

// readMoments takes the opened sum apart. mean is that of the outcome on the
// scale of the fit.
func (n *network) readMoments(sum compute.Sum) (patients int, c scaling, mean float64, err error) {
	if err := checkSum(sum, n.momentsLayout()); err != nil {
		return 0, c, 0, err
	}
	patients = int(math.Round(sum.Field("patients")[0]))
	if patients < n.study.Fairness.MinimumCell || patients < 1 {
		return 0, c, 0, &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("the network trains on fewer patients than the minimum cell of %d; see the sites' dry runs for why records were skipped", n.study.Fairness.MinimumCell)}
	}
	mid, half := n.ranges()
	column := func(name string, j int, total, squares float64) Column {
		m := min(max(total/float64(patients), -1), 1)
		sd := math.Sqrt(min(max(squares/float64(patients)-float64(m*m), 0), 1))
		if sd < minSpread {
			sd = 0
		}
		// The mean must not leave the range by a rounding: sites check.
		lo, hi := mid[j]-half[j], mid[j]+half[j]
		return Column{name, min(max(mid[j]+float64(half[j]*m), lo), hi) + 0, half[j] * sd}
	}
	p := len(n.inputs)
	for j, t := range n.inputs {
		c.columns = append(c.columns, column(t.Name, j, sum.Field("columns")[j], sum.Field("columns_squared")[j]))
	}
	outcome := sum.Field("outcome")
	c.outcome = column(n.study.Outcome.Column, p, outcome[0], outcome[1])
	mean = c.outcome.Mean
	if c.outcome.SD == 0 {
		return 0, c, 0, &compute.Diagnosis{Kind: compute.ConstantTarget,
			Message: "every patient has the same outcome, so there is nothing to explain"}
	}
	if n.study.Outcome.Type != study.Number {
		c.outcome = Column{n.study.Outcome.Column, 0, 1}
	}
	return patients, c, mean, nil
}

// check refuses a scaling outside the declared ranges.
func (n *network) check(c scaling) error {
	mid, half := n.ranges()
	fits := func(c Column, j int) bool {
		spread := c.SD == 0 && !math.Signbit(c.SD) || c.SD >= half[j]*minSpread*(1-1e-9) && c.SD <= half[j]
		return within(c.Mean, mid[j]-half[j], mid[j]+half[j]) && spread
	}
	for j, column := range c.columns {
		if !fits(column, j) {
			return fmt.Errorf("the mean or the standard deviation of %s is outside its declared range", column.Name)
		}
	}
	if n.study.Outcome.Type != study.Number {
		if c.outcome != (Column{n.study.Outcome.Column, 0, 1}) || math.Signbit(c.outcome.Mean) {
			return errors.New("an outcome that is no number is not standardised, but the question says so")
		}
		return nil
	}
	if !fits(c.outcome, len(n.inputs)) || c.outcome.SD == 0 {
		return errors.New("the mean or the standard deviation of the outcome is outside its declared range")
	}
	return nil
}

// within is false for NaN and for minus zero, a second spelling of zero.
func within(x, lo, hi float64) bool {
	return x >= lo && x <= hi && !(x == 0 && math.Signbit(x))
}

// apply takes a row of the design matrix to inputs.
func (c scaling) apply(inputs, row []float64) {
	for j, column := range c.columns {
		inputs[j] = 0
		if column.SD > 0 {
			inputs[j], _ = bounded((row[j+1]-column.Mean)/column.SD, maxInput)
		}
	}
}

// constant names the columns that are not used.
func (c scaling) constant() (names []string) {
	for _, column := range c.columns {
		if column.SD == 0 {
			names = append(names, column.Name)
		}
	}
	return names
}

// checkSum makes sure that an opened sum has the fields of a layout.
func checkSum(sum compute.Sum, layout []compute.Field) error {
	for _, f := range layout {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	return nil
}
