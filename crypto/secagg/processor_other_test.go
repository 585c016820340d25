//go:build !unix

package secagg

import "time"

var processBegan = time.Now()

// processorTime is wall time where there is no better: right on an idle machine.
func processorTime() time.Duration { return time.Since(processBegan) }
