package settings

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/internal/console"
)

type example struct {
	name, mode string
	least      int
	limit      float64
	level      zapcore.Level
	items      []string
}

func (e *example) keys() Keys {
	return Keys{
		"name":        Text(&e.name),
		"log_level":   LogLevel(&e.level),
		"rules.mode":  OneOf(&e.mode, "manual", "automatic"),
		"rules.least": AtLeast(&e.least, 2),
		"rules.limit": Positive(&e.limit),
		"rules.items": {List: true, Read: func(text string) error {
			if text == "secret" {
				return errors.New("it is no item")
			}
			e.items = append(e.items, text)
			return nil
		}},
	}
}

func TestEveryKindOfKeyIsRead(t *testing.T) {
	var e example
	err := Parse([]byte("# a comment\nname: North\nlog_level: warn\nrules:\n  mode: manual\n  least: 3\n  limit: 1e-3\n  items: [a, b]\n"), e.keys())
	if err != nil || e.name != "North" || e.mode != "manual" || e.least != 3 || e.limit != 1e-3 || e.level != zapcore.WarnLevel || !slices.Equal(e.items, []string{"a", "b"}) {
		t.Errorf("read %+v, %v", e, err)
	}
}

func TestWhatIsLeftOutKeepsItsDefault(t *testing.T) {
	for _, source := range []string{"", "# nothing\n", "rules: {}\n", "rules: {items: []}\n"} {
		e := example{name: "North", least: 7}
		if err := Parse([]byte(source), e.keys()); err != nil || e.name != "North" || e.least != 7 {
			t.Errorf("%q: read %+v, %v", source, e, err)
		}
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for source, want := range map[string]string{
		"nmae: x\n":                     `line 1: unknown key "nmae"; the nearest is "name"`,
		"name: x\n\nlog-level: info\n":  `line 3: unknown key "log-level"; the nearest is "log_level"`,
		"rules: {moed: manual}\n":       `line 1: unknown key "rules.moed"; the nearest is "rules.mode"`,
		"password: secret\n":            `line 1: unknown key "password"; the keys here are log_level, name, rules`,
		"rules: {password: secret}\n":   `line 1: unknown key "rules.password"; the keys here are items, least, limit, mode`,
		"rules.mode: manual\n":          `line 1: unknown key "rules.mode"; the keys here are`,
		"name: x\nname: y\n":            `line 2: key "name" is given twice`,
		"rules: {}\nrules: {}\n":        `line 2: key "rules" is given twice`,
		"rules: {least: 3, least: 4}\n": `line 1: key "rules.least" is given twice`,
		"rules: secret\n":               "line 1: this is not a list of keys and values",
		"- name\n":                      "line 1: this is not a list of keys and values",
		"secret\n":                      "line 1: this is not a list of keys and values",
		"name: [secret]\n":              `line 1: key "name" takes one value`,
		"name: {secret: 1}\n":           `line 1: key "name" takes one value`,
		"name:\n":                       `line 1: key "name": it is empty`,
		"rules: {items: secret}\n":      `line 1: key "rules.items" takes a list`,
		"rules:\n  items:\n  - secret":  `line 3: key "rules.items": it is no item`,
		"rules: {items: [[secret]]}\n":  `line 1: key "rules.items" takes one value`,
		"rules: {mode: secret}\n":       `line 1: key "rules.mode": it is not one of manual, automatic`,
		"rules: {least: 1}\n":           "it is not a whole number of at least 2",
		"rules: {least: 2.5}\n":         "it is not a whole number of at least 2",
		"rules: {limit: 0}\n":           "it is not a number above 0",
		"rules: {limit: .nan}\n":        "it is not a number above 0",
		"log_level: fatal\n":            "it is not debug, info, warn or error",
		"name: x\n---\nname: y\n":       "more than one document",
		"name: 'x\n":                    "line",
		"name: &a x\nlog_level: *a\n":   `line 2: key "log_level" takes one value`,
	} {
		var e example
		err := Parse([]byte(source), e.keys())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v\nwant %s", source, err, want)
		}
	}
}

func TestAFileThatCannotBeUsedIsExplained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.yaml")
	err := ReadFile(path, "site", new(example).keys())
	if p, ok := errors.AsType[*console.Problem](err); !ok || p.What != "the configuration cannot be read" || !strings.Contains(p.Why, path) || p.Next != "site config > site.yaml" {
		t.Errorf("no file: %+v", p)
	}
	if err := os.WriteFile(path, []byte("nmae: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = ReadFile(path, "site", new(example).keys())
	if p, ok := errors.AsType[*console.Problem](err); !ok || !strings.HasPrefix(p.Why, path+": line 1: unknown key") || p.Next != "site config   prints a complete example" {
		t.Errorf("unknown key: %+v", p)
	}
	if err := os.WriteFile(path, []byte("name: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReadFile(path, "site", new(example).keys()); err != nil {
		t.Error(err)
	}
}

func TestRelativePathsStartAtTheFile(t *testing.T) {
	relative, absolute, none := "state", filepath.Join(t.TempDir(), "state"), ""
	want := absolute
	Relative(filepath.Join("etc", "site.yaml"), &relative, &absolute, &none)
	if relative != filepath.Join("etc", "state") || absolute != want || none != "" {
		t.Errorf("%q, %q, %q", relative, absolute, none)
	}
}

// Whatever a file holds, it is read or refused, and what is read keeps the
// promises of its keys.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"name: x\nrules: {mode: manual, least: 2, limit: 1, items: [a]}\n", "a: &a [*a]\n", "? [a]\n: b\n", "name: !!binary aGk=\n", "rules: &r {}\nrules: *r\n", "<<: {name: x}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		e := example{name: "x", mode: "manual", least: 2, limit: 1}
		if err := Parse(source, e.keys()); err != nil {
			return
		}
		if e.name == "" || e.mode != "manual" && e.mode != "automatic" || e.least < 2 || !(e.limit > 0) || math.IsNaN(e.limit) || e.level > zapcore.ErrorLevel {
			t.Errorf("read as %+v", e)
		}
	})
}
