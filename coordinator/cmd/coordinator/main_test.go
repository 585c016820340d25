package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/settings"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// asCommand makes the test binary be the command, so that tests can kill a real
// process.
const asCommand = "COORDINATOR_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// serveProcess starts `coordinator serve` as a process of its own.
func serveProcess(t *testing.T, config string, log io.Writer) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "serve", "--config", config)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

func writeConfig(t *testing.T, dir, state, listen string) string {
	t.Helper()
	path := filepath.Join(dir, "coordinator.yaml")
	text := fmt.Sprintf("dir: %s\nlisten: %s\n", state, listen)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKilledProcessResumes sends SIGKILL to a serving process again and again
// while a study runs, and wants the study to end as if nothing had been.
func TestKilledProcessResumes(t *testing.T) {
	c := rehearsal.New(t)
	c.Release()
	config := writeConfig(t, c.Dir, c.StateDir(), c.Address)
	log, err := os.Create(filepath.Join(c.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	process := serveProcess(t, config, log)
	waitListening(t, c.Address)
	c.Enrol(identity.RoleSite, "North", "South", "West")
	c.Enrol(identity.RoleResearcher, "Rita")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 3)
	for i, name := range []string{"North", "South", "West"} {
		h := c.Hospital(name, uint64(i))
		go func() { h.Run(ctx); done <- struct{}{} }()
	}
	defer func() {
		cancel()
		for range 3 {
			<-done
		}
	}()
	rita := c.Researcher("Rita")
	study := rita.Propose(rehearsal.Study)
	result := func() *consiliumv1.ResultResponse {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		for {
			resp, err := rita.Studies.Result(ctx, &consiliumv1.ResultRequest{Study: study}, grpc.WaitForReady(true))
			if err == nil {
				return resp
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	until := func(is func(*consiliumv1.ResultResponse) bool) *consiliumv1.ResultResponse {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if r := result(); is(r) {
				return r
			}
		}
		t.Fatalf("not within a minute: %v", result().GetStatus())
		return nil
	}
	until(func(r *consiliumv1.ResultResponse) bool {
		approved := 0
		for _, d := range r.GetStatus().GetDecisions() {
			if d.GetDecision() == "approved" {
				approved++
			}
		}
		return approved == 3
	})
	if err := rita.Start(study); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		time.Sleep(time.Duration(20+random.IntN(250)) * time.Millisecond)
		if err := process.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		process.Wait()
		process = serveProcess(t, config, log)
	}
	last := until(func(r *consiliumv1.ResultResponse) bool { return r.GetStatus().GetState() != "running" })
	if last.GetStatus().GetState() != "completed" || len(last.GetStatus().GetRounds()) != 5 {
		t.Errorf("study ended %v", last.GetStatus())
	}
	var found pipeline.Result
	if err := json.Unmarshal(last.GetResult(), &found); err != nil || found.Model.GLM.N != 90 || found.Model.GLM.Contributors != 3 {
		t.Errorf("model %+v, %v", found.Model, err)
	}

	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(readFile(t, log.Name())), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("a log line is not JSON: %s", line)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func waitListening(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
	}
	t.Fatal("the coordinator does not listen")
}

// threeLines runs a command line that fails and returns what a person reads.
func threeLines(t *testing.T, exit int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var stderr bytes.Buffer
	if code := run(ctx, args, io.Discard, &stderr); code != exit {
		t.Errorf("coordinator %s: exit code %d, want %d", strings.Join(args, " "), code, exit)
	}
	// A log may stand above them.
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	lines = lines[max(0, len(lines)-3):]
	for i, start := range []string{"error: ", "  why:  ", "  next: "} {
		if len(lines) != 3 || !strings.HasPrefix(lines[i], start) {
			t.Fatalf("not what, why and what next:\n%s", &stderr)
		}
	}
	return strings.Join(lines, "\n")
}

func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

func TestWhatAnOperatorCanMendIsSaidInThreeLines(t *testing.T) {
	c := rehearsal.New(t)
	t.Run("no configuration", func(t *testing.T) {
		want(t, threeLines(t, console.ExitFailed, "serve", "--config", filepath.Join(t.TempDir(), "none.yaml")), "no such file", "coordinator config")
	})
	t.Run("port in use", func(t *testing.T) {
		want(t, threeLines(t, console.ExitFailed, "serve", "--config", writeConfig(t, t.TempDir(), c.StateDir(), c.Address)), c.Address, "in use", "listen")
	})
	t.Run("no identity", func(t *testing.T) {
		want(t, threeLines(t, console.ExitFailed, "serve", "--config", writeConfig(t, t.TempDir(), t.TempDir(), "127.0.0.1:0")), "no coordinator identity", "consilium init")
	})
	t.Run("state in use", func(t *testing.T) {
		held, err := coordinator.Open(coordinator.Options{Dir: c.StateDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		want(t, threeLines(t, console.ExitFailed, "serve", "--config", writeConfig(t, t.TempDir(), c.StateDir(), "127.0.0.1:0")), "in use", "another coordinator")
	})
	t.Run("a clock that is behind", func(t *testing.T) {
		_, err := coordinator.Open(coordinator.Options{Dir: c.StateDir(), Now: func() time.Time { return time.Now().Add(-time.Hour) }})
		if !errors.Is(err, coordinator.ErrClock) {
			t.Fatalf("error is %v", err)
		}
		p := openProblem(err, c.StateDir())
		want(t, p.Why+p.Next, "clock", "timedatectl")
	})
	t.Run("an unknown command", func(t *testing.T) {
		want(t, threeLines(t, console.ExitUsage, "sereve"), `did you mean "coordinator serve"`)
	})
	t.Run("an unknown flag", func(t *testing.T) {
		want(t, threeLines(t, console.ExitUsage, "serve", "--port", "1"), "--port", "coordinator serve --help")
	})
	t.Run("an argument", func(t *testing.T) { want(t, threeLines(t, console.ExitUsage, "serve", "now"), `"now"`) })
}

func TestConfigurationRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for _, test := range []struct{ name, source, want string }{
		{"unknown key", "dir: x\nlitsen: 0.0.0.0:1\n", `line 2: unknown key "litsen"; the nearest is "listen"`},
		{"unknown key far off", "# a\n\nport: 1\n", `line 3: unknown key "port"; the keys here are certificate_ttl, dir, listen, log_level, web_listen`},
		{"twice", "dir: x\ndir: y\n", `line 2: key "dir" is given twice`},
		{"not host:port", "listen: here\n", "line 1: key \"listen\": it is not host:port"},
		{"pages nowhere in particular", "web_listen: everywhere\n", `line 1: key "web_listen": it is neither host:port nor off`},
		{"ttl", "certificate_ttl: 1s\n", "at least 10m"},
		{"level", "log_level: loud\n", "debug, info, warn or error"},
		{"nested", "dir: {a: b}\n", "takes one value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "coordinator.yaml")
			if err := os.WriteFile(path, []byte(test.source), 0o600); err != nil {
				t.Fatal(err)
			}
			want(t, threeLines(t, console.ExitFailed, "serve", "--config", path), path, test.want, "coordinator config")
		})
	}
}

func TestTheExampleIsCompleteAndHoldsTheDefaults(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"config"}, &out, io.Discard); code != console.ExitOK {
		t.Fatalf("exit code %d", code)
	}
	var example config
	if err := settings.Parse(out.Bytes(), example.keys()); err != nil || example != defaults() {
		t.Errorf("example %+v, defaults %+v, %v", example, defaults(), err)
	}
	for key := range example.keys() {
		if !strings.Contains(out.String(), "\n"+key+": ") {
			t.Errorf("the example does not have %s", key)
		}
	}
}
