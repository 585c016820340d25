package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consilium-fl/consilium/study"
)

const ageStudy = `study: ages
version: 1
outcome: {column: dose, type: number, range: [0, 100]}
features:
  - {column: age, type: number, range: [0, 120]}
  - {column: centre, type: category, levels: [north, "south, upper", west]}
model: {kind: glm, family: gaussian}
`

func parse(t testing.TB, src string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t testing.TB, content string) Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patients.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return CSV(path)
}

// design is the rows of a matrix, with the outcome first.
func design(m *study.Matrix) [][]float64 {
	var rows [][]float64
	for i := range m.Rows() {
		rows = append(rows, append([]float64{m.Outcome(i)}, m.Row(i)...))
	}
	return rows
}

func TestSpellingsOfOneFile(t *testing.T) {
	want := [][]float64{{10, 1, 50, 0, 0}, {20, 1, 60, 1, 0}, {30, 1, 70, 0, 1}}
	plain := "id,dose,age,centre\na,10,50,north\nb,20,60,\"south, upper\"\n\"two\nlines\",30,70,west\n"
	for name, content := range map[string]string{
		"plain":                    plain,
		"byte order mark":          "\xef\xbb\xbf" + plain,
		"CRLF":                     strings.ReplaceAll(plain, "\n", "\r\n"),
		"byte order mark and CRLF": "\xef\xbb\xbf" + strings.ReplaceAll(plain, "\n", "\r\n"),
		"no final newline":         strings.TrimSuffix(plain, "\n"),
		"empty lines":              strings.Replace(plain, "\nb,", "\n\n\nb,", 1),
		"quoted header":            strings.Replace(plain, "id,dose", `"id","dose"`, 1),
		"quoted after the mark":    "\xef\xbb\xbf" + strings.Replace(plain, "id,dose", `"id","dose"`, 1),
		"columns in another order": "centre,age,dose,id\nnorth,50,10,a\n\"south, upper\",60,20,b\nwest,70,30,\"two\nlines\"\n",
		"spaces around cells":      strings.NewReplacer(",dose,", ", dose ,", ",10,50,north", ", 10 ,\t50, north ").Replace(plain),
		"numbers in other forms":   strings.NewReplacer(",10,", ",1e1,", ",20,", ",20.0,", ",70,", ",+070,").Replace(plain),
		"foreign bytes in a column that is not read": strings.Replace(plain, "\na,", "\nQu\xe9bec,", 1),
		"unnamed columns that are not read":          strings.NewReplacer("centre\n", "centre,,\n", "north\n", "north,1,2\n", "upper\"\n", "upper\",1,2\n", "west\n", "west,1,2\n").Replace(plain),
	} {
		t.Run(name, func(t *testing.T) {
			m, skipped, err := Load(parse(t, ageStudy), file(t, content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, design(m)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if len(skipped) != 0 {
				t.Errorf("skipped %v", skipped)
			}
		})
	}
}

// canary stands in every place of a broken file where a patient's value could
// be; no message may repeat it.
const canary = "CANARY"

func TestDamagedFilesAreRefused(t *testing.T) {
	head := "id,dose,age,centre\nCANARY,10,50,north\n"
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", "patients.csv is empty; its first line must name the columns"},
		{"only a mark", "\xef\xbb\xbf", "patients.csv is empty; its first line must name the columns"},
		{"only newlines", "\n\n\n", "patients.csv is empty; its first line must name the columns"},
		{"UTF-16", "\xff\xfei\x00d\x00", "patients.csv is in UTF-16; save it as CSV in UTF-8"},
		{"Latin-1 header", "id,dose,\xe2ge\n", "patients.csv line 1: the name of column 3 is not in UTF-8; save the file as CSV in UTF-8"},
		{"semicolons and a comma", "id;dose,age;centre\nCANARY;10;50;north\n", "patients.csv line 1 has more than one of comma, semicolon and tab, so it is not clear which separates the columns; write a name that holds one in quotation marks, or save the file with commas"},
		{"tabs and semicolons", "id\tdose;age\tcentre\nCANARY\t10\t50\tnorth\n", "patients.csv line 1 has more than one of comma, semicolon and tab, so it is not clear which separates the columns; write a name that holds one in quotation marks, or save the file with commas"},
		{"carriage returns", "id,dose,age,centre\rCANARY,10,50,north\r", "patients.csv has lines that end in a carriage return only; save it with line feeds"},
		{"one name twice", "id,dose,age,centre,age\n", "patients.csv line 1: columns 3 and 5 have the same name; rename one"},
		{"one name twice, spaced", "id,dose,age,centre, age \n", "patients.csv line 1: columns 3 and 5 have the same name; rename one"},
		{"no header line", "CANARY,10,50,north\nCANARY,20,60,north\n",
			"patients.csv: the data have none of the study's columns (dose, age, centre); is the first line the column names?"},
		{"a column missing", "id,dose,age,center\nCANARY,10,50,north\n",
			`patients.csv: the data have no column "centre", which the study reads; did you mean "center"?`},
		{"a column missing, none near", "id,dose,age,CANARY\nCANARY,10,50,north\n",
			`patients.csv: the data have no column "centre", which the study reads`},
		{"cut in a record", head + "CANARY,20,6",
			"patients.csv line 3: the file ends in the middle of this record; it looks cut short, export it again"},
		{"cut in a quoted cell", head + "CANARY,20,60,\"CANARY",
			"patients.csv: the record that begins on line 3 has a quotation mark that is never closed; the file may be cut short, export it again"},
		{"quotation mark never closed", head + "CANARY,20,60,\"CANARY\nCANARY,30,70,north\n",
			"patients.csv: the record that begins on line 3 has a quotation mark that is never closed; the file may be cut short, export it again"},
		{"quotation mark in a cell", head + "CANARY 6\"2,20,60,north\nCANARY,30,70,north\n",
			`patients.csv line 3, byte 9: a quotation mark stands inside a cell; write the cell in quotation marks with "" for each one inside`},
		{"text after a quoted cell", head + "\"CANARY\"x,20,60,north\nCANARY,30,70,north\n",
			`patients.csv line 3, byte 8: a quotation mark stands inside a cell; write the cell in quotation marks with "" for each one inside`},
		{"quotation mark never closed in a long file", head + "\"CANARY" + strings.Repeat("\nCANARY,30,70,north", 100_000),
			"patients.csv: a record has more than 1048576 bytes; look for a quotation mark that is never closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, skipped, err := Load(parse(t, ageStudy), file(t, c.content))
			if err == nil {
				t.Fatalf("loaded %d rows, skipped %v", m.Rows(), skipped)
			}
			if err.Error() != c.want {
				t.Errorf("error:\n got %s\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Error("the error repeats a cell")
			}
		})
	}
}

func TestDamagedRecordsAreSkipped(t *testing.T) {
	m, skipped, err := Load(parse(t, ageStudy), file(t, "id,dose,age,centre\n"+
		"a,10,50,north\n"+
		"b,20\n"+ // too few cells, in the middle
		"c,30,70,north,more\n"+
		"d,40,80,Qu\xe9bec\n"+
		"e,40,\xff,north\n"+
		"f,50,90,north\n"+
		"g,60\n")) // too few cells, but the line is whole
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows() != 2 {
		t.Errorf("%d rows, want 2", m.Rows())
	}
	want := map[study.SkipReason]int{study.Malformed: 3, study.UndeclaredLevel: 1, study.NotANumber: 1}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

// Whether a reader reports the end with the last bytes or after them, a short
// last line that is whole is one bad record and not a cut file.
func TestShortLastLineIsWhole(t *testing.T) {
	for _, input := range []io.Reader{
		strings.NewReader("a,10,50,north\ng,60\n"),
		iotest.DataErrReader(strings.NewReader("a,10,50,north\ng,60\n")),
		iotest.OneByteReader(strings.NewReader("a,10,50,north\ng,60\n")),
	} {
		rows := readCSV("patients.csv", input)
		rows.columns = []string{"id", "dose", "age", "centre"}
		records := 0
		var err error
		for err == nil {
			if _, err = rows.Next(); err == nil {
				records++
			}
		}
		if !errors.Is(err, io.EOF) || records != 2 {
			t.Errorf("%T: %d records, error %v; want 2 and the end", input, records, err)
		}
	}
}

func TestHeaderWithoutRecords(t *testing.T) {
	m, skipped, err := Load(parse(t, ageStudy), file(t, "id,dose,age,centre\n"))
	if err != nil || m.Rows() != 0 || len(skipped) != 0 {
		t.Errorf("rows %d, skipped %v, error %v; want none", m.Rows(), skipped, err)
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	_, err := CSV(filepath.Join(t.TempDir(), "absent.csv")).Open()
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "absent.csv") {
		t.Errorf("error %v", err)
	}
}

func TestFolderIsNotAFile(t *testing.T) {
	if _, err := CSV(t.TempDir()).Open(); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("error %v", err)
	}
}

// A disk that fails in the middle is not the end of the file.
func TestReadErrorIsNotTheEnd(t *testing.T) {
	broken := errors.New("disk on fire")
	content := "id,dose,age,centre\na,10,50,north\nb,20,60,\"nor"
	rows, err := newCSVRows("patients.csv", io.MultiReader(strings.NewReader(content), failing{broken}))
	for err == nil {
		_, err = rows.Next()
	}
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the disk's", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Every cut of a file either loads rows that the whole file has, or is refused;
// no cut invents a record, except that the last number may lose digits when the
// cut leaves every cell of its record in place.
func TestEveryCutOfAFile(t *testing.T) {
	s := parse(t, ageStudy)
	const content = "centre,dose,age,id\nnorth,10,50,\"a \"\"x\"\"\"\n\"south, upper\",20,60,b\nwest,30,70,\"two\nlines\"\n"
	whole, _, err := Load(s, file(t, content))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for n := range len(content) {
		m, _, err := Load(s, file(t, content[:n]))
		if err != nil {
			refused++
			continue
		}
		for i, row := range design(m) {
			if diff := cmp.Diff(design(whole)[i], row); diff != "" {
				t.Errorf("cut after %d bytes, row %d (-want +got):\n%s", n, i, diff)
			}
		}
	}
	if refused == 0 || refused == len(content) {
		t.Errorf("%d of %d cuts refused", refused, len(content))
	}
}

// A million records load in seconds. The skip counts are known by construction.
func TestMillionRecords(t *testing.T) {
	const records = 1_000_000
	path := filepath.Join(t.TempDir(), "patients.csv")
	writeMany(t, path, records)
	start := time.Now()
	m, skipped, err := Load(parse(t, wideStudy()), CSV(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records of %d columns in %v", records, wideColumns+2, time.Since(start).Round(time.Millisecond))
	want := map[study.SkipReason]int{study.OutOfRange: records / 1000, study.MissingOutcome: records / 1000}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if want := records - 2*records/1000; m.Rows() != want {
		t.Errorf("%d rows, want %d", m.Rows(), want)
	}
}

const wideColumns = 18

func wideStudy() string {
	var b strings.Builder
	b.WriteString("study: wide\nversion: 1\noutcome: {column: y, type: number, range: [0, 1000000]}\nfeatures:\n")
	for i := range wideColumns {
		if i%3 == 0 {
			fmt.Fprintf(&b, "  - {column: x%d, type: category, levels: [low, middle, high]}\n", i)
		} else {
			fmt.Fprintf(&b, "  - {column: x%d, type: number, range: [0, 200]}\n", i)
		}
	}
	b.WriteString("model: {kind: glm, family: gaussian}\n")
	return b.String()
}

func writeMany(t testing.TB, path string, records int) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	w.WriteString("id,y")
	for i := range wideColumns {
		fmt.Fprintf(w, ",x%d", i)
	}
	w.WriteByte('\n')
	var cells bytes.Buffer
	for i := range wideColumns {
		if i%3 == 0 {
			cells.WriteString("," + []string{"low", "middle", "high"}[i/3%3])
		} else {
			fmt.Fprintf(&cells, ",%d.%d", 50+i, i)
		}
	}
	usual, odd := cells.String(), strings.Replace(cells.String(), ",51.1", ",5100", 1)
	for i := range records {
		switch i % 1000 {
		case 0:
			fmt.Fprintf(w, "%d,%d%s\n", i, i, odd)
		case 1:
			fmt.Fprintf(w, "%d,%s\n", i, usual)
		default:
			fmt.Fprintf(w, "%d,%d%s\n", i, i, usual)
		}
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
}
