package federation

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// scratchBase tells TestScratchOwner, run as a process of its own, where.
const scratchBase = "CONSILIUM_TEST_SCRATCH"

// TestScratchOwner is the process that TestAKilledSimulationLeavesNothing kills.
func TestScratchOwner(t *testing.T) {
	base := os.Getenv(scratchBase)
	if base == "" {
		t.Skip("run by another test")
	}
	s, err := newScratch(base)
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(s.dir, "state"), []byte("of a hospital"), 0o600))
	_, err = os.Stdout.WriteString(s.dir + "\n")
	ok(t, err)
	select {}
}

// What a killed process left in a folder is removed by the next one that makes a
// folder there; what a living process has, and what was never locked, stays.
func TestAKilledSimulationLeavesNothing(t *testing.T) {
	base := t.TempDir()
	foreign := filepath.Join(base, scratchPrefix+"1")
	ok(t, os.Mkdir(foreign, 0o700))

	owner := exec.Command(os.Args[0], "-test.run=^TestScratchOwner$")
	owner.Env = append(os.Environ(), scratchBase+"="+base)
	out, err := owner.StdoutPipe()
	ok(t, err)
	ok(t, owner.Start())
	defer owner.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	ok(t, err)
	left := line[:len(line)-1]

	alive, err := newScratch(base)
	ok(t, err)
	if _, err := os.Stat(filepath.Join(left, "state")); err != nil {
		t.Fatal("a living process lost its folder:", err)
	}
	ok(t, owner.Process.Kill())
	_ = owner.Wait() // says that it was killed

	next, err := newScratch(base)
	ok(t, err)
	for _, path := range []string{left, left + lockSuffix} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a killed process is still there: %v", path, err)
		}
	}
	for _, path := range []string{alive.dir, next.dir, foreign} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	ok(t, alive.Close())
	ok(t, next.Close())
	if names, err := os.ReadDir(base); err != nil || len(names) != 1 {
		t.Errorf("closed folders leave %v, %v", names, err)
	}
}
