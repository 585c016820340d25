//go:build unix

package siteagent

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// With a disk on which nothing can be written any more, nothing leaves; with
// space again and a restart, the round goes on.
//
// It runs in a process of its own: the limit would also meet what the testing
// package and other tests write meanwhile.
func TestOnAFullDiskNothingLeaves(t *testing.T) {
	const alone = "SITE_AGENT_TEST_ON_A_FULL_DISK"
	if os.Getenv(alone) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOnAFullDiskNothingLeaves$")
		cmd.Env = append(os.Environ(), alone+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	w := newWard(t)
	p, id, plan := w.collect()

	// A limit on file sizes is a full disk for one process.
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	full := limit
	full.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	w.requestOpening(p, id, plan, p.Invited)
	time.Sleep(time.Second)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	answered := len(w.answers[id.String()])
	w.mu.Unlock()
	if answered != 0 {
		t.Fatalf("%d answers left that were not recorded", answered)
	}
	for i := range sites {
		w.stops[i]()
		w.start(i)
	}
	w.eventually("everyone answers once there is space", func() bool { return len(w.answers[id.String()]) == len(sites) })
}
