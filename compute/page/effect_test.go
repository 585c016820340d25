package page_test

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// contrastOf is the effect of one patient against another and its standard
// error, from a whole row of the design matrix each: what predict(se.fit) of
// the difference gives in R.
func contrastOf(m *glm.Model, s *study.Study, a, b []float64) (effect, se float64) {
	terms := s.Terms()
	difference := make([]float64, len(m.Terms))
	for i, t := range m.Terms {
		for j := range terms {
			if terms[j].Name == t.Name {
				difference[i] = a[j] - b[j]
			}
		}
		effect += difference[i] * t.Estimate
	}
	for i := range difference {
		for j := range difference {
			se += difference[i] * difference[j] * m.Covariance[i*len(difference)+j]
		}
	}
	return effect, math.Sqrt(se)
}

// A curve's effect is the difference of two predictions, and its interval that
// of the difference: the table beside the drawing has them as two rows of the
// study's own design matrix give them.
func TestCurveIsTheDifferenceOfTwoPredictions(t *testing.T) {
	s, r := complete(t, kinds["curves"])
	html := render(t, s, r)
	m := r.Model.GLM
	known, err := s.Knotted(r.Model.Knots)
	if err != nil {
		t.Fatal(err)
	}
	b, err := known.NewBuilder([]string{"y", "a", "b", "c", "g"})
	if err != nil {
		t.Fatal(err)
	}
	values := []float64{-10, -4, 0, 6, 10}
	for _, x := range append([]float64{m.Terms[1].Mean}, values...) {
		b.Add([]string{"0", text(x), "0", "v", "y"})
	}
	rows := b.Matrix()
	at := func(i int) []float64 {
		row := make([]float64, len(known.Terms()))
		copy(row, rows.Row(i))
		return row
	}
	_, quantile := m.Interval(glm.Term{StdError: 1})
	for i, x := range values {
		effect, se := contrastOf(m, known, at(i+1), at(0))
		line := fmt.Sprintf(`<th scope="row">%s</th><td>%s</td><td>%s`, plot.Plain(x), plot.Number(effect), plot.Number(effect-quantile*se))
		if !strings.Contains(html, line) {
			t.Errorf("the effect of a at %v is not %s", x, line)
		}
	}
	for _, want := range []string{"Effect of a", "a (kg)", "change of y (mg/wk)"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q", want)
		}
	}
	if got := strings.Count(html, `class="mark"`); got != len(r.Model.Knots[0]) {
		t.Errorf("%d knots are marked, of %d", got, len(r.Model.Knots[0]))
	}
}

// Without the study's file the range is not known: the curve ends at its knots.
func TestCurveWithoutTheProtocolEndsAtItsKnots(t *testing.T) {
	_, r := complete(t, kinds["curves"])
	html, err := page.Render(page.Document{Result: r})
	if err != nil {
		t.Fatal(err)
	}
	knots := r.Model.Knots[0]
	if !strings.Contains(string(html), "Drawn between the outer knots") || !strings.Contains(string(html), "a: "+plot.Number(knots[0])) ||
		strings.Contains(string(html), `<th scope="row">−10</th>`) {
		t.Error("the range of the curve is invented")
	}
}

// The effect of a number that interacts is drawn for a patient whom the caption
// names, and is a ratio where the coefficients are.
func TestCurveOfAnInteractionSaysForWhom(t *testing.T) {
	s, r := complete(t, protocol(binary, `{kind: glm, family: binomial, splines: ["spline(a, df: 3)"], interactions: ["a:c", "b:a"]}`, ""))
	html := render(t, s, r)
	for _, want := range []string{"Odds ratio of a patient", "It depends on c: drawn for the reference level", "It depends on b: drawn for the mean"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	s, r = complete(t, protocol(survives, `{kind: cox, splines: ["spline(a, df: 2)"]}`, ""))
	if html = render(t, s, r); !strings.Contains(html, "Hazard ratio of a patient with this a") {
		t.Error("a proportional hazards model has no curve")
	}
}

// A fit by Newton's method shows every round.
func TestConvergenceShowsEveryRound(t *testing.T) {
	s, r := complete(t, kinds["binomial"])
	html := render(t, s, r)
	_, after, found := strings.Cut(html, "Convergence of the fit")
	drawing, _, _ := strings.Cut(after, "</svg>")
	if dots := len(regexp.MustCompile(`<circle`).FindAllString(drawing, -1)); !found || dots != len(r.Model.GLM.Curve) || dots < 3 {
		t.Errorf("%d dots for %d rounds", dots, len(r.Model.GLM.Curve))
	}
}
