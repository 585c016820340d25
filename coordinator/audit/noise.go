package audit

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute/fairness"
)

// countOf says how many patients an audit has. Under noise their number is near the true one and not
// it: two standard deviations of the noise either way hold it in about 95 of 100 audits.
func countOf(a *fairness.Audit) string {
	if a.Noise == nil || a.Groups[0].Noise == nil {
		return fmt.Sprintf("%d patients", a.N)
	}
	off := int(2**a.Groups[0].Noise + 0.5)
	return fmt.Sprintf("about %d patients (a noisy count, epsilon %g; 95%% interval %d to %d)", a.N, a.Noise.Epsilon, max(a.N-off, 0), a.N+off)
}
