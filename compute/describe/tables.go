package describe

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// StepTables is the question for histograms, correlations and cross tables.
const StepTables = "describe/tables"

const (
	histogramBins = 20
	mostNumbers   = 200     // in the correlation matrix: the first ones
	mostCells     = 1 << 18 // of all cross tables: the first ones that fit
	// Centred at the mean, products are small where the declared range is wide.
	productBits = 80
)

// number is a column whose distribution is described.
type number struct {
	name   string
	unit   string
	term   int // or Outcome
	lo, hi float64
}

func numbersOf(s *study.Study) []number {
	var out []number
	if r := rangeOf(s, Outcome); r != (study.Range{}) {
		out = append(out, number{s.Outcome.Column, s.Outcome.Unit, Outcome, r.Lo, r.Hi})
	}
	for j, t := range s.Terms() {
		if r := rangeOf(s, j); r != (study.Range{}) {
			out = append(out, number{t.Name, s.Features[t.Feature].Unit, j, r.Lo, r.Hi})
		}
	}
	return out
}

// correlated are the numbers of the correlation matrix. A time until an event
// is not among them: censored, it has no correlation.
func correlated(s *study.Study) []number {
	numbers := numbersOf(s)
	if s.Outcome.Type == study.Survival {
		numbers = numbers[1:]
	}
	return numbers[:min(len(numbers), mostNumbers)]
}

func (v number) value(row []float64, outcome float64) float64 {
	if v.term == Outcome {
		return outcome
	}
	return row[v.term]
}

// crossings are the pairs of cross tables: categories, the sides of a binary
// outcome, and groups of attributes, each with each.
func crossings(s *study.Study) [][2]Grouping {
	dimensions := Groupings(s)[1:]
	if s.Outcome.Type == study.Binary {
		dimensions = append(dimensions, Grouping{Column: s.Outcome.Column, Names: []string{"negative", "positive"}, feature: -1, attribute: -1})
	}
	var out [][2]Grouping
	cells := 0
	for i, a := range dimensions {
		for _, b := range dimensions[i+1:] {
			if cells += len(a.Names) * len(b.Names); cells > mostCells {
				return out
			}
			out = append(out, [2]Grouping{a, b})
		}
	}
	return out
}

// tableParameters say where the numbers are centred: at the means that the
// counts have opened.
type tableParameters struct {
	Means []float64 `json:"means"`
}

func tablesLayout(s *study.Study) []compute.Field {
	const product = maxRows * 4 // a centred number is at most 2 in magnitude
	var fields []compute.Field
	add := func(name string, length, bits int, bound float64) {
		if length > 0 {
			fields = append(fields, compute.Field{Name: name, Length: length, FracBits: bits, Bound: bound})
		}
	}
	p := len(correlated(s))
	pairs, cells := p*(p-1)/2, 0
	for _, c := range crossings(s) {
		cells += len(c[0].Names) * len(c[1].Names)
	}
	add("histograms", len(numbersOf(s))*histogramBins, 0, maxRows)
	add("pairs", pairs, 0, maxRows)
	add("pair_sums", pairs*pairSums, productBits, product)
	add("cells", cells, 0, maxRows)
	return fields
}

// pairSums of numbers x and y, over the patients who have both: of x, y, xx, yy
// and xy.
const pairSums = 5

func readTableParameters(s *study.Study, parameters []byte) (p tableParameters, err error) {
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return p, err
	}
	numbers := correlated(s)
	if len(p.Means) != len(numbers) {
		return p, fmt.Errorf("the step has %d means, the study %d numbers", len(p.Means), len(numbers))
	}
	for i, v := range numbers {
		if x := p.Means[i]; !(x >= v.lo && x <= v.hi) || x == 0 && math.Signbit(x) {
			return p, fmt.Errorf("the mean of %s is outside its declared range", v.name)
		}
	}
	return p, nil
}

func answerTables(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	p, err := readTableParameters(s, parameters)
	if err != nil {
		return nil, err
	}
	numbers, pairing, crossed, x := numbersOf(s), correlated(s), crossings(s), newIndex(s)
	histograms := make([]float64, len(numbers)*histogramBins)
	n := len(pairing)
	pairs := make([]float64, n*(n-1)/2)
	sums := compute.NewAccumulator(len(pairs) * pairSums)
	cells := 0
	for _, c := range crossed {
		cells += len(c[0].Names) * len(c[1].Names)
	}
	counts := make([]float64, cells)
	at, z, block := make([]int, len(s.Features)), make([]float64, n), make([]float64, len(pairs)*pairSums)
	var row []float64
	for i := range m.Rows() {
		row = m.AppendRow(row[:0], i)
		x.place(at, row)
		for k, v := range numbers {
			if u := v.value(row, m.Outcome(i)); !math.IsNaN(u) {
				histograms[k*histogramBins+binOf(v, u)]++
			}
		}
		for k, v := range pairing {
			z[k] = (v.value(row, m.Outcome(i)) - p.Means[k]) / (v.hi/2 - v.lo/2)
		}
		addPairs(pairs, block, z)
		if i%blockRows == blockRows-1 || i == m.Rows()-1 {
			for k, v := range block {
				sums.Add(k, v)
			}
			clear(block)
		}
		first := 0
		for _, c := range crossed {
			a, b := c[0].group(s, x, at, m, i), c[1].group(s, x, at, m, i)
			if a >= 0 && b >= 0 {
				counts[first+a*len(c[1].Names)+b]++
			}
			first += len(c[0].Names) * len(c[1].Names)
		}
	}
	out := append(histograms, pairs...)
	out = append(out, sums.Values()...)
	return append(out, counts...), nil
}

// blockRows are added up plainly before they join the compensated totals.
const blockRows = 256

// addPairs adds a record's numbers to the sums of every pair of which it has
// both.
func addPairs(pairs, sums, z []float64) {
	pair := 0
	for a, x := range z {
		for _, y := range z[a+1:] {
			if !math.IsNaN(x) && !math.IsNaN(y) {
				s := sums[pair*pairSums : (pair+1)*pairSums]
				pairs[pair]++
				s[0] += x
				s[1] += y
				s[2] += x * x
				s[3] += y * y
				s[4] += x * y
			}
			pair++
		}
	}
}

// group is like of, and knows the sides of a binary outcome too.
func (g Grouping) group(s *study.Study, x index, at []int, m *study.Matrix, i int) int {
	if g.feature < 0 && g.attribute < 0 && s.Outcome.Type == study.Binary {
		return int(m.Outcome(i))
	}
	return g.of(x, at, m, i)
}

// binOf is the bin of a value: each holds its lower end, the last one both.
func binOf(v number, x float64) int {
	bin := 0
	for bin+1 < histogramBins && x >= histogramEdge(v, bin+1) {
		bin++
	}
	return bin
}

func histogramEdge(v number, bin int) float64 {
	if bin == histogramBins {
		return v.hi
	}
	return v.lo + float64((v.hi-v.lo)*float64(bin))/histogramBins
}
