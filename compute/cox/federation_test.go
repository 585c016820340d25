package cox

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/study"
)

func parse(t testing.TB, protocol string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(protocol))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// table is a file of records.
type table struct {
	columns []string
	records [][]string
}

func (d table) at(column string) int { return slices.Index(d.columns, column) }

func readCSV(t testing.TB, path ...string) table {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{publicdata.Dir(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return table{all[0], all[1:]}
}

// divide gives every site its own records. A record without a site is left out.
func divide(t testing.TB, s *study.Study, d table, site func(i int, record []string) string) []*study.Matrix {
	t.Helper()
	builders := map[string]*study.Builder{}
	var names []string
	for i, r := range d.records {
		name := site(i, r)
		if name == "" {
			continue
		}
		if builders[name] == nil {
			b, err := s.NewBuilder(d.columns)
			if err != nil {
				t.Fatal(err)
			}
			builders[name], names = b, append(names, name)
		}
		builders[name].Add(r)
	}
	slices.Sort(names)
	var out []*study.Matrix
	for _, name := range names {
		out = append(out, builders[name].Matrix())
	}
	return out
}

// by divides by a column.
func by(d table, column string) func(int, []string) string {
	at := d.at(column)
	return func(_ int, r []string) string { return r[at] }
}

// ask adds up the sites' answers as the secure sum does: in the layout's fixed
// point, each within its bound.
func ask(t testing.TB, q compute.Question, sites []*study.Matrix, answer func(m *study.Matrix) ([]float64, error)) compute.Sum {
	t.Helper()
	var total []float64
	for _, m := range sites {
		values, err := answer(m)
		if err != nil {
			t.Fatal(err)
		}
		if total == nil {
			total = make([]float64, len(values))
		}
		at := 0
		for _, f := range q.Layout {
			scale := math.Ldexp(1, f.FracBits)
			if w := math.Log2(f.Bound) + float64(f.FracBits) + 2; w > 117 { // and ten bits for 1024 sites
				t.Fatalf("%s: field %s takes %v bits", q.Step, f.Name, w)
			}
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

// count is the first sum of a study.
func count(t testing.TB, s *study.Study, sites []*study.Matrix) *describe.Counts {
	t.Helper()
	q := compute.Question{Step: describe.Step, Layout: describe.CountsLayout(s)}
	counts, err := describe.Read(s, ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return describe.AnswerCounts(s, m) }))
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// federate fits the model of a study.
func federate(t testing.TB, s *study.Study, sites []*study.Matrix) (*Model, *Fit, error) {
	t.Helper()
	counts := count(t, s, sites)
	if d := counts.Diagnose(); d != nil {
		return nil, nil, d
	}
	f, err := New(s, counts)
	if err != nil {
		return nil, nil, err
	}
	for {
		q, done, err := f.Next()
		if err != nil {
			return nil, f, err
		}
		if done {
			break
		}
		again, _, _ := f.Next()
		if string(again.Parameters) != string(q.Parameters) {
			t.Fatal("asked again the question is another")
		}
		if err := f.Absorb(ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return Answer(s, q.Step, q.Parameters, m) })); err != nil {
			return nil, f, err
		}
	}
	encoded, err := json.Marshal(f.Model())
	if err != nil {
		t.Fatal(err)
	}
	var m Model
	if err := json.Unmarshal(encoded, &m); err != nil {
		t.Fatal(err)
	}
	return &m, f, nil
}

func fit(t testing.TB, s *study.Study, sites []*study.Matrix) *Model {
	t.Helper()
	m, _, err := federate(t, s, sites)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func diagnosis(t testing.TB, err error, kind string) *compute.Diagnosis {
	t.Helper()
	var d *compute.Diagnosis
	if !errors.As(err, &d) || d.Kind != kind {
		t.Fatalf("%v instead of %s", err, kind)
	}
	return d
}

// near compares relative to what is wanted.
func near(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(math.Abs(want), 1e-3)) {
		t.Errorf("%s: %.17g, want %.17g", what, got, want)
	}
}
