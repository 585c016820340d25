package pipeline

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/study"
)

func parse(t testing.TB, src string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// matrices divides records over sites by a column.
func matrices(t testing.TB, s *study.Study, columns []string, records [][]string, site func(int) string) []*study.Matrix {
	t.Helper()
	builders := map[string]*study.Builder{}
	var names []string
	for i, record := range records {
		name := site(i)
		if builders[name] == nil {
			b, err := s.NewBuilder(columns)
			if err != nil {
				t.Fatal(err)
			}
			builders[name] = b
			names = append(names, name)
		}
		builders[name].Add(record)
	}
	slices.Sort(names)
	var out []*study.Matrix
	for _, name := range names {
		out = append(out, builders[name].Matrix())
	}
	return out
}

// iwpc reads the real warfarin cohort.
func iwpc(t testing.TB) (columns []string, records [][]string, site func(int) string) {
	t.Helper()
	f, err := os.Open(filepath.Join(publicdata.Dir(t), "iwpc", "iwpc_cohort5051_derived.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if columns, err = r.Read(); err != nil {
		t.Fatal(err)
	}
	for {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	if len(records) != 5051 {
		t.Fatalf("%d records, want 5051", len(records))
	}
	at := slices.Index(columns, "site")
	return columns, records, func(i int) string { return records[i][at] }
}

// encoding of a vector on its way into the secure sum.
type encoding int

const (
	plain      encoding = iota
	fixedPoint          // rounded to the fields' fractional bits and added as integers
)

// installed are the models that hospitals have, by the study that watches them.
var installed = map[*study.Study]*Model{}

// federate runs a study to its end, the sites answering as they would.
func federate(t testing.TB, s *study.Study, sites []*study.Matrix, how encoding) (*Result, error) {
	t.Helper()
	return federateSeeing(t, s, sites, how, func(compute.Question) {})
}

// federateSeeing shows every question that is asked.
func federateSeeing(t testing.TB, s *study.Study, sites []*study.Matrix, how encoding, see func(compute.Question)) (*Result, error) {
	t.Helper()
	session := New(s)
	for rounds := 0; rounds < 1100; rounds++ {
		q, done, err := session.Next()
		if err != nil {
			return session.Result(), err
		}
		if done {
			return session.Result(), nil
		}
		see(q)
		sum := ask(t, s, sites, q, how)
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the study does not end")
	return nil, nil
}

func ask(t testing.TB, s *study.Study, sites []*study.Matrix, q compute.Question, how encoding) compute.Sum {
	t.Helper()
	layout, err := Layout(s, q.Step, q.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(layout, q.Layout) {
		t.Fatalf("step %s: a site computes another layout than the coordinator", q.Step)
	}
	var contributions [][]float64
	var names []string
	for i, m := range sites {
		name := fmt.Sprintf("Hospital %02d", i+1)
		names = append(names, name)
		values, err := Answer(s, q.Step, q.Parameters, Site{Name: study.SiteID(name), Records: m, Installed: installed[s]})
		if err != nil {
			t.Fatal(err)
		}
		contributions = append(contributions, values)
	}
	sum, err := compute.NewSum(len(sites), layout, total(t, layout, contributions, how))
	if err != nil {
		t.Fatal(err)
	}
	sum.Sites = names
	return sum
}

func total(t testing.TB, layout []compute.Field, contributions [][]float64, how encoding) []float64 {
	t.Helper()
	var out []float64
	at := 0
	for _, f := range layout {
		// A slot of the secure sum holds at most 127 bits.
		bits := math.Ceil(math.Log2(f.Bound)) + float64(f.FracBits) + 1 + 10
		if bits > 127 {
			t.Fatalf("field %s needs %v bits for a thousand sites", f.Name, bits)
		}
		for range f.Length {
			exact := 0.0
			integer := new(big.Int)
			for _, c := range contributions {
				if len(c) <= at || !(math.Abs(c[at]) <= f.Bound) {
					t.Fatalf("field %s: a number is missing or beyond its bound", f.Name)
				}
				exact += c[at]
				scaled := new(big.Float).SetMantExp(big.NewFloat(c[at]), f.FracBits)
				half := big.NewFloat(math.Copysign(0.5, c[at]))
				i, _ := new(big.Float).SetPrec(200).Add(scaled, half).Int(nil)
				integer.Add(integer, i)
			}
			if how == fixedPoint {
				rounded := new(big.Float).SetInt(integer)
				exact, _ = rounded.SetMantExp(rounded, -f.FracBits).Float64()
			}
			out = append(out, exact)
			at++
		}
	}
	for _, c := range contributions {
		if len(c) != at {
			t.Fatalf("a contribution has %d numbers, the layout %d", len(c), at)
		}
	}
	return out
}

func diagnosis(t testing.TB, err error, kind string) *compute.Diagnosis {
	t.Helper()
	var d *compute.Diagnosis
	if !errors.As(err, &d) || d.Kind != kind {
		t.Fatalf("got %v, want the diagnosis %s", err, kind)
	}
	return d
}

// near fails unless got equals want to a relative tolerance.
func near(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
		t.Errorf("%s = %.17g, want %.17g, off by %.2g", what, got, want, math.Abs(got/want-1))
	}
}

func warfarin(outcome, cyp2c9, model string) string {
	return fmt.Sprintf(`
study: warfarin-dose
version: 1
title: Stable weekly warfarin dose from genotype and clinical factors
outcome: %s
features:
  - {column: age_decade, type: number, range: [1, 9]}
  - {column: height_cm, type: number, range: [100, 230], unit: cm}
  - {column: weight_kg, type: number, range: [20, 300], unit: kg}
  - {column: vkorc1_1639, type: category, levels: [G/G, A/G, A/A], reference: G/G}
  - {column: cyp2c9, type: category, levels: %s, reference: "*1/*1"}
  - {column: race4, type: category, levels: [White, Asian, Black or African American, Mixed/missing], reference: White}
  - {column: enzyme_inducer, type: number, range: [0, 1]}
  - {column: amiodarone, type: number, range: [0, 1]}
cohort: {exclude_if: [{column: complete_case, equals: "0"}]}
model: %s
fairness:
  disclosure: primary
  attributes:
    - {column: race4, levels: [White, Asian, Black or African American, Mixed/missing]}
    - {column: sex, levels: [female, male]}
  minimum_cell: 11
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 2m}
`, outcome, cyp2c9, model)
}

const (
	weeklyDose = `{column: weekly_dose_mg, type: number, range: [2, 320], unit: mg/wk, transform: sqrt}`
	highDose   = `{column: weekly_dose_mg, type: binary, at_least: 49}`
	sixLevels  = `["*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3"]`
	fourLevels = `["*1/*1", "*1/*2", "*1/*3", {two_variant_alleles: ["*2/*2", "*2/*3", "*3/*3"]}]`
	linear     = `{kind: glm, family: gaussian}`
	logistic   = `{kind: glm, family: binomial}`
	ridge      = `{kind: glm, family: binomial, ridge: 1}`
)

// present leaves out sites without a usable record.
func present(sites []*study.Matrix) []*study.Matrix {
	return slices.DeleteFunc(sites, func(m *study.Matrix) bool { return m.Rows() == 0 })
}
