package fairness

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
)

// An audit that has no figure for its noise says what makes the noise less, and not
// that features are too many.
func TestTooMuchNoiseIsCalledThat(t *testing.T) {
	s := noisyStudy(t, doseOutcome, "{epsilon: 0.05, clip: 20}", "")
	everyone := slices.Repeat([]person{{y: 50, predicted: 52, sex: "f", ward: "n"}}, 20)
	m, predicted := matrixOf(t, s, everyone)
	values, err := AnswerNoisy(s, nil, m, Forecast{Values: predicted}, 0, rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := compute.NewSum(3, noisyLayout(s), values)
	if err != nil {
		t.Fatal(err)
	}
	var d *compute.Diagnosis
	if _, err := readNoisy(s, Sizes{}, sum); !errors.As(err, &d) || d.Kind != compute.TooMuchNoise || !strings.Contains(d.Message, "over the 9 combinations of all attributes its standard deviation is") {
		t.Errorf("%v", err)
	}

	s = noisyStudy(t, doseOutcome, "{epsilon: 0.2, clip: 20}", "")
	a := auditedNoisily(t, s, [][]person{slices.Repeat(everyone, 60), nil, nil}, rand.NewChaCha8([32]byte{1}))
	const words = "No group has figures beside the noise."
	if a.Groups[0].State != OK || strings.Contains(strings.Join(a.Limits, " "), words) {
		t.Fatalf("%+v", a.Groups)
	}
	for i := range a.Groups[1:] {
		a.Groups[1+i].State = NotEstimable
	}
	if !strings.Contains(strings.Join(noisyLimits(s, a), " "), words+" A larger epsilon, fewer attributes or levels") {
		t.Errorf("nobody is told what to do: %v", noisyLimits(s, a))
	}
}
