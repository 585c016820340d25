package describe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const quantileProtocol = `
study: quantiles
version: 1
outcome: {column: y, type: number, range: [-50, 50]}
features:
  - {column: age, type: number, range: [0, 120]}
  - {column: lab, type: number, range: [0, 100000]}
  - {column: c, type: category, levels: [u, v]}
model: {kind: glm, family: gaussian}
fairness: {attributes: [{column: c, levels: [u, v]}], minimum_cell: %d}
`

func parse(t testing.TB, protocol string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(protocol))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// divide gives every site the records that are its own.
func divide(t testing.TB, s *study.Study, columns []string, sites int, records [][]string, site func(i int) int) []*study.Matrix {
	t.Helper()
	builders := make([]*study.Builder, sites)
	for k := range builders {
		b, err := s.NewBuilder(columns)
		if err != nil {
			t.Fatal(err)
		}
		builders[k] = b
	}
	for i, r := range records {
		builders[site(i)].Add(r)
	}
	var out []*study.Matrix
	for _, b := range builders {
		out = append(out, b.Matrix())
	}
	return out
}

// ask adds up the sites' answers as the secure sum does: rounded to the
// layout's fixed point, each within its bound.
func ask(t testing.TB, q compute.Question, sites []*study.Matrix, answer func(m *study.Matrix) ([]float64, error)) compute.Sum {
	t.Helper()
	n := 0
	for _, f := range q.Layout {
		n += f.Length
	}
	total := make([]float64, n)
	for _, m := range sites {
		values, err := answer(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) != n {
			t.Fatalf("%s: %d values, the layout has %d", q.Step, len(values), n)
		}
		at := 0
		for _, f := range q.Layout {
			scale := math.Ldexp(1, f.FracBits)
			for range f.Length {
				if !(math.Abs(values[at]) <= f.Bound) {
					t.Fatalf("%s: a value of field %s is beyond its bound", q.Step, f.Name)
				}
				total[at] += math.RoundToEven(values[at]*scale) / scale
				at++
			}
		}
	}
	sum, err := compute.NewSum(len(sites), q.Layout, total)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func findQuantiles(t *testing.T, s *study.Study, sites []*study.Matrix, patients int, wants []Want) (values [][]float64, questions []compute.Question) {
	t.Helper()
	q := NewQuantiles(s, patients, wants)
	for {
		question, done, err := q.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return q.Values(), questions
		}
		questions = append(questions, question)
		if err := q.Absorb(ask(t, question, sites, func(m *study.Matrix) ([]float64, error) {
			return AnswerQuantiles(s, question.Parameters, m)
		})); err != nil {
			t.Fatal(err)
		}
	}
}

// skewed are ages in whole years and a laboratory value whose range is far
// wider than its spread.
func skewed(n int) (records [][]string, age, lab []float64) {
	random := rand.New(rand.NewPCG(3, 5))
	for i := range n {
		a := math.Round(min(max(60+15*random.NormFloat64(), 0), 120))
		l := 3 * math.Exp(random.NormFloat64())
		age, lab = append(age, a), append(lab, l)
		records = append(records, []string{"1", fmt.Sprint(a), strconv.FormatFloat(l, 'g', -1, 64), string("uv"[i%2])})
	}
	return records, age, lab
}

// rank of a value: how many do not exceed it.
func rank(x []float64, v float64) int {
	n := 0
	for _, u := range x {
		if u <= v {
			n++
		}
	}
	return n
}

func TestQuantilesAreThoseOfThePooledRecords(t *testing.T) {
	const n, cell = 4000, 5
	s := parse(t, fmt.Sprintf(quantileProtocol, cell))
	records, age, lab := skewed(n)
	sites := divide(t, s, []string{"y", "age", "lab", "c"}, 4, records, func(i int) int { return i * i % 3 }) // the fourth has none
	few := []float64{0.05, 0.25, 0.5, 0.75, 0.95}
	var many []float64
	for i := 1; i < 64; i++ {
		many = append(many, float64(i)/64)
	}
	values, questions := findQuantiles(t, s, sites, n, []Want{{1, few}, {2, few}, {2, many}, {Outcome, few}})
	if len(questions) > QuantileRounds {
		t.Errorf("%d rounds", len(questions))
	}
	slices.Sort(age)
	for i, p := range few {
		// Many share a year: the quantile is that year, exactly.
		if want := age[int(math.Ceil(p*n))-1]; values[0][i] != want {
			t.Errorf("age at %v: %v, want %v", p, values[0][i], want)
		}
		if values[3][i] != 1 {
			t.Errorf("an outcome of 1 only has the quantile %v", values[3][i])
		}
	}
	for k, probabilities := range [][]float64{1: few, 2: many} {
		for i, p := range probabilities {
			if off := math.Abs(float64(rank(lab, values[k][i])) - p*n); off > 2*cell {
				t.Errorf("lab at %v: off by %v patients", p, off)
			}
		}
	}
}

// However often it is asked, a bin below twice the minimum cell is never
// divided.
func TestNoBinOfFewPatientsIsDivided(t *testing.T) {
	const cell = 20
	s := parse(t, fmt.Sprintf(quantileProtocol, cell))
	records, _, lab := skewed(500)
	sites := divide(t, s, []string{"y", "age", "lab", "c"}, 3, records, func(i int) int { return i % 3 })
	_, questions := findQuantiles(t, s, sites, 500, []Want{{2, []float64{0.1, 0.5, 0.9, 0.99}}})
	for _, q := range questions {
		p, err := readQuantiles(s, q.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Numbers {
			for _, bin := range d.Bins {
				lo, hi := edge(0, 100000, d.Bits, bin), edge(0, 100000, d.Bits, bin+1)
				n := 0
				for _, x := range lab {
					if lo <= x && x < hi {
						n++
					}
				}
				if n < 2*cell {
					t.Errorf("a bin of %d patients is divided", n)
				}
			}
		}
	}
	if len(questions) < 2 {
		t.Error("the search did not go on")
	}
	if _, questions := findQuantiles(t, s, sites, 2*cell-1, []Want{{2, []float64{0.5}}}); len(questions) != 0 {
		t.Error("so few patients are not divided at all")
	}
}

// A hospital that drops out between two rounds moves no quantile out of its bin.
func TestQuantilesSurviveADropout(t *testing.T) {
	s := parse(t, fmt.Sprintf(quantileProtocol, 3))
	records, _, lab := skewed(3000)
	sites := divide(t, s, []string{"y", "age", "lab", "c"}, 3, records, func(i int) int { return i % 3 })
	q := NewQuantiles(s, 3000, []Want{{2, []float64{0.5}}})
	for {
		question, done, err := q.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		if err := q.Absorb(ask(t, question, sites, func(m *study.Matrix) ([]float64, error) {
			return AnswerQuantiles(s, question.Parameters, m)
		})); err != nil {
			t.Fatal(err)
		}
		sites = sites[:2]
	}
	if r := rank(lab, q.Values()[0][0]); r < 1350 || r > 1650 {
		t.Errorf("the median has rank %d of 3000", r)
	}
}

func TestQuestionsForQuantilesAreChecked(t *testing.T) {
	s := parse(t, fmt.Sprintf(quantileProtocol, 3))
	for _, p := range []string{
		`{"numbers":null}`, `{"numbers":[]}`, `{}`,
		`{"numbers":[{"term":0,"bits":0,"split":7,"bins":[0]}]}`,
		`{"numbers":[{"term":3,"bits":0,"split":7,"bins":[0]}]}`,
		`{"numbers":[{"term":9,"bits":0,"split":7,"bins":[0]}]}`,
		`{"numbers":[{"term":-2,"bits":0,"split":7,"bins":[0]}]}`,
		`{"numbers":[{"term":1,"bits":0,"split":8,"bins":[0]}]}`,
		`{"numbers":[{"term":1,"bits":-1,"split":7,"bins":[0]}]}`,
		`{"numbers":[{"term":1,"bits":38,"split":7,"bins":[0]}]}`,
		`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[3,3]}]}`,
		`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[128]}]}`,
		`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[]}]}`,
		`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[5,4]}]}`,
		`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[4] }]}`,
	} {
		if _, err := QuantilesLayout(s, []byte(p)); err == nil {
			t.Errorf("taken: %s", p)
		}
	}
	if _, err := QuantilesLayout(s, []byte(`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[4,5]}]}`)); err != nil {
		t.Error(err)
	}
}

func TestSimplestNumberOfABin(t *testing.T) {
	for _, c := range []struct{ lo, hi, want float64 }{
		{59.9999999, 60.00000001, 60}, {60, 60.0000001, 60}, {0.0999999, 0.1000001, 0.1},
		{-0.2500001, -0.2499999, -0.25}, {-1e-9, 1e-9, 0}, {1399.99, 1400.01, 1400},
	} {
		if got := simplest(c.lo, c.hi); got != c.want {
			t.Errorf("[%v, %v): %v, want %v", c.lo, c.hi, got, c.want)
		}
	}
}
