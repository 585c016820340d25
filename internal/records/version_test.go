package records

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const twoPatients = "dose,age,centre\n10,50,north\n20,60,elsewhere\n"

// written writes a file with a date, as who restores a backup does.
func written(t *testing.T, path, content string, date time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, date, date); err != nil {
		t.Fatal(err)
	}
}

// The version is that of the content: a change that leaves size and date as they
// were is seen, and an export that writes the same again is none.
func TestAFilesVersionIsItsContents(t *testing.T) {
	path, date := filepath.Join(t.TempDir(), "records.csv"), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	written(t, path, twoPatients, date)
	_, _, read, err := LoadVersion(parse(t, ageStudy), CSV(path))
	if err != nil || !read.Known() || !read.Same(VersionOf(CSV(path))) {
		t.Fatalf("a file that did not change is not known to be the same (%v)", err)
	}
	written(t, path, twoPatients, date.Add(time.Hour))
	if !read.Same(VersionOf(CSV(path))) {
		t.Error("the same records, exported again, count as others")
	}
	for what, content := range map[string]string{
		"a value, with the size and the date as before": strings.Replace(twoPatients, "10,", "11,", 1),
		"a record more": twoPatients + "30,60,north\n",
		"a record less": strings.TrimSuffix(twoPatients, "20,60,elsewhere\n"),
		"nothing":       "",
	} {
		written(t, path, content, date)
		if read.Same(VersionOf(CSV(path))) {
			t.Errorf("%s: not seen", what)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if now := VersionOf(CSV(path)); now.Known() || now.Same(now) || now.Same(read) {
		t.Error("a file that is gone has a version")
	}
}

// What is told is the version of what was read, also if the file changes before
// the reading ends.
func TestTheVersionIsOfWhatWasRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.csv")
	written(t, path, twoPatients, time.Now())
	before := VersionOf(CSV(path))
	rows, read, err := CSV(path).(versioned).openVersioned()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	written(t, path, strings.Replace(twoPatients, "10,", "11,", 1), time.Now())
	if _, err := build(parse(t, ageStudy), CSV(path), rows); err != nil {
		t.Fatal(err)
	}
	if !read().Same(before) || read().Same(VersionOf(CSV(path))) {
		t.Error("the version is not that of the rows that were read")
	}
}

func TestLoadVersionReadsAsLoadDoes(t *testing.T) {
	s := parse(t, ageStudy)
	path := filepath.Join(t.TempDir(), "records.csv")
	written(t, path, "\ufeff"+strings.ReplaceAll(twoPatients, ",", ";")+"1;2", time.Now())
	_, _, want := Load(s, CSV(path))
	_, _, version, err := LoadVersion(s, CSV(path))
	if err == nil || err.Error() != want.Error() || version.Known() {
		t.Errorf("a damaged file: %v, want %v and no version", err, want)
	}
	for what, src := range map[string]Source{
		"a file":         file(t, "\ufeff"+strings.ReplaceAll(twoPatients, ",", ";")),
		"in memory":      Memory([]string{"dose", "age", "centre"}, [][]string{{"10", "50", "north"}, {"20", "60", "elsewhere"}}),
		"of other kinds": unversioned{file(t, twoPatients)},
	} {
		m, skipped, err := Load(s, src)
		again, skippedAgain, version, errAgain := LoadVersion(s, src)
		if err := errors.Join(err, errAgain); err != nil {
			t.Fatal(what, err)
		}
		if diff := cmp.Diff(design(m), design(again)) + cmp.Diff(skipped, skippedAgain); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
		_, is := src.(unversioned)
		if version.Known() == is || version.Same(VersionOf(src)) == is {
			t.Errorf("%s: version known %v", what, version.Known())
		}
	}
}

// unversioned is a source that cannot tell whether it changed.
type unversioned struct{ source Source }

func (u unversioned) Open() (Rows, error) { return u.source.Open() }

func TestRowsInMemoryAreTheirOwnVersion(t *testing.T) {
	columns, rows := []string{"dose"}, [][]string{{"10"}}
	one, other := Memory(columns, rows), Memory(columns, rows)
	if !VersionOf(one).Same(VersionOf(one)) || VersionOf(one).Same(VersionOf(other)) {
		t.Error("versions of rows in memory")
	}
}

// A digest of records tells who guesses them whether the guess is right.
func TestAVersionPrintsNothing(t *testing.T) {
	src := file(t, twoPatients)
	version := VersionOf(src)
	digest := version.of()
	var lines strings.Builder
	slog.New(slog.NewTextHandler(&lines, nil)).Info("seen", "version", version)
	hidden := struct{ version Version }{version}
	text := lines.String() + fmt.Sprintf("%v %+v %#v %s %x %d %v %+v %#v %s %x %d", version, version, version, version, version, version, hidden, hidden, hidden, hidden, hidden, hidden)
	for _, verb := range []string{"%v", "%x", "%d"} {
		if inside := strings.Trim(fmt.Sprintf(verb, digest), "[]"); strings.Contains(text, inside) {
			t.Errorf("printed in %s", verb)
		}
	}
}
