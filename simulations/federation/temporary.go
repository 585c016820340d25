package federation

import (
	"os"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// temporary makes a folder for everyone's state that nobody will read again: in
// memory where the system has a file system there and the ciphertexts of the
// whole study fit many times over, so that no simulated hospital waits for a
// disk to keep what is thrown away at the end.
func temporary(s *study.Study, sites int) (string, error) {
	const prefix = "consilium-federation-"
	if largestState(s, sites) < freeMemory()/4 {
		if dir, err := os.MkdirTemp(inMemory, prefix); err == nil {
			return dir, nil
		}
	}
	return os.MkdirTemp("", prefix)
}

// largestState is at least what the study's sums take on disk: sixteen bytes to
// a number, at the hospital and at the coordinator, and a megabyte for the rest
// of a round.
func largestState(s *study.Study, sites int) (bytes uint64) {
	for _, step := range pipeline.Steps(s, sites) {
		bytes += uint64(step.Rounds) * (32*uint64(step.Numbers)*uint64(sites) + 1<<20)
	}
	return bytes
}
