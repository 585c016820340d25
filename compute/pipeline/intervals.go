package pipeline

import (
	"maps"
	"math"

	"github.com/consilium-fl/consilium/compute/validation"
)

// intervals gives those of the validation's measures that have none the audit's.
// The audit asks for the sums that the standard errors of a concordance, of R² and
// of a share are made of, and of the same patients: so the validation need not, and
// says what the report says. A measure has none where the audit has another figure,
// as under noise, or none.
func (s *Session) intervals() {
	v, a := s.result.Validation, s.result.Audit
	if v == nil || a == nil || !a.Unseen || len(a.Groups) == 0 {
		return
	}
	with := *v
	with.Intervals = maps.Clone(v.Intervals)
	for name, of := range v.Metrics {
		m, audited := a.Groups[0].Metrics[name]
		if _, known := v.Intervals[name]; known || !audited || m.Lower == nil || m.Upper == nil || !(math.Abs(m.Estimate-of) <= 1e-9*(1+math.Abs(of))) {
			continue
		}
		with.Intervals[name] = validation.Interval{Lower: *m.Lower, Upper: *m.Upper}
	}
	s.result.Validation = &with
}
