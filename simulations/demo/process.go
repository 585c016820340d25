package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// stage runs the programs: servers, which stay until the stage is cleared, and
// commands, which end by themselves. It signals only processes that it started.
type stage struct {
	bin  string // folder of the programs
	logs string // folder of what the servers say

	mu      sync.Mutex
	servers []*server
}

// server is a program that runs until it is told to stop.
type server struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// Serve starts a program; its output goes to a log of its own.
func (s *stage) Serve(name, program string, args ...string) (*server, error) {
	log := filepath.Join(s.logs, strings.ReplaceAll(name, " ", "-")+".log")
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own handle
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s does not start: %w", name, err)
	}
	started := &server{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		started.err = cmd.Wait()
		close(started.done)
	}()
	s.mu.Lock()
	s.servers = append(s.servers, started)
	s.mu.Unlock()
	return started, nil
}

// Clear ends every server that still runs, the last one first: asked politely,
// and after five seconds by force.
func (s *stage) Clear() {
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.mu.Unlock()
	for i := len(servers) - 1; i >= 0; i-- {
		servers[i].cmd.Process.Signal(os.Interrupt)
	}
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, server := range servers {
		select {
		case <-server.done:
			continue
		case <-patience.Done():
		}
		server.cmd.Process.Kill()
		<-server.done
	}
}

// Fallen names a server that has ended although nobody asked it to.
func (s *stage) Fallen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		select {
		case <-server.done:
			return fmt.Errorf("%s has stopped (%v); its log ends:\n%s", server.name, server.err, tail(server.log))
		default:
		}
	}
	return nil
}

// Ended waits for a server that ends by itself, which it has to do without an
// error.
func (s *stage) Ended(ctx context.Context, process *server) error {
	select {
	case <-process.done:
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w; its log ends:\n%s", process.name, ctx.Err(), tail(process.log))
	}
	s.mu.Lock()
	s.servers = slices.DeleteFunc(s.servers, func(other *server) bool { return other == process })
	s.mu.Unlock()
	if process.err != nil {
		return fmt.Errorf("%s failed: %w; its log ends:\n%s", process.name, process.err, tail(process.log))
	}
	return nil
}

// Do runs a command to its end and returns what it printed.
func (s *stage) Do(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if fallen := s.Fallen(); fallen != nil {
			err = errors.Join(err, fallen)
		}
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()+out.String()))
	}
	return out.Bytes(), nil
}

// tail returns the last lines of a file.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
