package glm

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const oneFeature = `
study: one
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features: [{column: a, type: number, range: [-1, 1]}]
model: {kind: glm, family: binomial}
`

func oneFeatureStudy(t *testing.T) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(oneFeature))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func coefficients(t *testing.T, l *Logistic) []float64 {
	t.Helper()
	parameters, err := l.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	var q newtonParameters
	if err := json.Unmarshal(parameters, &q); err != nil {
		t.Fatal(err)
	}
	return q.Coefficients
}

func newtonSum(t *testing.T, s *study.Study, n, positives, likelihood float64) compute.Sum {
	t.Helper()
	sum, err := compute.NewSum(3, NewtonLayout(s), []float64{n, positives, likelihood, 2, 10, 25, 1, 20})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// A step that lowers the likelihood is halved, and halved again; a likelihood
// over other patients is no reason to.
func TestStepIsHalvedWhileTheLikelihoodFalls(t *testing.T) {
	s := oneFeatureStudy(t)
	l := NewLogistic(NewDesign(s, nil, NewCentre(s, []float64{1, 0}, 0)), 0.5, []float64{1, 0})
	start := coefficients(t, l)
	absorb := func(n, positives, likelihood float64) {
		t.Helper()
		if done, err := l.Absorb(newtonSum(t, s, n, positives, likelihood)); done || err != nil {
			t.Fatal(done, err)
		}
	}
	absorb(100, 50, -60)
	full := coefficients(t, l)
	absorb(100, 50, -61)
	half := coefficients(t, l)
	absorb(100, 50, -60.5)
	quarter := coefficients(t, l)
	for j := range start {
		step := full[j] - start[j]
		if step == 0 || math.Abs(half[j]-start[j]-step/2) > 1e-15 || math.Abs(quarter[j]-start[j]-step/4) > 1e-15 {
			t.Errorf("coefficient %d: %v, %v, %v, %v", j, start[j], full[j], half[j], quarter[j])
		}
	}
	absorb(100, 50, -59)
	next := coefficients(t, l)
	if math.Abs(next[1]-quarter[1]-(full[1]-start[1])) > 1e-12 {
		t.Error("a better likelihood is followed by a whole step")
	}
	absorb(90, 45, -70)
	if after := coefficients(t, l); math.Abs(after[1]-next[1]-(full[1]-start[1])) > 1e-12 {
		t.Error("fewer patients have a lower likelihood; that is no reason to turn back")
	}
}

// Parameters carry coefficients to the last bit.
func TestParametersAreExact(t *testing.T) {
	s := oneFeatureStudy(t)
	l := NewLogistic(NewDesign(s, nil, NewCentre(s, []float64{1, 0}, 0)), 0.1, []float64{1, 0})
	l.beta = []float64{math.Nextafter(1, 2), math.Copysign(0, -1)}
	got := coefficients(t, l)
	if got[0] != l.beta[0] || got[1] != 0 || math.Signbit(got[1]) {
		t.Errorf("%v", got)
	}
	parameters, _ := l.Parameters()
	if err := CheckNewton(s, parameters); err != nil {
		t.Error(err)
	}
}

// The pieces of the likelihood keep their accuracy where exp overflows or
// vanishes.
func TestLogisticInTheTails(t *testing.T) {
	for _, eta := range []float64{-1e6, -800, -40, -1, 0, 1, 40, 800, 1e6} {
		mu, variance := logistic(eta)
		if !(mu >= 0 && mu <= 1 && variance >= 0 && variance <= 0.25) {
			t.Errorf("eta %v: %v, %v", eta, mu, variance)
		}
		if s := softplus(eta); !(s >= math.Max(eta, 0)) || math.IsInf(s, 0) {
			t.Errorf("softplus(%v) = %v", eta, s)
		}
	}
	if mu, variance := logistic(-40); relative(mu, math.Exp(-40)) > 1e-15 || relative(variance, math.Exp(-40)) > 1e-15 {
		t.Errorf("at -40: %v, %v", mu, variance)
	}
}
