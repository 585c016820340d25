package fairness

import (
	"math"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

var counted = strings.Replace(planted, "fairness:", "fairness:\n  hospitals: [{metric: mae, edges: [2, 4, 6]}, {metric: within20, edges: [50, 90]}]", 1)

// Hospitals are counted by their own errors, and their spread is DerSimonian and
// Laird's; none with too few patients is counted.
func TestHospitalsAreCounted(t *testing.T) {
	s := parsed(t, counted)
	sites := hospitals(t, s, 8, 100, halves)
	sites = append(sites, hospitals(t, s, 1, 5, halves)...) // a ninth with five patients
	size := func(i int) float64 { return float64(1 + i%5) }
	a, opened := audited(t, s, sites, func(i, r int) float64 {
		return sites[i].Outcome(r) + size(i)*float64(2*(r%2)-1) + float64(r%3-1)/10
	})
	if len(a.Hospitals) != 2 {
		t.Fatalf("%+v", a.Hospitals)
	}
	h := a.Hospitals[0]
	// Mean absolute errors of 1, 2, 3, 4, 5, 1, 2, 3: at an edge, above it, up to
	// what a tenth does.
	want := make([]int, 4)
	var weight, weighted, squared, weights float64
	for i, m := range sites[:8] {
		var x sample
		for r := range m.Rows() {
			e := math.Abs(size(i)*float64(2*(r%2)-1) + float64(r%3-1)/10)
			x.n, x.sum, x.squares = x.n+1, x.sum+e, x.squares+e*e
		}
		want[band([]float64{2, 4, 6}, x.mean())]++
		w := x.n / x.variance()
		weight, weighted, squared, weights = weight+w, weighted+w*x.mean(), squared+w*x.mean()*x.mean(), weights+w*w
	}
	for k := range want {
		if h.Counts[k] != want[k] {
			t.Errorf("%v hospitals, want %v", h.Counts, want)
		}
	}
	q := squared - weighted*weighted/weight
	near(t, "mean", h.Mean.Estimate, weighted/weight, 1e-6)
	near(t, "Q", *h.Q/q, 1, 1e-4)
	near(t, "between", *h.Between, math.Sqrt((q-7)/(weight-weights/weight)), 1e-4)
	if h.State != OK || h.Hospitals != 8 || h.Left != 1 {
		t.Errorf("%+v", h)
	}
	if n := opened[StepHospitals].Field("eligible")[0]; n != 8 {
		t.Errorf("%v hospitals are eligible", n)
	}
}

// Of six hospitals nothing but that they are six is opened.
func TestFewHospitalsAreNotCounted(t *testing.T) {
	s := parsed(t, counted)
	sites := hospitals(t, s, FewestHospitals-1, 100, halves)
	a, opened := audited(t, s, sites, func(i, r int) float64 { return sites[i].Outcome(r) + float64(r%3) })
	for _, h := range a.Hospitals {
		if h.State != Suppressed || h.Counts != nil || h.Mean != nil || h.Hospitals != 0 || h.Why == "" {
			t.Errorf("%+v", h)
		}
	}
	if opened[Step].Field("hospitals_by_mae") != nil {
		t.Error("counts of six hospitals were opened")
	}
}

// A hospital counts itself only for a study that says so.
func TestHospitalsConsentWithTheStudy(t *testing.T) {
	for _, step := range []struct{ name, parameters string }{{StepHospitals, ""}, {Step, `{"hospitals":true,"cells":[0]}`}} {
		for src, fine := range map[string]bool{counted: true, planted: false} {
			if _, err := Layout(parsed(t, src), step.name, []byte(step.parameters)); (err == nil) != fine {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	}
	for _, bad := range []string{"edges: [4, 2]", "edges: []", "edges: [2], more: 1"} {
		if _, err := study.Parse([]byte(strings.Replace(counted, "edges: [2, 4, 6]", bad, 1))); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if _, err := study.Parse([]byte(strings.Replace(counted, "metric: mae, edges", "metric: cindex, edges", 1))); err == nil {
		t.Error("hospitals are counted by a metric that a dose has not")
	}
}
