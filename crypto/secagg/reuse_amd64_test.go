package secagg

import (
	"slices"
	"testing"
)

// leftKeys looks at the memory of keys that are done with, and says how many
// there were.
func leftKeys(t *testing.T, r *Round) int {
	for found := 0; ; found++ {
		left, ok := r.laneKeys.Get().(*laneKey)
		if !ok {
			return found
		}
		if left.Round != nil || slices.Max(left.key) != 0 || slices.Min(left.key) != 0 || slices.Max(left.work) != 0 || slices.Min(left.work) != 0 {
			t.Fatal("a key is left")
		}
	}
}
