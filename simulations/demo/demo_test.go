package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/simulations/federation"
)

// programs is a folder with the programs of this checkout.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "consilium-demo-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator),
			"./coordinator/cmd/coordinator", "./coordinator/cmd/consilium", "./site-agent/cmd/site-agent")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		programs = dir
		return m.Run()
	}())
}

func TestDemonstration(t *testing.T) {
	out := filepath.Join(t.TempDir(), "demo")
	if err := run(t.Context(), []string{"--out", out, "--bin", programs}, t.Output()); err != nil {
		t.Fatal(err)
	}
	summary := readSummary(t, out)
	if summary.Study.State != "completed" || len(summary.Model.GLM.Terms) != 16 || len(summary.Sites) != 6 || len(summary.Release.Accepted) == 0 {
		t.Errorf("summary: %+v", summary)
	}
	if !summary.Verification.Holds || summary.Ledger.Size == 0 || len(summary.Fairness.Groups) == 0 {
		t.Errorf("verification %+v, ledger %+v", summary.Verification, summary.Ledger)
	}
	if report, err := os.ReadFile(filepath.Join(out, "report.html")); err != nil || !bytes.Contains(report, []byte("(synthetic patients)</h1>")) || !strings.HasSuffix(summary.Study.Title, "(synthetic patients)") {
		t.Errorf("the title %q does not say that the patients are synthetic: %v", summary.Study.Title, err)
	}
	for _, name := range []string{"report.html", "predictions.csv", "bundle/checkpoint"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not written", name)
		}
	}
	t.Run("replaces an earlier one", func(t *testing.T) {
		if err := clearOut(out); err != nil {
			t.Error(err)
		}
	})
	t.Run("and nothing else", func(t *testing.T) {
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, "thesis.txt"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := clearOut(other); err == nil {
			t.Error("a folder with something else in it was replaced")
		}
	})
}

func TestRealPatientsKeepTheStudysTitle(t *testing.T) {
	if got := new(demo).protocolFile(); !bytes.Equal(got, protocol) {
		t.Error("the study differs from the file")
	}
}

// Coordinator and agents, killed with SIGKILL again and again while the rounds
// run, go on where they were. The result is complete, counts everybody once,
// and its evidence holds.
func TestKilledProcessesResume(t *testing.T) {
	out := filepath.Join(t.TempDir(), "demo")
	d := &demo{out: out, begun: time.Now(), narration: t.Output(), stage: stage{bin: programs, logs: filepath.Join(out, "logs")}}
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Clear)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	act(t, ctx, func(context.Context) error { return d.admitPatients("") }, d.found, d.enrol, d.open, d.propose, d.approve)
	for i := range 4 {
		h := d.hospitals[i]
		d.kill(t, "hospital "+h.name)
		d.kill(t, "coordinator")
		if _, err := d.Serve("coordinator", "coordinator", "serve", "--config", filepath.Join(out, "coordinator", "coordinator.yaml")); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Serve("hospital "+h.name, "site-agent", "run", "--config", h.config()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 200 * time.Millisecond) // another moment of the round each time
	}
	act(t, ctx, d.listening, d.follow, d.decide, d.prove, d.summarise)
	summary := readSummary(t, out)
	rows := 0
	for _, site := range summary.Sites {
		rows += site.Rows
	}
	if summary.Study.State != "completed" || summary.Model.GLM.N != rows || !summary.Verification.Holds {
		t.Errorf("the study is %s over %d patients, want completed over %d; evidence holds: %v", summary.Study.State, summary.Model.GLM.N, rows, summary.Verification.Holds)
	}
}

func TestInterruptedDemonstrationLeavesNoProcess(t *testing.T) {
	out := filepath.Join(t.TempDir(), "demo")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	atFirstApproval := func(narrated []byte) {
		if bytes.Contains(narrated, []byte("dry run")) {
			cancel()
		}
	}
	if err := run(ctx, []string{"--out", out, "--bin", programs}, listener(atFirstApproval)); err == nil {
		t.Fatal("an interrupted demonstration is no error")
	}
	// The coordinator's port is free again.
	config, err := os.ReadFile(filepath.Join(out, "coordinator", "coordinator.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(string(config)), "listen: ")
	free, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the coordinator still runs: %v", err)
	}
	free.Close()
}

// listener hears what is narrated.
type listener func([]byte)

func (l listener) Write(p []byte) (int, error) {
	l(p)
	return len(p), nil
}

func act(t *testing.T, ctx context.Context, acts ...func(context.Context) error) {
	t.Helper()
	for _, act := range acts {
		if err := act(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// kill ends one of the demonstration's servers without warning.
func (d *demo) kill(t *testing.T, name string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, server := range d.servers {
		if server.name == name {
			if err := server.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-server.done
			d.servers = append(d.servers[:i:i], d.servers[i+1:]...)
			return
		}
	}
	t.Fatalf("%s does not run", name)
}

func readSummary(t *testing.T, out string) federation.Result {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(out, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary federation.Result
	if err := json.Unmarshal(content, &summary); err != nil {
		t.Fatal(err)
	}
	return summary
}
