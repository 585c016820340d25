package audit

import (
	"testing"

	"github.com/consilium-fl/consilium/compute/fairness"
)

// A noisy count is not told as if it were one of patients.
func TestANoisyCountIsToldAsOne(t *testing.T) {
	sd := 8.6
	noisy := &fairness.Audit{N: 1234, Noise: &fairness.Noise{Epsilon: 0.5}, Groups: []fairness.Group{{Noise: &sd}}}
	if said, want := countOf(noisy), "about 1234 patients (a noisy count, epsilon 0.5; 95% interval 1217 to 1251)"; said != want {
		t.Errorf("%q, not %q", said, want)
	}
	if said, want := countOf(&fairness.Audit{N: 1234, Groups: []fairness.Group{{}}}), "1234 patients"; said != want {
		t.Errorf("%q, not %q", said, want)
	}
}
