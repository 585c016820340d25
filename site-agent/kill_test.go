package siteagent

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/internal/records"
)

// With this variable the test's program is an agent on the named directory,
// until it is killed.
const agentDir = "CONSILIUM_TEST_AGENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(agentDir); dir != "" {
		seed, _ := strconv.ParseUint(os.Getenv(agentDir+"_SEED"), 10, 64)
		o := Options{Dir: dir, Source: records.Memory(patientColumns, patients(seed, 50)), Policy: Policy{Approve: Any, Releases: Automatic}}
		if stalled := os.Getenv(stallSealing); stalled != "" {
			o.Seal = stallingSealer(stalled)
		}
		a, err := Open(o)
		if err == nil {
			err = a.Run(context.Background())
		}
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// With this variable too, the agent stands still in the midst of sealing, once
// it has made the file of that name.
const stallSealing = "CONSILIUM_TEST_AGENT_STALLS"

func stallingSealer(mark string) Sealer {
	return func(r *secagg.Round, values []float64, emit func(int, []byte) error, seeds ...[secagg.SeedBytes]byte) ([][]byte, error) {
		return Seal(r, values, func(i int, chunk []byte) error {
			if err := emit(i, chunk); err != nil {
				return err
			}
			os.WriteFile(mark, nil, 0o600)
			time.Sleep(time.Hour)
			return nil
		}, seeds...)
	}
}

// process runs an agent in a process of its own.
func (w *ward) process(i int, env ...string) (kill func()) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), agentDir+"="+w.dirs[i], agentDir+"_SEED="+strconv.Itoa(i))
	cmd.Env = append(cmd.Env, env...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		cmd.Process.Kill()
		cmd.Wait()
		if complaint.Len() > 0 {
			w.t.Errorf("the agent stopped by itself: %s", complaint.String())
		}
	}
	w.t.Cleanup(kill)
	return kill
}

// An agent that is killed, with SIGKILL and at any moment, and started again
// carries every round through. In no round does it send a second contribution,
// a second answer, or the same answer in other bytes.
func TestAnAgentKilledAtAnyMomentGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	w := newWardFor(t, highDoseStudy)
	w.stops[0]()
	w.slow.Store(int64(30 * time.Millisecond)) // so that there are moments to be killed at
	kill := w.process(0)
	stop := make(chan struct{})
	stopped := make(chan int)
	go func() {
		random := rand.New(rand.NewPCG(1, 2))
		kills := 0
		for {
			select {
			case <-stop:
				stopped <- kills
				return
			case <-time.After(time.Duration(40+random.IntN(300)) * time.Millisecond):
				kill()
				kills++
				kill = w.process(0)
			}
		}
	}()
	session := pipeline.New(w.s)
	rounds := 0
	for {
		q, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		sum, _ := w.round(w.s, q, sites)
		opened, err := compute.NewSum(sum.Contributors(), q.Layout, sum.Values())
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Absorb(opened); err != nil {
			t.Fatal(err)
		}
		rounds++
	}
	close(stop)
	kills := <-stopped
	kill()
	if session.Result().Model.GLM.N != 150 {
		t.Fatalf("the model is over %d patients, not 150", session.Result().Model.GLM.N)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// The coordinator refuses a second header, so that none was sent is that the
	// rounds went on; the answers are compared here.
	for round, byMember := range w.answers {
		for member, got := range byMember {
			for i := 2; i < len(got); i += 2 {
				if !bytes.Equal(got[i], got[0]) || !bytes.Equal(got[i+1], got[1]) {
					t.Errorf("%s answered round %s in two ways", member, round)
				}
			}
		}
	}
	if w.otherHeaders > 0 {
		t.Errorf("%d times another contribution was begun", w.otherHeaders)
	}
	if kills < 3 || rounds < 5 {
		t.Errorf("only %d kills in %d rounds: the test has lost its point", kills, rounds)
	}
}

// Killed while it seals, an agent has sent nothing, and written nothing of a short
// contribution, which it does at once. The round is sealed anew, under another key.
func TestAnAgentKilledWhileItSealsSealsAnew(t *testing.T) {
	w := newWard(t)
	w.stops[0]()
	mark := filepath.Join(t.TempDir(), "stalled")
	kill := w.process(0, stallSealing+"="+mark)
	q := w.question()
	id, _ := w.invite(w.plan(w.s, q, sites), q.Parameters)
	waitFor(t, "alpha seals", func() bool { _, err := os.Stat(mark); return err == nil })
	if n := len(w.spool(0)); n != 0 {
		t.Fatalf("%d bytes are in the spool of a contribution that is not whole", n)
	}
	kill()
	if w.header(id, "alpha") != nil {
		t.Fatal("a contribution was begun before it was sealed")
	}
	w.start(0)
	w.eventually("every site contributes", func() bool { return len(w.counted[id.String()]) == len(sites) })
	w.spoolIsWiped(0)
}

// Killed while it uploads, an agent goes on with the bytes that it sealed.
func TestAnAgentKilledWhileItUploadsSendsTheSameBytes(t *testing.T) {
	w := newWard(t)
	w.stops[0]()
	w.mu.Lock()
	w.holdUploads = true
	w.mu.Unlock()
	kill := w.process(0)
	q := w.question()
	id, _ := w.invite(w.plan(w.s, q, sites), q.Parameters)
	w.eventually("every upload stands still", func() bool { return w.heldUploads >= len(sites) })
	before := w.header(id, "alpha")
	kill()
	w.mu.Lock()
	w.holdUploads = false
	w.mu.Unlock()
	for i := range sites {
		w.stops[i]()
		w.start(i)
	}
	w.eventually("every site contributes", func() bool { return len(w.counted[id.String()]) == len(sites) })
	if before == nil || !bytes.Equal(before, w.header(id, "alpha")) || w.otherHeaders > 0 {
		t.Fatal("another contribution was sent after the kill")
	}
}
