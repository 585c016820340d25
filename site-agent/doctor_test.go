package siteagent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
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

// Who is not a member yet needs the way to the coordinator most, and finds out
// without a token being spent.
func TestDoctorLooksAtTheWayOutBeforeEnrolment(t *testing.T) {
	c := newCoordinator(t)
	dir := filepath.Join(t.TempDir(), "state")
	checks := Doctor(t.Context(), DoctorOptions{Dir: dir})
	if len(checks) != 1 || checks[0].Result != Fail {
		t.Errorf("nothing is known: %+v", checks)
	}
	if check := result(Doctor(t.Context(), DoctorOptions{Dir: dir, Address: c.address}), "connection"); check.Result != Pass {
		t.Errorf("an address that is configured: %+v", check)
	}
	token, err := c.governance.Invite("alpha", identity.RoleSite, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := PrepareEnrolment(EnrolOptions{Dir: dir, Token: token}); err != nil {
		t.Fatal(err)
	}
	checks = Doctor(t.Context(), DoctorOptions{Dir: dir})
	if result(checks, "enrolment").Result != Warn || result(checks, "connection").Result != Pass {
		t.Errorf("the invitation's address: %+v", checks)
	}
	if check := result(Doctor(t.Context(), DoctorOptions{Dir: dir, Address: "127.0.0.1:1"}), "connection"); check.Result != Fail || check.Fix == "" {
		t.Errorf("nothing listens: %+v", check)
	}
}

// Keys made under an invitation for somebody else would be in the way of the right one.
func TestAnInvitationForSomebodyElseMakesNoKeys(t *testing.T) {
	c := newCoordinator(t)
	dir := t.TempDir()
	for _, role := range []identity.Role{identity.RoleResearcher, identity.RoleAuditor} {
		token, err := c.governance.Invite("rita", role, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := PrepareEnrolment(EnrolOptions{Dir: dir, Token: token}); err == nil || !strings.Contains(err.Error(), "this program is for sites") {
			t.Errorf("%s: %v", role, err)
		}
	}
	token, err := c.governance.Invite("alpha", identity.RoleSite, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := PrepareEnrolment(EnrolOptions{Dir: dir, Token: token}); err != nil {
		t.Errorf("the right one then: %v", err)
	}
}
