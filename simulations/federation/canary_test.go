package federation

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/internal/records"
)

// Canaries are values that occur in one record each and nowhere else.
var (
	canaryWords   = []string{"canary-subject-7f3a", "canary-sex-91bd", "canary-weight-c4e2", "canary-genotype-55d0"}
	canaryNumbers = []float64{171.38461529, 83.71930462, 37.4192837465}
)

// No canary may be in anything but the records: not in a log, not in any file
// of any member's folder (stores, vaults, outboxes, ledger, releases), not in
// the evidence, not in a result. The one exception is the hospital's comparison
// of the release with its own patients, which is made for its own people and
// where a group of one patient shows that patient. Whatever crosses the network unencrypted is in
// the coordinator's store or its log. What the test does not see: memory, and
// messages that the coordinator refuses without storing them.
func TestNoCanaryLeavesTheRecords(t *testing.T) {
	sites := hospitals(t, 4, 600)
	plantCanaries(t, &sites[1])

	dir := t.TempDir()
	var logs bytes.Buffer
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(zapcore.AddSync(&logs)), zap.DebugLevel))
	result := run(t, Spec{
		Protocol: protocol(t, "warfarin-dose.yaml"), Sites: sites,
		Dir: filepath.Join(dir, "consortium"), Bundle: filepath.Join(dir, "bundle"), Logger: logger,
	})
	if result.Sites[1].Skipped["not_a_number"] == 0 || result.Sites[1].Skipped["undeclared_level"] == 0 {
		t.Fatalf("the canaries were not read: %v", result.Sites[1].Skipped)
	}
	if logs.Len() == 0 {
		t.Fatal("nothing was logged")
	}

	searched := map[string][]byte{"the logs": logs.Bytes(), "the page": result.Page, "the result's page": result.ResultPage, "the card": result.Card, "the card's XML": result.CardXML, "the audit": result.SignedAudit, "the release": result.SignedRelease}
	var folders []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name := filepath.ToSlash(strings.TrimPrefix(path, dir))
		searched[name] = content
		folders = append(folders, strings.Split(name, "/")[1])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"consortium", "bundle"} {
		if !slices.Contains(folders, folder) {
			t.Fatalf("nothing was searched in %s", folder)
		}
	}
	for name, content := range searched {
		if strings.HasPrefix(name, "/consortium/sites/"+sites[1].Name+"/releases/") && strings.HasPrefix(filepath.Base(name), "comparison.") {
			continue
		}
		if found := canaryIn(content); found != "" {
			t.Errorf("%s holds the canary %s", name, found)
		}
	}
	t.Logf("%d files searched", len(searched))

	t.Run("the search finds what is there", func(t *testing.T) {
		for _, word := range canaryWords {
			if canaryIn([]byte("x"+strings.ToUpper(word)+"y")) == "" {
				t.Errorf("%s was not found", word)
			}
		}
		for _, x := range canaryNumbers {
			if canaryIn([]byte(strconv.FormatFloat(x, 'e', 6, 64))) == "" || canaryIn(binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))) == "" {
				t.Errorf("%g was not found", x)
			}
		}
	})
}

// A damaged file is refused in words that hold nothing of it.
func TestNoCanaryInErrors(t *testing.T) {
	header := "site,subject_id,age_decade\n"
	for name, file := range map[string]string{
		"quotation mark inside": header + "1," + canaryWords[0] + `"x,3` + "\n",
		"never closed":          header + `1,"` + canaryWords[0] + ",3\n",
		"cut short":             header + "1," + canaryWords[0],
		"no site":               header + "1," + canaryWords[0] + ",3\n" + canaryWords[1] + "/..," + canaryWords[2] + ",4\n",
		"no site column":        "a,b\n" + canaryWords[0] + "," + canaryWords[1] + "\n",
		"no header":             canaryWords[0] + "," + canaryWords[1] + "\n",
	} {
		path := filepath.Join(t.TempDir(), "patients.csv")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Split(records.CSV(path), "site")
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if found := canaryIn([]byte(err.Error())); found != "" {
			t.Errorf("%s: the error holds %s: %v", name, found, err)
		}
	}
}

// plantCanaries changes four records of a site: one is usable and carries the
// numbers, three are skipped, each for a canary.
func plantCanaries(t *testing.T, site *Site) {
	t.Helper()
	rows, err := site.Records.Open()
	if err != nil {
		t.Fatal(err)
	}
	columns := rows.Columns()
	var all [][]string
	for record, err := rows.Next(); err == nil; record, err = rows.Next() {
		all = append(all, slices.Clone(record))
	}
	set := func(row int, column, value string) {
		at := slices.Index(columns, column)
		if at < 0 || row >= len(all) {
			t.Fatalf("no row %d or no column %s", row, column)
		}
		all[row][at] = value
	}
	for row := range 3 {
		for column, value := range map[string]string{
			"subject_id": canaryWords[0] + strconv.Itoa(row), "sex": canaryWords[1],
			"height_cm": decimal(canaryNumbers[0]), "weight_kg": decimal(canaryNumbers[1]), "weekly_dose_mg": decimal(canaryNumbers[2]),
			"vkorc1_1639": "A/G", "cyp2c9": "*1/*1", "enzyme_inducer": "0", "amiodarone": "0", "complete_case": "1",
		} {
			set(row, column, value)
		}
	}
	set(1, "weight_kg", canaryWords[2])
	set(2, "cyp2c9", canaryWords[3])
	site.Records = records.Memory(columns, all)
}

// canaryIn names the first canary in some bytes: a word in any case, or a
// number to seven digits as text or as the bits of a float64.
func canaryIn(content []byte) string {
	lower := bytes.ToLower(content)
	for _, word := range canaryWords {
		if bytes.Contains(lower, []byte(word)) {
			return word
		}
	}
	for _, x := range canaryNumbers {
		digits := strconv.FormatFloat(x, 'f', -1, 64)
		mantissa := strings.Replace(digits, ".", "", 1)[:7]
		for _, text := range []string{digits[:8], mantissa, mantissa[:1] + "." + mantissa[1:]} {
			if bytes.Contains(lower, []byte(text)) {
				return digits
			}
		}
		bits := math.Float64bits(x)
		if bytes.Contains(content, binary.LittleEndian.AppendUint64(nil, bits)) || bytes.Contains(content, binary.BigEndian.AppendUint64(nil, bits)) {
			return digits
		}
	}
	return ""
}
