//go:build !unix

package federation

import "time"

// processorTime is not known here; the benchmarks then report none.
func processorTime() time.Duration { return 0 }
