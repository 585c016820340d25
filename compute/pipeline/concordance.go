package pipeline

import (
	"maps"
	"math"

	"github.com/consilium-fl/consilium/compute/validation"
)

// concordance gives that of the validation its interval. The audit asks for the
// sums that the standard error is made of, and of the same pairs of patients: so
// the validation need not, and has the interval that the report has. It has none
// where the audit has another figure, as under noise, or none.
func (s *Session) concordance() {
	v, a := s.result.Validation, s.result.Audit
	if v == nil || a == nil || !a.Unseen || len(a.Groups) == 0 {
		return
	}
	c, audited := a.Groups[0].Metrics["cindex"]
	of, tried := v.Metrics["cindex"]
	if !audited || !tried || math.Abs(c.Estimate-of) > 1e-12 || c.Lower == nil || c.Upper == nil {
		return
	}
	with := *v
	with.Intervals = maps.Clone(v.Intervals)
	with.Intervals["cindex"] = validation.Interval{Lower: *c.Lower, Upper: *c.Upper}
	s.result.Validation = &with
}
