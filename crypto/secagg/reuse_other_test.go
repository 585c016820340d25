//go:build !amd64

package secagg

import "testing"

// leftKeys has nothing to look at: keys of package ring are not used again.
func leftKeys(*testing.T, *Round) int { return 0 }
