package siteagent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/internal/records"
)

func result(checks []Check, name string) Check {
	if i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name }); i >= 0 {
		return checks[i]
	}
	return Check{}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol("alpha")
	r := c.researcher("rita")
	source := records.Memory(patientColumns, patients(1, 20))
	_, stop := start(t, Options{Dir: dirs[0], Source: source})
	c.propose([]byte(doseStudy), r, "alpha")
	waitFor(t, "the study waits", func() bool { l, _ := Studies(dirs[0]); return len(l) == 1 })

	healthy := DoctorOptions{Dir: dirs[0], Source: source}
	checks := Doctor(t.Context(), healthy)
	for _, check := range checks {
		if check.Result != Pass {
			t.Errorf("on a healthy site: %+v", check)
		}
	}
	if result(checks, "lock").Detail != "an agent is running on this directory" || result(checks, "records for dose").Detail != "20 usable records" {
		t.Errorf("checks %+v", checks)
	}
	stop()

	expect := func(what string, o DoctorOptions, name, want string) {
		t.Helper()
		check := result(Doctor(t.Context(), o), name)
		if check.Result != want || want == Fail && check.Fix == "" {
			t.Errorf("%s: %+v, want %s with what to do", what, check, want)
		}
	}
	expect("stopped", healthy, "vault", Pass)
	skewed := healthy
	skewed.Now = func() time.Time { return time.Now().Add(10 * time.Minute) }
	expect("a clock ten minutes off", skewed, "clock", Fail)
	away := healthy
	away.Address = "127.0.0.1:1"
	expect("nothing listens", away, "connection", Fail)
	nameless := healthy
	nameless.Address = "no-such-host.invalid:7443"
	expect("a name that does not resolve", nameless, "name", Fail)
	foreign := healthy
	foreign.Address = newCoordinator(t).address
	expect("another consortium's coordinator", foreign, "tls", Fail)
	without := healthy
	without.Source = nil
	expect("no records", without, "records", Fail)
	without.Source = records.CSV("none.csv")
	expect("a file that is not there", without, "records", Fail)
	without.Source = records.Memory([]string{"dose", "age", "sex"}, nil)
	expect("a column missing", without, "records for dose", Fail)
	without.Source = records.Memory(patientColumns, nil)
	expect("no usable record", without, "records for dose", Warn)
	expect("no such directory", DoctorOptions{Dir: filepath.Join(dirs[0], "none")}, "state directory", Fail)

	key := filepath.Join(dirs[0], identityDir, "signing.key")
	os.Chmod(key, 0o644)
	expect("a key that others may read", healthy, "identity", Fail)
	os.Chmod(key, 0o600)
	journal := filepath.Join(dirs[0], vaultDir, "journal")
	os.WriteFile(journal, []byte("damaged\n"), 0o600)
	expect("a damaged vault", healthy, "vault", Fail)
	os.Chmod(dirs[0], 0o770)
	expect("a directory that others may write to", healthy, "state directory", Warn)

	c.publish(c.governance.Remove("alpha", time.Now()))
	// In TLS 1.3 the refusal may be cut off with the connection, so the detail
	// differs; what to do does not.
	if check := result(Doctor(t.Context(), healthy), "tls"); check.Result != Fail || !strings.Contains(check.Fix, "still a member") {
		t.Errorf("a removed member: %+v", check)
	}
}
