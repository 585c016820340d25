package siteagent

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

func TestHealthSaysWhatAPersonHasToLookAt(t *testing.T) {
	c := newCoordinator(t)
	dir := c.enrol("alpha")[0]
	r := c.researcher("rita")
	if _, err := HealthOf(dir, time.Now(), time.Minute); err == nil || !strings.Contains(err.Error(), "no agent has run") {
		t.Fatalf("before the first start: %v", err)
	}
	a, stop := start(t, Options{Dir: dir, Source: records.Memory(patientColumns, patients(1, 20))})
	c.propose([]byte(doseStudy), r, "alpha")
	waitFor(t, "the study waits", func() bool { l, _ := Studies(dir); return len(l) == 1 })
	health := func(now time.Time) *Health {
		t.Helper()
		h, err := HealthOf(dir, now, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := health(time.Now())
	if len(h.Wrong) != 0 || h.Site != "alpha" || h.Studies != 1 || h.Releases != 0 || h.Certificate.IsZero() {
		t.Errorf("a healthy agent: %+v", h)
	}
	a.violation("test", "something that an honest coordinator does not do", nil)
	stop()
	a.writeStatusOf(t, dir)

	expect := func(what string, now time.Time, want string) {
		t.Helper()
		if h := health(now); len(h.Wrong) == 0 || !strings.Contains(strings.Join(h.Wrong, "\n"), want) {
			t.Errorf("%s: %q, want %q", what, h.Wrong, want)
		}
	}
	expect("an agent that stopped", time.Now().Add(2*time.Minute), "does not run")
	expect("after a year", time.Now().AddDate(1, 0, 0), "certificate expired")
	expect("a violation", time.Now(), "an honest coordinator does not do")
	if n, err := Acknowledge(dir); n != 1 || err != nil {
		t.Fatalf("%d violations acknowledged, %v", n, err)
	}
	if h := health(time.Now()); len(h.Wrong) != 0 || len(h.Violations) != 1 || h.Acknowledged != 1 {
		t.Errorf("acknowledged: %+v", h)
	}
	// The same once more is news again.
	a, stop = start(t, Options{Dir: dir, Source: records.Memory(patientColumns, patients(1, 20))})
	a.violation("test", "something that an honest coordinator does not do", nil)
	a.violation("test", "something that an honest coordinator does not do", nil)
	stop()
	a.writeStatusOf(t, dir)
	if h := health(time.Now()); len(h.Wrong) != 1 || len(h.Violations) != 2 || h.Acknowledged != 1 {
		t.Errorf("after an acknowledged violation came again: %+v", h)
	}
	if _, err := Acknowledge(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.json" + unreadable, "b.json" + failed, "c.json"} {
		if err := os.WriteFile(filepath.Join(dir, decisionsDir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect("decisions", time.Now(), "2 decisions were not carried out")
}

// writeStatusOf leaves the status as a last poll would: with what the vault has by now.
func (a *Agent) writeStatusOf(t *testing.T, dir string) {
	t.Helper()
	v, err := vault.Open(filepath.Join(dir, vaultDir), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	a.vault = v
	a.writeStatus(nil)
}

// A state that cannot be written is not one that is damaged: whoever restored an
// old backup for it would forget what was answered.
func TestDoctorRestoresNothingForPermissions(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: "lock", Err: fs.ErrPermission}, &os.LinkError{Op: "rename", Err: fs.ErrPermission},
	} {
		if fix := mend(err, "restore"); !strings.Contains(fix, "Restore nothing") {
			t.Errorf("%v: %s", err, fix)
		}
	}
	for _, err := range []error{vault.ErrDamaged, &fs.PathError{Op: "open", Path: "name", Err: fs.ErrNotExist}} {
		if fix := mend(err, "restore"); fix != "restore" {
			t.Errorf("%v: %s", err, fix)
		}
	}
}
