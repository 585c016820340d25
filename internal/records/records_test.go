package records

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/study"
)

func TestMemoryGivesTheSameRecordsEachTime(t *testing.T) {
	src := Memory([]string{"dose", "age", "centre"}, [][]string{{"10", "50", "north"}, {"20", "60", "elsewhere"}})
	for range 2 {
		m, skipped, err := Load(parse(t, ageStudy), src)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]float64{{10, 1, 50, 0, 0}}, design(m)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[study.SkipReason]int{study.UndeclaredLevel: 1}, skipped); diff != "" {
			t.Errorf("skipped (-want +got):\n%s", diff)
		}
	}
}

// No value of this package prints a record, in any verb, log field or encoding.
func TestNothingPrintsARecord(t *testing.T) {
	columns := []string{"dose", "age", "centre"}
	memory := Memory(columns, [][]string{{canary, canary, canary}})
	csv := file(t, "dose,age,centre\n"+canary+","+canary+","+canary+"\n")
	for _, src := range []Source{memory, csv} {
		rows, err := src.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if _, err := rows.Next(); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zapcore.DebugLevel)
		logger := zap.New(core)
		encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		for _, v := range []any{src, rows} {
			text := fmt.Sprintf("%v %+v %#v %s %q %x %d", v, v, v, v, v, v, v)
			text += fmt.Sprintf("%+v %#v", struct{ Source any }{v}, []any{v})
			if src, ok := v.(Source); ok {
				hidden := struct{ source Source }{src} // as an agent keeps it
				text += fmt.Sprintf("%v %+v %#v %s %q %x %d", hidden, hidden, hidden, hidden, hidden, hidden, hidden)
			}
			encoded, _ := json.Marshal(v)
			var lines bytes.Buffer
			slog.New(slog.NewTextHandler(&lines, nil)).Info("seen", "value", v)
			slog.New(slog.NewJSONHandler(&lines, nil)).Info("seen", "value", v)
			text += lines.String()
			logger.Info("seen", zap.Any("any", v), zap.Reflect("reflect", v))
			for _, entry := range logs.All() {
				line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
				if err != nil {
					t.Fatal(err)
				}
				text += line.String()
			}
			if text += string(encoded); strings.Contains(text, canary) {
				t.Errorf("%T prints a record: %s", v, text)
			}
		}
	}
}

func demoStudy(t testing.TB, name string) *study.Study {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("..", "..", "simulations", "demo", name))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(src))
}

// The demonstration's studies take from the consortium's data exactly the
// complete cases, at each site as many as its description counts.
func TestPublishedWarfarinCohort(t *testing.T) {
	path := filepath.Join(publicdata.Dir(t), "iwpc", "iwpc_cohort5051_derived.csv")
	complete := map[string]int{
		"1": 365, "2": 31, "3": 721, "4": 193, "5": 297, "6": 255, "7": 421, "8": 198, "9": 0, "10": 0, "11": 91,
		"12": 124, "13": 0, "14": 281, "15": 197, "16": 81, "17": 87, "18": 0, "19": 192, "20": 89, "21": 275,
	}
	for name, terms := range map[string]int{"warfarin-dose.yaml": 16, "high-dose.yaml": 14} {
		t.Run(name, func(t *testing.T) {
			s := demoStudy(t, name)
			if got := len(s.Terms()); got != terms {
				t.Errorf("%d terms, want %d", got, terms)
			}
			m, skipped, err := Load(s, CSV(path))
			if err != nil {
				t.Fatal(err)
			}
			if m.Rows() != 3898 {
				t.Errorf("%d usable rows, want 3898", m.Rows())
			}
			if diff := cmp.Diff(map[study.SkipReason]int{study.Excluded: 5051 - 3898}, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
			if name == "high-dose.yaml" {
				high := 0.0
				for i := range m.Rows() {
					high += m.Outcome(i)
				}
				if high != 490 {
					t.Errorf("%v patients with a high dose, want 490", high)
				}
			}
			columns, sites := bySite(t, path)
			for site, want := range complete {
				m, _, err := Load(s, Memory(columns, sites[site]))
				if err != nil {
					t.Fatal(err)
				}
				if m.Rows() != want {
					t.Errorf("site %s has %d usable rows, want %d", site, m.Rows(), want)
				}
			}
			if len(sites) != len(complete) {
				t.Errorf("%d sites, want %d", len(sites), len(complete))
			}
		})
	}
}

// The design matrix of the published cohort, summed term by term, against the
// first row of the reference Gram matrix: X'X for the intercept, and X'y.
func TestPublishedDesignMatrix(t *testing.T) {
	dir := publicdata.Dir(t)
	var reference struct {
		OLS struct {
			Gram struct {
				XtX [][]float64 `json:"xtx"`
				Xty []float64   `json:"xty"`
			} `json:"gram"`
		} `json:"ols"`
	}
	raw, err := os.ReadFile(filepath.Join(dir, "iwpc", "reference_glm.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &reference); err != nil {
		t.Fatal(err)
	}
	s := demoStudy(t, "warfarin-dose.yaml")
	m, _, err := Load(s, CSV(filepath.Join(dir, "iwpc", "iwpc_cohort5051_derived.csv")))
	if err != nil {
		t.Fatal(err)
	}
	p := len(s.Terms())
	xty, xtx := make([]float64, p), make([][]float64, p)
	for j := range xtx {
		xtx[j] = make([]float64, p)
	}
	for i := range m.Rows() {
		row, y := m.Row(i), s.Outcome.Transform(m.Outcome(i))
		for j := range row {
			xty[j] += row[j] * y
			for k := range row {
				xtx[j][k] += row[j] * row[k]
			}
		}
	}
	if len(reference.OLS.Gram.XtX) != p {
		t.Fatalf("the reference has %d terms, the study %d", len(reference.OLS.Gram.XtX), p)
	}
	for j := range p {
		near(t, "X'y "+strconv.Itoa(j), xty[j], reference.OLS.Gram.Xty[j])
		for k := range p {
			near(t, fmt.Sprintf("X'X %d,%d", j, k), xtx[j][k], reference.OLS.Gram.XtX[j][k])
		}
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if diff := got - want; diff > 1e-9*(1+want) || diff < -1e-9*(1+want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// bySite splits a file by its column site.
func bySite(t *testing.T, path string) ([]string, map[string][][]string) {
	t.Helper()
	rows, err := CSV(path).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	site := -1
	for i, column := range rows.Columns() {
		if column == "site" {
			site = i
		}
	}
	sites := map[string][][]string{}
	for {
		record, err := rows.Next()
		if err != nil {
			return rows.Columns(), sites
		}
		sites[record[site]] = append(sites[record[site]], append([]string(nil), record...))
	}
}
