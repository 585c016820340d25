package federation

import (
	"os"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// temporary makes folders for everyone's state that nobody will read again, so
// that no simulated hospital waits for a disk to keep what is thrown away at the
// end: in memory where the system has a file system there and the state fits many
// times over. Where only the ciphertexts of the whole study do not, they get a
// folder on the disk, bulk, which is not synced.
func temporary(s *study.Study, sites int) (dir, bulk string, err error) {
	const prefix = "consilium-federation-"
	rest, all := largestState(s, sites)
	free := freeMemory()
	if rest < free/4 {
		if dir, err := os.MkdirTemp(inMemory, prefix); err == nil {
			if all >= free/4 {
				bulk, err = os.MkdirTemp("", prefix)
			}
			return dir, bulk, err
		}
	}
	dir, err = os.MkdirTemp("", prefix)
	return dir, "", err
}

// largestState is at least what the study's sums take. With every round stay its
// signed statements and sealed shares, a megabyte and 128 kB for each hospital;
// of ciphertext, sixteen bytes to a number, every hospital keeps what is on its
// way, and the coordinator all, which the auditor then has as well.
func largestState(s *study.Study, sites int) (rest, all uint64) {
	for _, step := range pipeline.Steps(s, sites) {
		ciphertext := 16 * uint64(step.Numbers) * uint64(sites)
		rest += uint64(step.Rounds) << 20
		all += uint64(step.Rounds) * (2*ciphertext + uint64(sites)<<17)
		rest = max(rest, 2*ciphertext)
	}
	return rest, rest + all
}
