package secagg

import (
	"errors"
	"testing"
)

// What the sum does NOT promise, shown: a site that writes its own ciphertext is
// not held to its field's bound, only to what the sum of ALL contributors could
// be. Here one of three, bound 100 each, adds 240; at 301 in all it is caught.
// SECURITY.md says so under "Not promised".
func TestAForgerIsBoundedByTheRangeOfTheSumNotByItsOwn(t *testing.T) {
	l := Layout{{"v", 10, 0, 100}}
	for _, tt := range []struct {
		honest, forged int64
		caught         bool
	}{{0, 100, false}, {0, 240, false}, {0, 300, false}, {0, 301, true}, {-50, 300, false}, {-50, 400, false}, {-50, 401, true}, {100, 101, true}} {
		r := suiteRound(t, "rlwe4096", l, 3, 3)
		values := uniformValues(l, 3, func(Field) float64 { return float64(tt.honest) })
		f := seal(t, r, values)
		f.contributions[1] = forged(r, func(m []uint64) {
			r.packing.encode(0, values[1], m)
			m[0] += uint64(tt.forged - tt.honest) // slot 0 of coefficient 0, offset included
		})
		sum, err := f.open(t, all(3), all(3))
		switch {
		case tt.caught:
			if !errors.Is(err, ErrSlotOverflow) {
				t.Errorf("honest %d twice and forged %d: %v", tt.honest, tt.forged, err)
			}
		case err != nil:
			t.Errorf("honest %d twice and forged %d: %v", tt.honest, tt.forged, err)
		case sum.Integer(0).Int64() != 2*tt.honest+tt.forged || sum.Integer(1).Int64() != 3*tt.honest:
			t.Errorf("honest %d twice and forged %d: the sum is %v", tt.honest, tt.forged, sum.Integer(0))
		}
	}
}
