package federation

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// A study whose ciphertexts do not fit into memory keeps them on the disk, and
// everything that members sync beside memory's file system.
func TestOnlyCiphertextsThatDoNotFitGoToTheDisk(t *testing.T) {
	sized := func(trees, features int) *study.Study {
		var protocol strings.Builder
		fmt.Fprintf(&protocol, "study: s\nversion: 1\noutcome: {column: y, type: number, range: [0, 1]}\nmodel: {kind: boost, loss: squared, trees: %d, depth: 6, bins: 64, learning_rate: 0.1, min_leaf: 20}\nfeatures:\n", trees)
		for j := range features {
			fmt.Fprintf(&protocol, "  - {column: x%d, type: number, range: [0, 1]}\n", j)
		}
		s, err := study.Parse([]byte(protocol.String()))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	smallRest, small := largestState(sized(1, 1), 3)
	largeRest, large := largestState(sized(100, 100), 20)
	if smallRest > small || largeRest > large || large < 20<<30 || largeRest > 4<<30 {
		t.Errorf("a small study takes %d of %d bytes without ciphertexts, a large one %d of %d", smallRest, small, largeRest, large)
	}
	if freeMemory() < 4*largeRest || freeMemory() >= 4*large {
		t.Skip("this machine has too little free memory to choose, or so much that everything fits")
	}
	dir, bulk, err := temporary(sized(100, 100), 20)
	defer os.RemoveAll(dir)
	defer os.RemoveAll(bulk)
	if err != nil || !strings.HasPrefix(dir, inMemory) || bulk == "" || strings.HasPrefix(bulk, inMemory) {
		t.Errorf("state in %q, ciphertexts in %q, %v", dir, bulk, err)
	}
	dir, bulk, err = temporary(sized(1, 1), 3)
	defer os.RemoveAll(dir)
	if err != nil || bulk != "" {
		t.Errorf("a small study has its ciphertexts in %q, %v", bulk, err)
	}
}
