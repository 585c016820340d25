package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// execute runs a small command line and returns what a person sees.
func execute(t *testing.T, asJSON bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	c := &Console{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &complaint, JSON: asJSON}
	root := AsGroup(&cobra.Command{Use: "program"})
	open := &cobra.Command{
		Use:  "open FILE [MODE]",
		Args: Arguments("the FILE", "[MODE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := Require(cmd, "by"); err != nil {
				return err
			}
			c.Notef("opening\n")
			c.Printf("opened %s\n", args[0])
			return nil
		},
	}
	open.Flags().String("by", "", "who")
	root.AddCommand(open)
	code = c.Run(t.Context(), root, args)
	return code, out.String(), complaint.String()
}

func TestACommandLineThatIsNotUnderstoodEndsWithTwo(t *testing.T) {
	for line, want := range map[string]string{
		"oepn":                 `there is no command "program oepn"; did you mean "program open"?`,
		"oepn --help":          `there is no command "program oepn"; did you mean "program open"?`,
		"--help oepn":          `there is no command "program oepn"; did you mean "program open"?`,
		"help oepn":            `there is no command "program oepn"; did you mean "program open"?`,
		"help open":            "",
		"help":                 "",
		"version":              "",
		"--version":            "",
		"--help":               "",
		"open":                 "the FILE is missing",
		"open a b c --by x":    `unexpected argument "c"`,
		"open a":               "--by is missing",
		"open a --nonsense":    "unknown flag: --nonsense",
		"open a --by x --by=y": "",
		"open a b --by x":      "",
		"open --help":          "",
		"":                     "",
	} {
		code, stdout, stderr := execute(t, false, strings.Fields(line)...)
		switch {
		case want == "" && (code != ExitOK || stdout == ""):
			t.Errorf("program %s: exit code %d\n%s", line, code, stderr)
		case want != "":
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code != ExitUsage || len(lines) != 3 || lines[0] != "error: "+want ||
				!strings.HasPrefix(lines[1], "  why:  usage: program") || !strings.HasPrefix(lines[2], "  next: program") {
				t.Errorf("program %s: exit code %d\n%s", line, code, stderr)
			}
		}
	}
}

func TestTheAnswerAndWhatIsSaidOnTheWayAreApart(t *testing.T) {
	if _, stdout, stderr := execute(t, false, "open", "a", "--by", "x"); stdout != "opened a\n" || stderr != "opening\n" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
	if _, stdout, stderr := execute(t, true, "open", "a", "--by", "x"); stdout != "" || stderr != "" {
		t.Errorf("with --json: stdout %q, stderr %q", stdout, stderr)
	}
}

func TestReport(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "keys/a", Err: fs.ErrNotExist}
	whole := &Problem{What: "it was refused", Why: "it is late", Next: "come earlier", Code: "late", Exit: 3}
	for _, test := range []struct {
		name       string
		err        error
		code       int
		text, json string
	}{
		{"nothing", nil, ExitOK, "", ""},
		{"a plain error", errors.New("no room"), ExitFailed, "error: no room\n", `{"error":{"what":"no room"}}` + "\n"},
		{"an interrupt", fmt.Errorf("reading: %w", context.Canceled), ExitFailed, "error: interrupted\n", `{"error":{"what":"interrupted"}}` + "\n"},
		{"a file", Fail("nothing was read", fmt.Errorf("while reading: %w", missing), "make it"), ExitFailed,
			"error: nothing was read\n  why:  keys/a: file does not exist\n  next: make it\n", `{"error":{"what":"nothing was read","why":"keys/a: file does not exist","next":"make it"}}` + "\n"},
		{"no reason", Fail("nothing was read", nil, ""), ExitFailed, "error: nothing was read\n", `{"error":{"what":"nothing was read"}}` + "\n"},
		{"a problem inside another", Fail("something failed", whole, "try again"), 3,
			"error: it was refused\n  why:  it is late\n  next: come earlier\n", `{"error":{"what":"it was refused","why":"it is late","next":"come earlier","code":"late"}}` + "\n"},
		{"a security violation", Fail("refused", fmt.Errorf("roster 2: %w", statement.ErrSecurity), ""), ExitFailed,
			"security violation: refused\n  why:  roster 2: security violation\n", `{"error":{"what":"refused","why":"roster 2: security violation","security":true}}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for asJSON, want := range map[bool]string{false: test.text, true: test.json} {
				var complaint bytes.Buffer
				c := &Console{Stdout: io.Discard, Stderr: &complaint, JSON: asJSON}
				if code := c.Report(test.err); code != test.code || complaint.String() != want {
					t.Errorf("exit code %d, want %d:\n%s\nwant:\n%s", code, test.code, &complaint, want)
				}
			}
		})
	}
	if err := Fail("nothing was read", missing, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 12_345_678: "12.3 MB", 5e12: "5000.0 GB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
	if Count(1, "file") != "1 file" || Count(0, "file") != "0 files" {
		t.Error("nouns and numbers disagree")
	}
	if Short("0123456789abcdef") != "0123456789ab" || Short("01") != "01" {
		t.Error("digests are abbreviated to 12 digits")
	}
	if OnTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is no screen")
	}
}

func TestTableAndJSON(t *testing.T) {
	var out bytes.Buffer
	c := &Console{Stdout: &out}
	c.Table([][]string{{"name", "n"}, {"North Hospital", "1"}})
	if want := "  name            n\n  North Hospital  1\n"; out.String() != want {
		t.Errorf("table %q, want %q", &out, want)
	}
	out.Reset()
	c.JSON = true
	c.Table([][]string{{"name"}})
	if err := c.PrintLine(map[string]string{"a": "<b>"}); err != nil || out.String() != `{"a":"<b>"}`+"\n" {
		t.Errorf("line %q, %v", &out, err)
	}
	out.Reset()
	if err := c.PrintJSON(map[string]string{"a": "<b>"}); err != nil || out.String() != "{\n  \"a\": \"<b>\"\n}\n" {
		t.Errorf("JSON %q, %v", &out, err)
	}
}

func TestFindDigest(t *testing.T) {
	one, two := strings.Repeat("ab", 32), strings.Repeat("ab", 16)+strings.Repeat("cd", 16)
	three := strings.Repeat("12", 32)
	digests := []string{one, two, three}
	for _, test := range []struct {
		prefix string
		want   string
		words  string
	}{
		{"12121212", three, ""},
		{"1212 ", "", "too short"},
		{one, one, ""},
		{strings.ToUpper(two[:40]), two, ""},
		{"abababab", "", "more than one"},
		{"ffffffff", "", "there is no study"},
		{"xyzxyzxyz", "", "no digest"},
		{one + "0", "", "no digest"},
	} {
		got, err := FindDigest(test.prefix, digests, "study", "program list")
		if got != test.want || (err != nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("FindDigest(%q) = %q, %v", test.prefix, got, err)
		}
	}
}
