package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/simulations/cohort"
)

const demonstrations = "../../demo/"

// patients writes a synthetic table and returns its path.
func patients(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patients.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := cohort.Generate(cohort.Default(n), 3).WriteCSV(file); err != nil {
		t.Fatal(err)
	}
	return path
}

// simulateOnce runs a command line and returns its exit code and what it printed.
func simulateOnce(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code = run(t.Context(), args, &out, &complaint)
	return code, out.String(), complaint.String()
}

func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// The keys of result.json are an interface: each has to be there, with a value.
func TestRunWritesEverything(t *testing.T) {
	data, out := patients(t, 900), filepath.Join(t.TempDir(), "new", "folder")
	code, stdout, stderr := simulateOnce(t, "run", "--study", demonstrations+"warfarin-dose.yaml", "--data", data,
		"--site-column", "site", "--out", out, "--seed", "11", "--predict", data, "--json")
	if code != console.ExitOK {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	result := readJSON(t, filepath.Join(out, "result.json"))
	for _, path := range []string{
		"study.digest", "seed", "cipher", "sites.0.name", "sites.0.rows", "sites.0.skipped",
		"rounds.0.id", "rounds.0.question", "rounds.0.step", "rounds.0.state", "rounds.0.contributors.5", "rounds.0.bytes_up", "rounds.0.seconds",
		"model.kind", "model.family", "model.n", "model.terms.15.name", "model.terms.0.estimate", "model.terms.0.std_error",
		"model.terms.0.statistic", "model.terms.0.p_value", "model.deviance", "model.iterations",
		"fairness.groups.0.attribute", "fairness.groups.0.level", "fairness.groups.0.n", "fairness.groups.0.state", "fairness.groups.0.metrics.mae", "fairness.gaps.0.verdict",
		"release.digest", "release.accepted", "release.refused", "ledger.size", "ledger.root", "verification.holds", "seconds",
	} {
		if at(result, path) == nil {
			t.Errorf("result.json has no %s", path)
		}
	}
	if at(result, "seed") != 11.0 || !strings.Contains(stderr, "seed 11") {
		t.Error("the seed is not stored and printed")
	}
	if name := at(result, "model.terms.0.name"); name != "(intercept)" {
		t.Errorf("the first term is %v", name)
	}
	var printed map[string]any
	if err := json.Unmarshal([]byte(stdout), &printed); err != nil || at(printed, "study.digest") != at(result, "study.digest") {
		t.Errorf("--json printed something else than result.json: %v", err)
	}
	for _, name := range []string{"result.html", "report.html", "result.pdf", "report.pdf", "card.md", "card.xml", "card.pdf", "audit.json", "release.json", "bundle/checkpoint", "bundle/study.yaml"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not written", name)
		}
	}
	file, err := os.Open(filepath.Join(out, "predictions.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) != 901 || strings.Join(lines[0], ",") != "row,prediction,lower,upper" || lines[1][0] != "1" {
		t.Errorf("predictions.csv has %d lines, the first %v: %v", len(lines), lines[0], err)
	}
}

// at follows a path of keys and indices.
func at(value any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			var i int
			if err := json.Unmarshal([]byte(key), &i); err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func TestDiagnosisHasItsOwnExitCode(t *testing.T) {
	// Of so few patients nobody with two variant alleles needs a high dose.
	source, err := os.ReadFile(demonstrations + "high-dose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	gathered, apart := `{two_variant_alleles: ["*2/*2", "*2/*3", "*3/*3"]}`, `"*2/*2", "*2/*3", "*3/*3"`
	study := filepath.Join(t.TempDir(), "study.yaml")
	if err := os.WriteFile(study, []byte(strings.Replace(string(source), gathered, apart, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	code, _, stderr := simulateOnce(t, "run", "--study", study, "--data", patients(t, 900), "--site-column", "site", "--out", out)
	if code != exitDiagnosed {
		t.Fatalf("exit code %d, want %d\n%s", code, exitDiagnosed, stderr)
	}
	result := readJSON(t, filepath.Join(out, "result.json"))
	if page, err := os.ReadFile(filepath.Join(out, "result.html")); err != nil || !strings.Contains(string(page), "Why there is no model") {
		t.Errorf("result.html does not say why there is no model: %v", err)
	}
	if at(result, "diagnosis.kind") == nil || at(result, "diagnosis.message") == nil || result["model"] != nil || result["release"] != nil {
		t.Errorf("diagnosis %v, model %v, release %v", result["diagnosis"], result["model"], result["release"])
	}
	explained := strings.Split(strings.TrimRight(stderr, "\n"), "\n")
	for i, start := range []string{"error: the study has no model: ", "  why:  ", "  next: "} {
		if line := explained[len(explained)-3+i]; !strings.HasPrefix(line, start) {
			t.Errorf("line %d is %q, want it to begin with %q", i+1, line, start)
		}
	}
}

func TestAbandonedStudyIsAFailureWithAResult(t *testing.T) {
	out := t.TempDir()
	code, _, stderr := simulateOnce(t, "run", "--study", demonstrations+"warfarin-dose.yaml", "--data", patients(t, 600), "--site-column", "site", "--out", out,
		"--drop", "harbour-city@opening", "--drop", "hill-county@opening")
	if code != console.ExitFailed {
		t.Fatalf("exit code %d, want %d\n%s", code, console.ExitFailed, stderr)
	}
	result := readJSON(t, filepath.Join(out, "result.json"))
	if at(result, "rounds.0.state") != "abandoned" || at(result, "rounds.0.reason") == nil ||
		at(result, "rounds.0.missing.0") != "harbour-city" || at(result, "rounds.0.missing.1") != "hill-county" {
		t.Errorf("rounds %v", result["rounds"])
	}
	if _, err := os.Stat(filepath.Join(out, "release.json")); err == nil {
		t.Error("an abandoned study has a release")
	}
}

func TestCommandLineIsStrict(t *testing.T) {
	data, out := patients(t, 10), t.TempDir()
	complete := []string{"run", "--study", demonstrations + "warfarin-dose.yaml", "--data", data, "--site-column", "site", "--out", out}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown command":  {[]string{"walk"}, console.ExitUsage, `there is no command "simulate walk"`},
		"unknown flag":     {append(complete[:len(complete):len(complete)], "--sede", "1"), console.ExitUsage, "--sede"},
		"missing flag":     {complete[:7], console.ExitUsage, "--out is missing"},
		"argument":         {append(complete[:len(complete):len(complete)], "more"), console.ExitUsage, `"more"`},
		"cipher":           {append(complete[:len(complete):len(complete)], "--cipher=none"), console.ExitUsage, "on or off"},
		"drop":             {append(complete[:len(complete):len(complete)], "--drop", "7"), console.ExitUsage, "SITE@collecting"},
		"seed":             {append(complete[:len(complete):len(complete)], "--seed", "x"), console.ExitUsage, "--seed"},
		"no study":         {[]string{"run", "--study", "none.yaml", "--data", data, "--site-column", "site", "--out", out}, console.ExitFailed, "none.yaml"},
		"no data":          {[]string{"run", "--study", complete[2], "--data", "none.csv", "--site-column", "site", "--out", out}, console.ExitFailed, "none.csv"},
		"a column's case":  {[]string{"run", "--study", complete[2], "--data", data, "--site-column", "Site", "--out", out}, console.ExitFailed, `did you mean "site"?`},
		"no such column":   {[]string{"run", "--study", complete[2], "--data", data, "--site-column", "hospital", "--out", out}, console.ExitFailed, `no column "hospital"`},
		"drop of nobody":   {append(complete[:len(complete):len(complete)], "--drop", "nobody@opening"), console.ExitFailed, "no such site"},
		"study not a file": {[]string{"run", "--study", data, "--data", data, "--site-column", "site", "--out", out}, console.ExitFailed, "patients.csv:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := simulateOnce(t, test.args...)
			if code != test.code || !strings.Contains(stderr, test.says) || !strings.Contains(stderr, "error: ") || !strings.Contains(stderr, "\n  next: ") {
				t.Errorf("exit code %d, want %d and words of %q:\n%s", code, test.code, test.says, stderr)
			}
			if _, err := os.Stat(filepath.Join(out, "result.json")); err == nil {
				t.Error("there is a result")
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"run", "--help"}} {
		code, stdout, _ := simulateOnce(t, args...)
		if code != console.ExitOK || !strings.Contains(stdout, "run") {
			t.Errorf("%v: exit code %d\n%s", args, code, stdout)
		}
	}
	_, stdout, _ := simulateOnce(t, "run", "--help")
	for _, word := range []string{"result.json", "--drop", "--cipher", "Exit codes", "simulate run --study"} {
		if !strings.Contains(stdout, word) {
			t.Errorf("the help of run does not mention %s", word)
		}
	}
}

// variant writes a copy of a demonstration study with one text replaced.
func variant(t *testing.T, name, old, new string) string {
	t.Helper()
	source, err := os.ReadFile(demonstrations + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), old) {
		t.Fatalf("%s has no %q", name, old)
	}
	path := filepath.Join(t.TempDir(), "study.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(source), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A study that only counts has a cohort, and neither a model nor a report.
func TestADescriptionHasItsCounts(t *testing.T) {
	out := t.TempDir()
	code, _, stderr := simulateOnce(t, "run", "--study", variant(t, "warfarin-dose.yaml", "model: {kind: glm, family: gaussian, ridge: 0}", "model: {kind: describe}"),
		"--data", patients(t, 900), "--site-column", "site", "--out", out)
	if code != console.ExitOK || strings.Contains(stderr, "report.html") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	result := readJSON(t, filepath.Join(out, "result.json"))
	if page, err := os.ReadFile(filepath.Join(out, "result.html")); err != nil || !strings.Contains(string(page), "Distributions") || !strings.Contains(string(page), "What was asked") {
		t.Errorf("result.html does not describe the patients: %v", err)
	}
	if at(result, "cohort.patients.n") == nil || at(result, "cohort.features.3.levels.0.count.n") == nil || at(result, "model") != nil {
		t.Errorf("cohort %v, model %v", at(result, "cohort"), at(result, "model"))
	}
}

// A level that nobody has is left out of the model, by name.
func TestAnEmptyLevelIsNamed(t *testing.T) {
	out := t.TempDir()
	code, _, stderr := simulateOnce(t, "run", "--study", variant(t, "warfarin-dose.yaml", "levels: [G/G, A/G, A/A]", "levels: [G/G, A/G, A/A, X/X]"),
		"--data", patients(t, 900), "--site-column", "site", "--out", out)
	if code != console.ExitOK || !strings.Contains(stderr, "remark: empty-level (vkorc1_1639=X/X)") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	result := readJSON(t, filepath.Join(out, "result.json"))
	if at(result, "diagnoses.0.kind") != "empty-level" || at(result, "model.dropped.0") != "vkorc1_1639=X/X" || at(result, "model.terms.15.name") == nil {
		t.Errorf("diagnoses %v, dropped %v", at(result, "diagnoses"), at(result, "model.dropped"))
	}
}
