package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/settings"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// command runs a command line in an empty folder.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out, complaint bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &complaint, func(string) string { return "" })
	return code, out.String(), complaint.String()
}

func TestTheExampleIsTheDefaults(t *testing.T) {
	var c config
	if err := settings.Parse(siteagent.Example, c.keys()); err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.records = "patients.csv" // has no default
	if c.dir != want.dir || c.records != want.records || c.logLevel != want.logLevel || c.coordinator != "" || c.proxy != "" {
		t.Errorf("example %+v, defaults %+v", c, want)
	}
	if c.policy.Approve != want.policy.Approve || c.policy.MinimumRows != want.policy.MinimumRows || c.policy.MinimumContributors != want.policy.MinimumContributors ||
		c.policy.Releases != want.policy.Releases || c.policy.WorstErrorRatio != want.policy.WorstErrorRatio || c.policy.WorstBrier != want.policy.WorstBrier || c.policy.WorstConcordance != want.policy.WorstConcordance || c.policy.WorstEventRatio != want.policy.WorstEventRatio || len(c.policy.Studies) != 0 {
		t.Errorf("example's policy %+v, default %+v", c.policy, want.policy)
	}
	for key := range c.keys() {
		section, name, nested := strings.Cut(key, ".")
		if !nested {
			name = section
		}
		if !bytes.Contains(siteagent.Example, []byte(name+":")) {
			t.Errorf("the example lacks %s", key)
		}
	}
}

func TestAConfigurationThatIsNotUnderstoodIsRefused(t *testing.T) {
	for source, want := range map[string]string{
		"dir: x\nrecrods: y\n":                  `line 2: unknown key "recrods"; the nearest is "records"`,
		"studies: {aprove: any}\n":              `line 1: unknown key "studies.aprove"; the nearest is "studies.approve"`,
		"dir: a\ndir: b\n":                      `line 2: key "dir" is given twice`,
		"studies: any\n":                        "line 1: this is not a list of keys and values",
		"studies: {approve: yes}\n":             `line 1: key "studies.approve": it is not one of manual, listed, any`,
		"studies: {list: abc}\n":                `line 1: key "studies.list" takes a list`,
		"studies:\n  list:\n    - abc\n":        `line 3: key "studies.list": a digest is 64 hex digits`,
		"studies: {minimum_contributors: 1}\n":  `line 1: key "studies.minimum_contributors": it is not a whole number of at least 2`,
		"studies: {minimum_rows: 0}\n":          "at least 1",
		"releases: {warnings: ignore}\n":        "it is not one of accept, ask, refuse",
		"releases: {worst_brier: -1}\n":         "it is not a number above 0",
		"releases: {worst_error_ratio: .nan}\n": "it is not a number above 0",
		"proxy: ftp://user:secret@x\n":          "it is not a URL such as",
		"studies: {minimum_share: 80}\n":        "it is above 1: it is a share, such as 0.8",
		"studies: {minimum_share: 80%}\n":       "it is not a number above 0",
		"releases: {worst_brier: 25}\n":         "it is above 1",
		"releases: {worst_concordance: 2}\n":    "it is above 1",
		"coordinator: https://x:7443\n":         "it is not host:port, such as",
		"coordinator: somewhere\n":              "it is not host:port",
		"log_level: loud\n":                     "it is not debug, info, warn or error",
		"records: \"\"\n":                       "it is empty",
	} {
		var c config
		err := settings.Parse([]byte(source), c.keys())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v\nwant %s", source, err, want)
		}
	}
}

func TestAnAddressMayBeIPv6(t *testing.T) {
	for _, address := range []string{"coordinator.example.org:7443", "127.0.0.1:7443", "[2001:db8::1]:7443"} {
		var c config
		if err := settings.Parse([]byte("coordinator: \""+address+"\"\n"), c.keys()); err != nil || c.coordinator != address {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestRelativePathsStartAtTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	os.WriteFile(path, []byte("dir: state\nrecords: /data/p.csv\n"), 0o600)
	c, err := readConfig(path)
	if err != nil || c.dir != filepath.Join(dir, "state") || c.records != "/data/p.csv" {
		t.Fatalf("%+v, %v", c, err)
	}
}

// What the agent would not start with, no other command takes for good.
func TestAPolicyThatNoAgentStartsWithIsNoConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("releases: {worst_event_ratio: 0.5}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"doctor", "run", "approve"} {
		if code, _, stderr := command(t, name, "--config", path); code != console.ExitFailed || !strings.Contains(stderr, "the configuration is not valid") || !strings.Contains(stderr, "it is at least 1") {
			t.Errorf("%s: code %d\n%s", name, code, stderr)
		}
	}
}

func TestEveryErrorSaysWhatWhyAndNext(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"aprove"}, console.ExitUsage, []string{"did you mean", "next: site-agent --help"}},
		{[]string{"run", "--fast"}, console.ExitUsage, []string{"unknown flag", "usage: site-agent run", "next: site-agent run --help"}},
		{[]string{"run"}, console.ExitFailed, []string{"there is no configuration", "next: site-agent config > site-agent.yaml"}},
		{[]string{"run", "--dir", "x"}, console.ExitFailed, []string{"there are no records to compute with"}},
		{[]string{"approve", "--refuse", "--dir", "x"}, console.ExitUsage, []string{"need the DIGEST"}},
		{[]string{"approve", "abcd1234", "--dir", "x"}, console.ExitFailed, []string{"there is no study abcd1234", "site-agent approve"}},
		{[]string{"enroll", "--dir", "x"}, console.ExitFailed, []string{"no unfinished enrolment"}},
		{[]string{"enroll", "token", "--dir", "x"}, console.ExitFailed, []string{"the keys were not made", "paste exactly what was printed"}},
		{[]string{"predict", "--dir", "x"}, console.ExitUsage, []string{"--input and --output are needed"}},
		{[]string{"predict", "--dir", "x", "--input", "a", "--output", "b"}, console.ExitFailed, []string{"no release is in use here", "next: site-agent releases list"}},
		{[]string{"releases", "show", "abcd1234", "--dir", "x"}, console.ExitFailed, []string{"there is no release abcd1234"}},
		{[]string{"releases", "show", "abcd", "--dir", "x"}, console.ExitUsage, []string{"too short to name a release"}},
		{[]string{"releases", "rollback", "dose", "--dir", "x"}, console.ExitFailed, []string{"nothing was changed", "no earlier release"}},
		{[]string{"releases", "shwo"}, console.ExitUsage, []string{"did you mean \"site-agent releases show\""}},
		{[]string{"status", "--dir", "x"}, console.ExitFailed, []string{"no agent has run on this state directory yet"}},
		{[]string{"doctor", "--dir", "x"}, console.ExitFailed, []string{"not everything is in order"}},
		{[]string{"outbox", "--config", "none.yaml"}, console.ExitFailed, []string{"the configuration cannot be read", "none.yaml"}},
	} {
		code, _, stderr := command(t, test.args...)
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d\n%s", test.args, code, test.code, stderr)
		}
		for _, want := range append(test.want, "error: ") {
			if !strings.Contains(stderr, want) {
				t.Errorf("%v: no %q in\n%s", test.args, want, stderr)
			}
		}
		// The same as JSON.
		code, _, stderr = command(t, append([]string{"--json"}, test.args...)...)
		var e struct{ Error console.Problem }
		if err := json.Unmarshal([]byte(stderr), &e); err != nil || e.Error.What == "" || code != test.code {
			t.Errorf("%v --json: %v in %s", test.args, err, stderr)
		}
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	for _, name := range []string{"config", "enroll", "doctor", "run", "status", "approve", "outbox", "releases", "predict", "version"} {
		code, stdout, _ := command(t, name, "--help")
		if code != console.ExitOK || len(stdout) < 200 {
			t.Errorf("%s --help: code %d, %d bytes", name, code, len(stdout))
		}
	}
	if code, stdout, _ := command(t, "config"); code != console.ExitOK || !strings.Contains(stdout, "minimum_contributors") {
		t.Error("config prints no example")
	}
}

func TestListsAreEmptyAtFirst(t *testing.T) {
	for _, args := range [][]string{{"outbox"}, {"releases", "list"}, {"approve"}} {
		code, stdout, stderr := command(t, append(args, "--dir", "x", "--json")...)
		if code != console.ExitOK || strings.TrimSpace(stdout) != "[]" {
			t.Errorf("%v: code %d, %q %q", args, code, stdout, stderr)
		}
	}
	code, stdout, _ := command(t, "approve", "--dir", "x")
	if code != console.ExitOK || !strings.Contains(stdout, "No study") {
		t.Errorf("approve: %d %q", code, stdout)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(siteagent.Example)
	f.Add([]byte("studies: {list: [a]}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, source []byte) {
		c := defaults()
		if err := settings.Parse(source, c.keys()); err == nil && (c.dir == "" || c.policy.MinimumContributors < 2) {
			t.Errorf("read as %+v", c)
		}
	})
}

// What root leaves in the state of an agent that runs as somebody else, the agent
// cannot read: its next start would fail, and a person's approval be lost.
func TestRootLeavesNothingInAnotherUsersState(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory somebody else's")
	}
	state := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(state, "studies"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(filepath.Dir(state), "site-agent.yaml")
	if err := os.WriteFile(config, []byte("records: patients.csv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run"}, {"doctor"}, {"enroll"}, {"approve", "abcd1234"}, {"releases", "accept", "abcd1234"}, {"releases", "rollback", "dose"}} {
		code, _, stderr := command(t, append(args, "--config", config)...)
		if code != console.ExitFailed || !strings.Contains(stderr, "belongs to #12345") || !strings.Contains(stderr, "next: sudo -u '#12345' site-agent") {
			t.Errorf("%v: code %d\n%s", args, code, stderr)
		}
	}
	for _, args := range [][]string{{"approve"}, {"outbox"}, {"releases", "list"}} {
		if code, _, stderr := command(t, append(args, "--config", config)...); code != console.ExitOK {
			t.Errorf("%v only reads: code %d\n%s", args, code, stderr)
		}
	}
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(state), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, _, stderr := command(t, "enroll", "token", "--config", config); !strings.Contains(stderr, "belongs to #12345") {
		t.Errorf("root would make a state directory in another user's folder: %s", stderr)
	}
}

func TestDoctorSaysWhatOthersMayRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing there")
	}
	dir := t.TempDir()
	root := filepath.Dir(dir) // the test's own
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if !othersRead(root) {
		t.Skip("temporary files are in a private folder")
	}
	file, patients := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "patients.csv")
	for path, text := range map[string]string{file: "records: patients.csv\nproxy: http://user:secret@proxy.example:3128\n", patients: "a,b\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		folder, file fs.FileMode
		open         bool
	}{{0o755, 0o600, false}, {0o700, 0o644, false}, {0o755, 0o640, false}, {0o755, 0o644, true}} {
		for path, mode := range map[string]fs.FileMode{dir: test.folder, file: test.file, patients: test.file} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		_, said, _ := command(t, "doctor", "--config", file)
		if strings.Contains(said, "the proxy's password") != test.open || strings.Contains(said, "may read "+patients) != test.open || strings.Contains(said, "secret") {
			t.Errorf("folder %04o, files %04o: %s", test.folder, test.file, said)
		}
	}
}

// Nobody keeps trying once the command has ended.
func TestAnEnrolmentThatHasNotEndedSaysHowItGoesOn(t *testing.T) {
	for _, err := range []error{context.Canceled, errors.New("a disk that is full")} {
		p, ok := errors.AsType[*console.Problem](notYet(err))
		if !ok || !strings.Contains(p.Next, "without the token") || strings.Contains(p.Why, "context") {
			t.Errorf("%v: %+v", err, p)
		}
	}
}

// A service manager that starts an agent again every ten seconds would have it work
// with a coordinator that contradicted itself.
func TestASecurityViolationHasAnExitCodeOfItsOwn(t *testing.T) {
	var complaint bytes.Buffer
	c := console.Console{Stderr: &complaint}
	if code := c.Report(stopped(fmt.Errorf("%w: forked", siteagent.ErrStopped))); code != 3 || !strings.Contains(complaint.String(), "do not delete the state") {
		t.Errorf("exit code %d: %s", code, complaint.String())
	}
}
