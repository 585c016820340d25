package pipeline

import (
	"cmp"
	"maps"
	"math"

	"github.com/consilium-fl/consilium/compute/validation"
)

// otherwise are the names that the audit has for measures of the validation.
var otherwise = map[string]string{"logloss": "log_loss"}

// intervals gives the validation's measures those of the audit, which is of the same
// patients: it asks for the sums that the standard errors of a concordance and of R²
// are made of, so the validation need not, and a result says of a figure what the
// report says of it. Where the audit has another figure, as under noise or of an
// area from fewer bins, or none, the validation keeps its own interval, if it has
// one.
func (s *Session) intervals() {
	v, a := s.result.Validation, s.result.Audit
	if v == nil || a == nil || !a.Unseen || len(a.Groups) == 0 {
		return
	}
	with := *v
	with.Intervals = maps.Clone(v.Intervals)
	for name, of := range v.Metrics {
		m, audited := a.Groups[0].Metrics[cmp.Or(otherwise[name], name)]
		if !audited || m.Lower == nil || m.Upper == nil || !(math.Abs(m.Estimate-of) <= 1e-9*(1+math.Abs(of))) {
			continue
		}
		with.Intervals[name] = validation.Interval{Lower: *m.Lower, Upper: *m.Upper}
	}
	s.result.Validation = &with
}
