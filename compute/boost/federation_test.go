package boost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// Outcomes by loss, with the columns that they read.
var outcomes = map[string]string{
	study.LossSquared:  "{column: y, type: number, range: [-20, 60]}",
	study.LossLogistic: `{column: y, type: binary, positive: ["1"]}`,
	study.LossPoisson:  "{column: y, type: count, range: [0, 200]}",
	study.LossCox:      `{type: survival, time: {column: y, range: [0, 1000], unit: d}, event: {column: event, positive: ["1"], negative: ["0"]}}`,
}

var losses = []string{study.LossSquared, study.LossLogistic, study.LossPoisson, study.LossCox}

func protocol(loss, settings string, numbers, cell int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "study: trees\nversion: 1\noutcome: %s\nfeatures:\n", outcomes[loss])
	for j := range numbers {
		fmt.Fprintf(&b, "  - {column: x%d, type: number, range: [-10, 10]}\n", j)
	}
	fmt.Fprintf(&b, "  - {column: gene, type: category, levels: [GG, AG, AA]}\nmodel: {kind: boost, loss: %s%s}\n", loss, settings)
	fmt.Fprintf(&b, "fairness: {attributes: [{column: gene, levels: [GG, AG, AA]}], minimum_cell: %d}\n", cell)
	return b.String()
}

func parse(t testing.TB, text string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func columns(numbers int) []string {
	var out []string
	for j := range numbers {
		out = append(out, fmt.Sprintf("x%d", j))
	}
	return append(out, "gene", "y", "event")
}

// patients whose outcome bends and jumps with the numbers and the gene. Numbers
// are rounded, so that many share a value; some are missing.
func patients(random *rand.Rand, loss string, n, numbers int) [][]string {
	var out [][]string
	for range n {
		row := make([]string, 0, numbers+3)
		eta := 0.0
		for j := range numbers {
			x := math.Round(random.NormFloat64()*20) / 10
			x = min(max(x, -10), 10)
			switch j {
			case 0:
				eta += math.Abs(x)
			case 1:
				if x > 0.5 {
					eta -= 1.5
				}
			case 2:
				eta += 0.3 * x
			}
			if random.IntN(10) == 0 {
				row = append(row, "")
				if j == 1 {
					eta++
				}
				continue
			}
			row = append(row, strconv.FormatFloat(x, 'f', -1, 64))
		}
		gene := random.IntN(3)
		eta += float64(gene) * 0.4
		row = append(row, []string{"GG", "AG", "AA"}[gene])
		switch loss {
		case study.LossSquared:
			row = append(row, strconv.FormatFloat(min(max(3*eta+random.NormFloat64(), -20), 60), 'g', -1, 64), "0")
		case study.LossLogistic:
			y := "0"
			if random.Float64() < 1/(1+math.Exp(1-eta)) {
				y = "1"
			}
			row = append(row, y, "0")
		case study.LossPoisson:
			row = append(row, strconv.Itoa(min(count(random, math.Exp(0.4*eta)), 200)), "0")
		default:
			time := min(math.Ceil(random.ExpFloat64()*100*math.Exp(-eta)), 1000)
			event := "1"
			if random.IntN(3) == 0 {
				event = "0"
			}
			row = append(row, strconv.FormatFloat(time, 'f', -1, 64), event)
		}
		out = append(out, row)
	}
	return out
}

// count draws from Poisson's distribution.
func count(random *rand.Rand, mean float64) int {
	n := 0
	for p := random.Float64(); p > math.Exp(-mean); p *= random.Float64() {
		n++
	}
	return n
}

func matrix(t testing.TB, s *study.Study, columns []string, records [][]string) *study.Matrix {
	t.Helper()
	b, err := s.NewBuilder(columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		b.Add(r)
	}
	return b.Matrix()
}

// divide gives records to sites of very different size; one or more are empty
// where there are several.
func divide(t testing.TB, random *rand.Rand, s *study.Study, columns []string, records [][]string, sites int) []*study.Matrix {
	t.Helper()
	parts := make([][][]string, sites)
	for _, r := range records {
		k := int(float64(max(sites-1, 1)) * math.Pow(random.Float64(), 2))
		parts[k] = append(parts[k], r)
	}
	var out []*study.Matrix
	for _, p := range parts {
		out = append(out, matrix(t, s, columns, p))
	}
	return out
}

// ask adds up the sites' answers as the secure sum does: rounded to the
// layout's fixed point, each within its bound, in slots that exist.
func ask(t testing.TB, s *study.Study, q compute.Question, sites []*study.Matrix) compute.Sum {
	t.Helper()
	layout, err := Layout(s, q.Step, q.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(layout, q.Layout) {
		t.Fatalf("step %s: a site computes another layout than the coordinator", q.Step)
	}
	n := 0
	for _, f := range layout {
		if bits := math.Ceil(math.Log2(f.Bound)) + float64(f.FracBits) + 1 + 10; bits > 127 {
			t.Fatalf("field %s needs %v bits for a thousand sites", f.Name, bits)
		}
		n += f.Length
	}
	total := make([]float64, n)
	for _, m := range sites {
		values, err := Answer(s, q.Step, q.Parameters, m)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) != n {
			t.Fatalf("step %s: %d values, the layout has %d", q.Step, len(values), n)
		}
		at := 0
		for _, f := range layout {
			for range f.Length {
				v := values[at]
				if !(math.Abs(v) <= f.Bound) {
					t.Fatalf("step %s: a value of field %s is beyond its bound", q.Step, f.Name)
				}
				at++
				if f.FracBits > 0 { // only of the baseline
					scale := math.Ldexp(1, f.FracBits)
					total[at-1] += math.RoundToEven(v*scale) / scale
					continue
				}
				if v != math.RoundToEven(v) {
					t.Fatalf("step %s: a value of field %s is not whole", q.Step, f.Name)
				}
				if total[at-1] += v; math.Abs(total[at-1]) > 1<<53 {
					t.Fatalf("step %s: a sum of field %s is not exact", q.Step, f.Name)
				}
			}
		}
	}
	sum, err := compute.NewSum(len(sites), layout, total)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func begin(t testing.TB, s *study.Study, sites []*study.Matrix) *Fit {
	t.Helper()
	n := 0
	for _, m := range sites {
		n += m.Rows()
	}
	f, err := New(s, &describe.Counts{Contributors: len(sites), Patients: n})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run asks the sites until the fit is done, and returns the questions.
func run(t testing.TB, s *study.Study, f *Fit, sites []*study.Matrix) []compute.Question {
	t.Helper()
	var questions []compute.Question
	for {
		q, done, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return questions
		}
		questions = append(questions, q)
		if err := f.Absorb(ask(t, s, q, sites)); err != nil {
			t.Fatal(err)
		}
	}
}

func federate(t testing.TB, s *study.Study, sites []*study.Matrix) (*Fit, []compute.Question) {
	t.Helper()
	f := begin(t, s, sites)
	return f, run(t, s, f, sites)
}

func predictor(t testing.TB, s *study.Study, m *Model) compute.Predictor {
	t.Helper()
	encoded, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(s, encoded)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
