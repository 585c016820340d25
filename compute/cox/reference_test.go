package cox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/internal/publicdata"
)

// reference is a fit in the files beside the data, solved in 40-digit
// arithmetic.
type reference struct {
	N      int
	Events int
	Coef   map[string]float64
	SE     map[string]float64
	Null   float64 `json:"loglik_null"`
	Full   float64 `json:"loglik"`
}

func references(t *testing.T, path ...string) map[string]reference {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{publicdata.Dir(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]reference{}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// agree compares a model with a reference; names are the reference's.
func agree(t *testing.T, m *Model, want reference, names ...string) {
	t.Helper()
	if want.N == 0 || m.N != want.N || m.Events == nil || *m.Events != want.Events {
		t.Errorf("%d patients and %v events, want %d and %d", m.N, m.Events, want.N, want.Events)
	}
	near(t, "log-likelihood", m.LogLikelihood, want.Full, 1e-12)
	near(t, "null log-likelihood", m.NullLogLikelihood, want.Null, 1e-12)
	for j, name := range names {
		if _, ok := want.Coef[name]; !ok {
			t.Fatalf("the reference has no %s", name)
		}
		near(t, "coefficient of "+name, m.Terms[j].Estimate, want.Coef[name], 1e-9)
		near(t, "standard error of "+name, m.Terms[j].StdError, want.SE[name], 1e-9)
	}
}

const lung = `
study: lung
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1100], unit: d%s}, event: {column: status, positive: ["2"], negative: ["1"]}}
features:
  - {column: age, type: number, range: [18, 100]}
  - {column: sex, type: number, range: [1, 2]}
  - {column: ph.ecog, type: number, range: [0, 4]}
model: {kind: cox, stratify: %s, ties: %s}
fairness: {attributes: [{column: sex, levels: ["1", "2"]}], minimum_cell: 1}
`

// Eighteen hospitals, of which some have two patients.
func TestLungStratifiedByHospital(t *testing.T) {
	d, want := readCSV(t, "survival", "lung.csv"), references(t, "survival", "reference_cox.json")
	for _, ties := range []string{"efron", "breslow"} {
		s := parse(t, fmt.Sprintf(lung, "", "site", ties))
		m := fit(t, s, divide(t, s, d, by(d, "inst")))
		agree(t, m, want["lung_stratified_by_inst_"+ties], "age", "sex", "ph.ecog")
		if m.Contributors != 18 {
			t.Errorf("%d hospitals", m.Contributors)
		}
	}
}

// With a minimum cell of one and a grid as fine as the times, the shared
// baseline gives the partial likelihood of the pooled patients.
func TestLungWithASharedBaseline(t *testing.T) {
	d, want := readCSV(t, "survival", "lung.csv"), references(t, "survival", "reference_cox.json")
	// Times in whole days up to 1022: a grid of at most a thousand steps holds
	// those that occur.
	grid := fmt.Sprintf(", grid: %s", occurring(d, "time"))
	for _, ties := range []string{"efron", "breslow"} {
		s := parse(t, fmt.Sprintf(lung, grid, "none", ties))
		m := fit(t, s, divide(t, s, d, func(i int, _ []string) string { return strconv.Itoa(i % 5) }))
		agree(t, m, want["lung_"+ties], "age", "sex", "ph.ecog")
	}
}

// occurring lists the values of a column, ascending.
func occurring(d table, column string) string {
	known := map[int]bool{}
	top := 0
	for _, r := range d.records {
		v, _ := strconv.Atoi(r[d.at(column)])
		known[v] = true
		top = max(top, v)
	}
	list := "["
	for v := 1; v <= top; v++ {
		if known[v] {
			if list != "[" {
				list += ", "
			}
			list += strconv.Itoa(v)
		}
	}
	return list + "]"
}

// Two cohorts that were recruited differently: Rotterdam and the German Breast
// Cancer Study Group.
func TestTwoBreastCancerCohorts(t *testing.T) {
	rotterdam, gbsg := readCSV(t, "survival", "rotterdam.csv"), readCSV(t, "survival", "gbsg.csv")
	all := table{columns: []string{"site", "time", "event", "hormon", "age", "meno", "grade", "nodes", "pgr", "er"}}
	hundredth := func(text string) string {
		x, _ := strconv.ParseFloat(text, 64)
		return strconv.FormatFloat(x/100, 'g', -1, 64)
	}
	add := func(d table, r []string, site, time, event string) {
		cell := func(column string) string { return r[d.at(column)] }
		all.records = append(all.records, []string{site, time, event, cell("hormon"), cell("age"), cell("meno"), cell("grade"), cell("nodes"), hundredth(cell("pgr")), hundredth(cell("er"))})
	}
	for _, r := range rotterdam.records {
		time, event := r[rotterdam.at("dtime")], r[rotterdam.at("death")]
		if r[rotterdam.at("recur")] == "1" {
			time, event = r[rotterdam.at("rtime")], "1"
		}
		add(rotterdam, r, "rotterdam", time, event)
	}
	for _, r := range gbsg.records {
		add(gbsg, r, "gbsg", r[gbsg.at("rfstime")], r[gbsg.at("status")])
	}
	s := parse(t, `
study: breast
version: 1
outcome: {type: survival, time: {column: time, range: [0, 10000]}, event: {column: event, positive: ["1"]}}
features:
  - {column: hormon, type: number, range: [0, 1]}
  - {column: age, type: number, range: [18, 100]}
  - {column: meno, type: number, range: [0, 1]}
  - {column: grade, type: number, range: [1, 3]}
  - {column: nodes, type: number, range: [0, 60]}
  - {column: pgr, type: number, range: [0, 60]}
  - {column: er, type: number, range: [0, 60]}
model: {kind: cox, stratify: site, ties: efron}
privacy: {minimum_contributors: 2}
`)
	m := fit(t, s, divide(t, s, all, by(all, "site")))
	agree(t, m, references(t, "survival", "reference_cox.json")["breast_rotterdam_plus_gbsg_stratified_efron"],
		"hormon", "age", "meno", "grade", "nodes", "pgr/100", "er/100")
}

const actg175 = `
study: actg175
version: 1
outcome: {type: survival, time: {column: days, range: [0, 1300], grid: {step: 26}}, event: {column: cens, positive: ["1"]}}
features:
  - {column: arms, type: category, levels: ["0", "1", "2", "3"]}
model: {kind: cox, stratify: site, ties: efron}
fairness: {attributes: [{column: gender, levels: ["0", "1"]}], minimum_cell: 11}
`

// A trial of four arms, each stratum of antiretroviral history a site.
func TestTrialStratifiedByHistory(t *testing.T) {
	d := readCSV(t, "actg175", "actg175.csv")
	s := parse(t, actg175)
	m := fit(t, s, divide(t, s, d, by(d, "strat")))
	agree(t, m, references(t, "actg175", "reference_cox.json")["arms_vs_zdv_stratified_by_strat_efron"],
		"arm1_zdv+ddI", "arm2_zdv+zal", "arm3_ddI")
	if m.RMST == nil || m.RMST.Reference != "0" || len(m.RMST.Differences) != 3 || m.RMST.Differences[0].Estimate <= 0 {
		t.Errorf("restricted mean survival times %+v", m.RMST)
	}
}
