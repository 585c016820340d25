package study

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func termNames(s *Study) []string {
	var names []string
	for _, term := range s.Terms() {
		names = append(names, term.Name)
	}
	return names
}

// R 4.2, model.matrix(~ a + b + n + a:b + n:b) with levels r, x, y of a and s,
// u, v of b, names its columns ax, ay, bu, bv, n, ax:bu, ay:bu, ax:bv, ay:bv,
// bu:n, bv:n: of a product the first factor's terms vary fastest.
func TestInteractionsAreInTheOrderOfR(t *testing.T) {
	s := mustParse(t, `study: s
version: 1
outcome: {column: y, type: number, range: [0, 1]}
features:
  - {column: a, type: category, levels: [r, x, y]}
  - {column: b, type: category, levels: [s, u, v]}
  - {column: n, type: number, range: [-2, 3]}
  - {column: m, type: number, range: [-5, 7]}
model: {kind: glm, family: gaussian, interactions: ["a:b", "n:b", "m : n"]}
`)
	want := []string{"(intercept)", "a=x", "a=y", "b=u", "b=v", "n", "m",
		"a=x:b=u", "a=y:b=u", "a=x:b=v", "a=y:b=v", "n:b=u", "n:b=v", "m:n"}
	if diff := cmp.Diff(want, termNames(s)); diff != "" {
		t.Errorf("terms (-want +got):\n%s", diff)
	}
	terms := s.Terms()
	for i, want := range map[int]Term{
		7:  {Name: "a=x:b=u", Feature: -1, Level: -1, Product: []int{1, 3}, Lo: 0, Hi: 1},
		11: {Name: "n:b=u", Feature: -1, Level: -1, Product: []int{5, 3}, Lo: -2, Hi: 3},
		13: {Name: "m:n", Feature: -1, Level: -1, Product: []int{6, 5}, Lo: -15, Hi: 21},
	} {
		if diff := cmp.Diff(want, terms[i]); diff != "" {
			t.Errorf("term %d (-want +got):\n%s", i, diff)
		}
	}
	b, err := s.NewBuilder([]string{"y", "a", "b", "n", "m"})
	if err != nil {
		t.Fatal(err)
	}
	b.Add([]string{"0", "y", "v", "2", "-3"})
	b.Add([]string{"0", "r", "u", "-1.5", "4"})
	if diff := cmp.Diff([]float64{1, 0, 1, 0, 1, 2, -3, 0, 0, 0, 1, 0, 2, -6}, b.Matrix().Row(0)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float64{1, 0, 0, 1, 0, -1.5, 4, 0, 0, 0, 0, -1.5, 0, -6}, b.Matrix().Row(1)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// A column's name may hold the colon that joins two.
func TestInteractionOfColumnsWithColons(t *testing.T) {
	source := func(interaction string, columns ...string) []byte {
		src := "study: s\nversion: 1\noutcome: {column: y, type: number, range: [0, 1]}\nfeatures:\n"
		for _, column := range columns {
			src += fmt.Sprintf("  - {column: %q, type: number, range: [0, 1]}\n", column)
		}
		return []byte(src + "model: {kind: glm, family: gaussian, interactions: [" + strconv.Quote(interaction) + "]}\n")
	}
	s, err := Parse(source("10:rs12:A:age", "age", "10:rs12:A"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Model.Interactions[0].Features; got[0] != 1 || got[1] != 0 {
		t.Errorf("features %v", got)
	}
	if _, err := Parse(source("a:b:c", "a", "b:c", "a:b", "c")); err == nil || !strings.Contains(err.Error(), "can be read in more than one way") {
		t.Errorf("error %v", err)
	}
	// The product of two columns may not take the name of a third.
	if _, err := Parse(source("a:b", "a", "b", "a:b")); err == nil || !strings.Contains(err.Error(), `two terms of the model would be called "a:b"`) {
		t.Errorf("error %v", err)
	}
}

func TestSplineTermsMayNotTakeAnothersName(t *testing.T) {
	src := strings.Replace(kindStudy(numberOutcome, `{kind: glm, family: gaussian, splines: ["spline(age, df: 3)"]}`), "column: bmi", `column: "spline(age)3"`, 1)
	if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), `two terms of the model would be called "spline(age)3"`) {
		t.Errorf("error %v", err)
	}
}

// Products whose bounds cannot be computed with are refused as ranges are.
func TestProductsHaveTheLimitsOfRanges(t *testing.T) {
	for _, within := range []string{"[0, 1e9]", "[0, 1e-6]"} {
		src := strings.NewReplacer("[0, 120]", within, "[10, 60]", within).Replace(kindStudy(numberOutcome, `{kind: glm, family: gaussian, interactions: ["age:bmi"]}`))
		if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), "model.interactions[0]: the products are too large or too small to compute with") {
			t.Errorf("%s: error %v", within, err)
		}
	}
}

// Harrell, Regression Modeling Strategies, 2nd ed., table 2.3; for more knots
// the quantiles of Hmisc's rcspline.eval, seq(.025, .975, length = k).
func TestSplineKnotProbabilities(t *testing.T) {
	for df, want := range map[int][]float64{
		2: {0.10, 0.5, 0.90},
		3: {0.05, 0.35, 0.65, 0.95},
		4: {0.05, 0.275, 0.5, 0.725, 0.95},
		5: {0.05, 0.23, 0.41, 0.59, 0.77, 0.95},
		6: {0.025, 0.1833, 0.3417, 0.5, 0.6583, 0.8167, 0.975},
		8: {0.025, 0.14375, 0.2625, 0.38125, 0.5, 0.61875, 0.7375, 0.85625, 0.975},
	} {
		got := SplineKnotProbabilities(df)
		if len(got) != len(want) {
			t.Fatalf("df %d: %v", df, got)
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 5e-5 {
				t.Errorf("df %d: probability %d is %v, want %v", df, i, got[i], want[i])
			}
		}
	}
}

const splined = `{kind: glm, family: gaussian, interactions: ["age:sex"], splines: ["spline(bmi, df: 2)", "spline(age, df: 4)"]}`

// The values are those of Hmisc's rcspline.eval(x, knots, norm = 2), computed in
// R from its source, for knots at 18, 40, 55, 70 and 88.
func TestSplineBasisIsThatOfHarrell(t *testing.T) {
	s, err := mustParse(t, kindStudy(numberOutcome, splined)).Knotted([][]float64{{20, 25, 30}, {18, 40, 55, 70, 88}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.NewPredictor([]string{"age", "bmi", "sex", "gene"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age  string
		want [3]float64
	}{
		{"0", [3]float64{}},
		{"20", [3]float64{1.6326530612244905e-03, 0, 0}},
		{"35.5", [3]float64{1.09375, 0, 0}},
		{"50", [3]float64{6.6873469387755131, 0.20408163265306137, 0}},
		{"61", [3]float64{16.225918367346949, 1.8900000000000012, 0.044081632653061247}},
		{"74", [3]float64{35.789206349206367, 7.9863945578231359, 1.3758503401360553}},
		{"95", [3]float64{80.971428571428618, 25.567346938775522, 7.2734693877551075}},
		{"120", [3]float64{136.68571428571437, 47.608163265306160, 14.850000000000001}},
	} {
		row, err := p.Row([]string{c.age, "25", "m", "GG"})
		if err != nil {
			t.Fatal(err)
		}
		for j, want := range c.want {
			if got := row[len(row)-3+j]; math.Abs(got-want) > 1e-12*max(1, want) {
				t.Errorf("term %d at %s is %v, want %v", j, c.age, got, want)
			}
		}
	}
}

func TestKnottedIsTheSameStudyWithMoreTerms(t *testing.T) {
	s := mustParse(t, kindStudy(numberOutcome, splined))
	knots := [][]float64{{20, 25, 30}, {18, 40, 55, 70, 88}}
	k, err := s.Knotted(knots)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"(intercept)", "age", "bmi", "sex=m", "gene=AG", "gene=AA", "age:sex=m",
		"spline(bmi)2", "spline(age)2", "spline(age)3", "spline(age)4"}
	if diff := cmp.Diff(want, termNames(k)); diff != "" {
		t.Errorf("terms (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:7], termNames(s)); diff != "" {
		t.Errorf("terms of the study without knots (-want +got):\n%s", diff)
	}
	if k.Digest() != s.Digest() || string(k.Source()) != string(s.Source()) {
		t.Error("knots changed the study's name")
	}
	if s.Knots() != nil {
		t.Errorf("knots %v before there are any", s.Knots())
	}
	knots[0][0] = 99
	k.Knots()[1][0] = 99
	if diff := cmp.Diff([][]float64{{20, 25, 30}, {18, 40, 55, 70, 88}}, k.Knots()); diff != "" {
		t.Errorf("the knots can be changed from outside (-want +got):\n%s", diff)
	}
	again, err := k.Knotted([][]float64{{21, 26, 31}, {18, 40, 55, 70, 88}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, termNames(again)); diff != "" || again.TermCount() != len(want) || s.TermCount() != len(want) {
		t.Errorf("%d and %d terms with other knots (-want +got):\n%s", again.TermCount(), s.TermCount(), diff)
	}
	for i, term := range k.Terms()[7:] {
		if term.Knot < 1 || term.Lo != 0 || !(term.Hi > 0) || term.Level != -1 || term.Product != nil || s.Features[term.Feature].Type != Number {
			t.Errorf("spline term %d: %+v", i, term)
		}
	}
}

func TestKnotsAreChecked(t *testing.T) {
	s := mustParse(t, kindStudy(numberOutcome, `{kind: glm, family: gaussian, splines: ["spline(age, df: 2)"]}`))
	for _, c := range []struct {
		name  string
		knots [][]float64
		want  string
	}{
		{"none", nil, "the study has 1 splines, and there are knots for 0"},
		{"two splines", [][]float64{{1, 2, 3}, {1, 2, 3}}, "the study has 1 splines, and there are knots for 2"},
		{"a knot too few", [][]float64{{1, 2}}, "the spline of age with df: 2 has 3 knots, and not 2"},
		{"equal", [][]float64{{1, 1, 3}}, "the knots of the spline of age must ascend within its range"},
		{"descending", [][]float64{{3, 2, 1}}, "the knots of the spline of age must ascend within its range"},
		{"below", [][]float64{{-1, 2, 3}}, "the knots of the spline of age must ascend within its range"},
		{"above", [][]float64{{1, 2, 121}}, "the knots of the spline of age must ascend within its range"},
		{"not a number", [][]float64{{1, math.NaN(), 3}}, "the knots of the spline of age must ascend within its range"},
		{"not a number first", [][]float64{{math.NaN(), 2, 3}}, "the knots of the spline of age must ascend within its range"},
		{"not a number last", [][]float64{{1, 2, math.NaN()}}, "the knots of the spline of age must ascend within its range"},
		{"infinite", [][]float64{{1, 2, math.Inf(1)}}, "the knots of the spline of age must ascend within its range"},
		{"hardly apart", [][]float64{{120 - 3e-14, 120 - 1.5e-14, 120}}, "the knots of the spline of age are too close together to compute with"},
	} {
		for _, knotted := range []func() error{
			func() error { _, err := s.Knotted(c.knots); return err },
			func() error { _, err := (&Matrix{func() *rows { return newRows(s) }}).Knotted(c.knots); return err },
		} {
			if err := knotted(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %s", c.name, err, c.want)
			}
		}
	}
	if _, err := s.Knotted([][]float64{{0, 60, 120}}); err != nil {
		t.Errorf("knots at the ends of the range: %v", err)
	}
	plain := mustParse(t, minimal)
	if k, err := plain.Knotted(nil); err != nil || k.Digest() != plain.Digest() {
		t.Errorf("a study without splines: %v", err)
	}
}

func TestKnottedMatrixHasTheSameRecords(t *testing.T) {
	s := mustParse(t, kindStudy(numberOutcome, splined, "validation: {kind: k-fold, by: id}\n"))
	b, err := s.NewBuilder(s.Columns())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		b.Add([]string{"5", strconv.Itoa(3 * i), strconv.Itoa(15 + i), "m", "GG", fmt.Sprint("p", i)})
	}
	m := b.Matrix()
	knots := [][]float64{{20, 25, 30}, {18, 40, 55, 70, 88}}
	built := func(m *Matrix) int { return m.Memo("key", func() any { return m.Rows() }).(int) }
	built(m)
	k, err := m.Knotted(knots)
	if err != nil {
		t.Fatal(err)
	}
	half := k.Select(func(i int) bool { return i%2 == 1 })
	if built(half) != 15 || built(k) != 30 {
		t.Error("matrices share what was built for one of them")
	}
	if diff := cmp.Diff(k.Terms(), half.Terms()); diff != "" || len(k.Terms()) != len(m.Terms())+4 {
		t.Errorf("terms of a selection (-want +got):\n%s", diff)
	}
	for i := range half.Rows() {
		j := 2*i + 1
		if diff := cmp.Diff(k.Row(j), half.Row(i)); diff != "" || half.Fold(i) != m.Fold(j) || half.Outcome(i) != m.Outcome(j) {
			t.Errorf("row %d of the selection (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(m.Row(j), k.Row(j)[:len(m.Terms())]); diff != "" {
			t.Errorf("row %d (-without +with knots):\n%s", j, diff)
		}
	}
}

// TestTermsStayWithinTheirBounds: layouts of secure sums take Lo and Hi as
// given, so no record within the declared ranges may have a term outside, and
// bounds are no wider than the extremes of the ranges.
func TestTermsStayWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		within := func(name string) Range {
			scale := math.Pow(10, rapid.Float64Range(-1, 5).Draw(t, name+" scale"))
			lo := rapid.Float64Range(-1, 1).Draw(t, name+" lo") * scale
			return Range{lo, lo + rapid.Float64Range(0.01, 1).Draw(t, name+" width")*scale}
		}
		text := func(r Range) string {
			return "[" + strconv.FormatFloat(r.Lo, 'g', -1, 64) + ", " + strconv.FormatFloat(r.Hi, 'g', -1, 64) + "]"
		}
		a, b := within("a"), within("b")
		df := rapid.IntRange(2, 8).Draw(t, "df")
		s, err := Parse([]byte(fmt.Sprintf(`study: s
version: 1
outcome: {column: y, type: number, range: [0, 1]}
features:
  - {column: a, type: number, range: %s}
  - {column: b, type: number, range: %s}
  - {column: c, type: category, levels: [u, v, w]}
  - {column: d, type: category, levels: [x, z], reference: z}
model: {kind: glm, family: gaussian, interactions: ["a:b", "c:d", "a:c", "d:b"], splines: ["spline(b, df: %d)"]}
`, text(a), text(b), df)))
		if err != nil {
			t.Fatal(err)
		}
		inside := func(r Range, name string) float64 {
			switch rapid.IntRange(0, 9).Draw(t, name+" place") {
			case 0:
				return r.Lo
			case 1:
				return r.Hi
			}
			return rapid.Float64Range(r.Lo, r.Hi).Draw(t, name)
		}
		knots := make([]float64, df+1)
		for i := range knots {
			share := (float64(i) + rapid.Float64Range(0, 0.9).Draw(t, "knot")) / float64(df+1) // the slow formula needs knots apart
			knots[i] = min(max(b.Lo+share*(b.Hi-b.Lo), b.Lo), b.Hi)
		}
		k, err := s.Knotted([][]float64{knots})
		if err != nil {
			t.Skip("knots too close together")
		}
		builder, err := k.NewBuilder([]string{"y", "a", "b", "c", "d"})
		if err != nil {
			t.Fatal(err)
		}
		number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
		for range 20 {
			x := inside(b, "b")
			if rapid.Bool().Draw(t, "at a knot") {
				x = rapid.SampledFrom(knots).Draw(t, "knot")
			}
			builder.Add([]string{"0", number(inside(a, "a")), number(x),
				rapid.SampledFrom([]string{"u", "v", "w"}).Draw(t, "c"), rapid.SampledFrom([]string{"x", "z"}).Draw(t, "d")})
		}
		m, terms := builder.Matrix(), k.Terms()
		if m.Rows() != 20 {
			t.Fatalf("%d rows, skipped %v", m.Rows(), builder.Skipped())
		}
		var row []float64
		for i := range m.Rows() {
			row = m.AppendRow(row[:0], i)
			for j, x := range row {
				if !(terms[j].Lo <= x && x <= terms[j].Hi) {
					t.Fatalf("%s is %v, outside [%v, %v]", terms[j].Name, x, terms[j].Lo, terms[j].Hi)
				}
				if terms[j].Knot > 0 && math.Abs(x-slowBasis(knots, terms[j].Knot, row[2])) > 1e-9*(b.Hi-b.Lo) {
					t.Fatalf("%s of %v is %v, want %v", terms[j].Name, row[2], x, slowBasis(knots, terms[j].Knot, row[2]))
				}
			}
		}
	})
}

// slowBasis is Harrell's formula as it is printed.
func slowBasis(knots []float64, j int, x float64) float64 {
	cube := func(x float64) float64 { return math.Pow(max(x, 0), 3) }
	k := len(knots)
	a, b, c := knots[j-1], knots[k-2], knots[k-1]
	return (cube(x-a) - cube(x-b)*(c-a)/(c-b) + cube(x-c)*(b-a)/(c-b)) / math.Pow(c-knots[0], 2)
}
