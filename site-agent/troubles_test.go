package siteagent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

// What fails on this machine's disk is not said to be the coordinator's or the
// network's fault.
func TestATroubleHereIsNotSaidToBeTheNetworks(t *testing.T) {
	c := newCoordinator(t)
	dir := c.enrol("alpha")[0]
	a, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.outbox.Close(); err != nil { // as good as a disk that is full
		t.Fatal(err)
	}
	if err := a.poll(t.Context()); err == nil || !ofThisMachine(err) {
		t.Errorf("an outbox that cannot be written: %v", err)
	}
	if a.outbox, err = outbox.Open(filepath.Join(dir, outboxFile), nil); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "x"), nil, 0o600); err == nil || !ofThisMachine(fmt.Errorf("poll: %w", err)) {
		t.Errorf("a file that cannot be made: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "none"), filepath.Join(dir, "x")); !ofThisMachine(err) {
		t.Errorf("a file that cannot be renamed: %v", err)
	}
	for _, err := range []error{&uplink.Error{Code: "unavailable", Temporary: true}, errors.New("not on the roster")} {
		if ofThisMachine(err) {
			t.Errorf("%v is said to be this machine's", err)
		}
	}
}
