//go:build unix

package federation

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// noRoom makes TestASimulationWithoutRoom the process that has none.
const noRoom = "CONSILIUM_TEST_NO_ROOM"

// Where nothing can be written any more a simulation ends and says so, instead of
// waiting for room as a hospital's agent does. Files are limited in a process of
// its own.
func TestASimulationWithoutRoomEnds(t *testing.T) {
	if os.Getenv(noRoom) == "" {
		limited := exec.Command(os.Args[0], "-test.run=^TestASimulationWithoutRoomEnds$", "-test.v")
		limited.Env = append(os.Environ(), noRoom+"=1")
		if out, err := limited.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	wide := regexp.MustCompile(`(?m)^model:.*$`).ReplaceAll(protocol(t, "warfarin-dose.yaml"), []byte("model: {kind: neural, hidden: [300, 300]}"))
	spec := Spec{Protocol: wide, Sites: hospitals(t, 4, 200)}
	ok(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}))
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	if _, err := Run(ctx, spec); !errors.Is(err, ErrNoSpace) || ctx.Err() != nil {
		t.Errorf("it ended with %v", err)
	}
}

// Only what is logged about a full disk ends a simulation.
func TestOnlyAFullDiskEndsASimulation(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	log := zap.New(noSpace{end}).Named("site").With(zap.String("site", "a"))
	log.Error("refused", zap.Error(errors.New("another reason")), zap.Int("n", 1))
	log.Info("at ease", zap.Error(syscall.ENOSPC))
	if ctx.Err() != nil {
		t.Fatal("it ended for another reason")
	}
	log.Warn("cannot be written", zap.Error(&os.PathError{Op: "write", Path: "state", Err: syscall.ENOSPC}))
	if !errors.Is(context.Cause(ctx), ErrNoSpace) {
		t.Errorf("it goes on: %v", context.Cause(ctx))
	}
}
