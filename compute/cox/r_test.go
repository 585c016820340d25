package cox

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// answers are what R's survival says of the same records.
type answers struct {
	Coef        []float64 `json:"coef"`
	SE          []float64 `json:"se"`
	ModelSE     []float64 `json:"model_se"`
	LogLik      []float64 `json:"loglik"`
	Score       float64   `json:"score"`
	Wald        float64   `json:"wald"`
	RobustWald  float64   `json:"robust_wald"`
	AIC         float64   `json:"aic"`
	Concordance []float64 `json:"concordance"` // estimate, standard error
	Clustered   float64   `json:"clustered"`   // standard error of the concordance
	Pairs       []float64 `json:"pairs"`       // concordant, discordant, tied
	Proportion  []float64 `json:"zph"`         // chi-squared by term, then global
	Hazards     []float64 `json:"hazards"`     // of strata the mean, weighted by who is at risk in them
}

// The script reads a list of fits and prints an answer to each. Its factors are
// what the study declares as categories.
const script = `
suppressMessages(library(survival))
for (line in readLines(commandArgs(TRUE)[1])) {
a <- strsplit(line, "|", fixed=TRUE)[[1]]
d <- read.csv(a[1])
times <- as.numeric(strsplit(a[4], ",")[[1]])
leave <- as.numeric(strsplit(a[6], ",")[[1]])
up <- function(x, grid) sapply(x, function(t) min(grid[grid >= t]))
if (a[2] == "none") d$time <- ifelse(d$status == 1, up(d$time, times), up(d$time, leave))
strat <- a[2] == "site"
f <- as.formula(paste("Surv(time, status) ~", a[3], if (strat) "+ strata(site)"))
control <- coxph.control(eps=1e-14, toler.chol=1e-14, iter.max=60)
ties <- a[5]
fit <- coxph(f, d, ties=ties, control=control, x=TRUE)
rob <- coxph(f, d, ties=ties, control=control, cluster=site)
d$lp <- drop(fit$x %*% coef(fit))
con <- concordance(as.formula("Surv(exact, status) ~ lp + strata(site)"), d, reverse=TRUE)
byhospital <- concordance(as.formula("Surv(exact, status) ~ lp + strata(site)"), d, reverse=TRUE, cluster=site)
n <- if (is.matrix(con$count)) colSums(con$count) else con$count
z <- cox.zph(fit, transform=a[7], terms=TRUE)
centre <- sum(colMeans(fit$x) * coef(fit))
hazard <- risk0 <- rep(0, length(times))
groups <- if (strat) split(d, d$site) else list(d)
for (g in groups) {
  h <- rep(0, length(times))
  u <- exp(g$lp - centre)
  for (t in unique(g$time[g$status == 1])) {
    risk <- u[g$time >= t]
    dead <- u[g$time == t & g$status == 1]
    k <- length(dead)
    phi <- if (ties == "efron") (seq_len(k)-1)/k else rep(0, k)
    h <- h + (times >= t) * sum(1/(sum(risk) - phi*sum(dead)))
  }
  left <- sapply(c(-Inf, head(times, -1)), function(t) sum(g$time > t))
  if (strat) left[left < 2] <- 0
  hazard <- hazard + left*diff(c(0, h))
  risk0 <- risk0 + left
}
hazard <- cumsum(hazard/pmax(risk0, 1))
num <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse=","), "]")
one <- function(x) sprintf("%.17g", x)
cat(sprintf('{"coef":%s,"se":%s,"model_se":%s,"loglik":%s,"score":%s,"wald":%s,"robust_wald":%s,"aic":%s,"concordance":%s,"clustered":%s,"pairs":%s,"zph":%s,"hazards":%s}\n',
  num(coef(fit)), num(sqrt(diag(vcov(rob)))), num(sqrt(diag(vcov(fit)))), num(fit$loglik), one(fit$score), one(fit$wald.test), one(rob$wald.test), one(AIC(fit)),
  num(c(con$concordance, sqrt(con$var))), one(sqrt(byhospital$var)), num(n[1:3]), num(z$table[,1]), num(hazard)))
}
`

// question is a fit that R is asked for.
type question struct {
	name      string
	file      string
	stratify  string
	formula   string
	ties      string
	model     *Model
	transform string
	leave     []int // without strata: of the baseline's times, those at which the censored leave
}

func askR(t *testing.T, questions []question) (out []answers) {
	t.Helper()
	rscript, err := exec.LookPath("Rscript")
	if err != nil {
		t.Skip("Rscript is not installed: nothing to compare with")
	}
	if err := exec.Command(rscript, "-e", "library(survival)").Run(); err != nil {
		t.Skip("R has no package survival: nothing to compare with")
	}
	var lines []string
	for _, q := range questions {
		var times, leave []string
		for _, p := range q.model.Baseline {
			times = append(times, text(p.Time))
		}
		for _, k := range q.leave {
			leave = append(leave, times[k])
		}
		lines = append(lines, strings.Join([]string{q.file, q.stratify, q.formula, strings.Join(times, ","), q.ties, strings.Join(leave, ",") + ",Inf", q.transform}, "|"))
	}
	list := filepath.Join(t.TempDir(), "fits")
	if err := os.WriteFile(list, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	c := exec.Command(rscript, "-e", script, list)
	c.Stderr = &complaints
	text, err := c.Output()
	if err != nil {
		t.Fatal(err, complaints.String())
	}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var a answers
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	if len(out) != len(questions) {
		t.Fatalf("R answered %d of %d questions", len(out), len(questions))
	}
	return out
}

// write makes a file of records that R can read.
func write(t *testing.T, d table) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "records.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := csv.NewWriter(f).WriteAll(append([][]string{d.columns}, d.records...)); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// complete keeps the records that have all columns, and only these columns:
// the time, the event, whether it happened, and the rest; with a made-up site.
func complete(d table, time, event, happened string, columns []string, sites int) table {
	random := rand.New(rand.NewPCG(11, 13))
	out := table{columns: append([]string{"site", "exact", "time", "status"}, columns...)}
	for _, r := range d.records {
		status := "0"
		if r[d.at(event)] == happened {
			status = "1"
		}
		row := []string{fmt.Sprintf("s%02d", random.IntN(sites)), r[d.at(time)], r[d.at(time)], status}
		whole := r[d.at(time)] != ""
		for _, c := range columns {
			v := r[d.at(c)]
			whole = whole && v != "" && v != "NA"
			row = append(row, v)
		}
		if whole {
			out.records = append(out.records, row)
		}
	}
	return out
}

// Data sets that nobody tuned to, divided over made-up hospitals: pbc, colon
// (deaths), veteran, flchain with many ties, and times in whole years with more.
func TestAgainstR(t *testing.T) {
	if testing.Short() {
		t.Skip("R takes seconds")
	}
	var questions []question
	const number = "  - {column: %s, type: number, range: [%g, %g]}\n"
	for _, c := range []struct {
		file, time, event, happened string
		columns                     []string
		features, formula           string
		to                          float64
		sites                       int
		round                       float64 // times up to multiples of it: more ties
	}{
		{"veteran.csv", "time", "status", "1", []string{"trt", "celltype", "karno", "age"},
			"  - {column: trt, type: category, levels: [\"1\", \"2\"]}\n  - {column: celltype, type: category, levels: [adeno, large, smallcell, squamous]}\n" + fmt.Sprintf(number, "karno", 0., 100.) + fmt.Sprintf(number, "age", 18., 100.),
			"factor(trt)+factor(celltype)+karno+age", 1000, 4, 0},
		{"pbc.csv", "time", "status", "2", []string{"age", "sex", "edema", "bili", "albumin", "protime"},
			fmt.Sprintf(number, "age", 0., 120.) + "  - {column: sex, type: category, levels: [f, m]}\n" + fmt.Sprintf(number, "edema", 0., 1.) + fmt.Sprintf(number, "bili", 0., 100.) + fmt.Sprintf(number, "albumin", 0., 10.) + fmt.Sprintf(number, "protime", 0., 40.),
			"age+sex+edema+bili+albumin+protime", 5000, 5, 0},
		{"colon.csv", "time", "status", "1", []string{"rx", "sex", "age", "nodes", "extent"},
			"  - {column: rx, type: category, levels: [Lev, Lev+5FU, Obs]}\n" + fmt.Sprintf(number, "sex", 0., 1.) + fmt.Sprintf(number, "age", 0., 120.) + fmt.Sprintf(number, "nodes", 0., 50.) + fmt.Sprintf(number, "extent", 1., 4.),
			"factor(rx)+sex+age+nodes+extent", 3400, 7, 0},
		{"veteran.csv", "time", "status", "1", []string{"trt", "karno", "age"},
			fmt.Sprintf(number, "trt", 1., 2.) + fmt.Sprintf(number, "karno", 0., 100.) + fmt.Sprintf(number, "age", 18., 100.),
			"trt+karno+age", 1000, 3, 100},
		{"rotterdam.csv", "dtime", "death", "1", []string{"age", "nodes", "grade", "chemo"},
			fmt.Sprintf(number, "age", 0., 120.) + fmt.Sprintf(number, "nodes", 0., 60.) + fmt.Sprintf(number, "grade", 1., 3.) + fmt.Sprintf(number, "chemo", 0., 1.),
			"age+nodes+grade+chemo", 7500, 6, 365},
	} {
		d := complete(readCSV(t, "survival", c.file), c.time, c.event, c.happened, c.columns, c.sites)
		if c.round > 0 {
			for _, r := range d.records {
				x, _ := strconv.ParseFloat(r[1], 64)
				r[1] = strconv.FormatFloat(math.Ceil(x/c.round)*c.round, 'g', -1, 64)
				r[2] = r[1]
			}
		}
		file := write(t, d)
		for _, ties := range []string{"efron", "breslow"} {
			for _, v := range []struct {
				stratify  string
				cell      int
				transform string
			}{{"site", 9, "identity"}, {"site", 9, "log"}, {"none", 1, "identity"}, {"none", 9, "identity"}, {"none", 9, "log"}, {"none", 9, "km"}, {"none", 9, "rank"}} {
				if v.transform != "identity" && ties == "breslow" {
					continue // the transform does not depend on ties
				}
				least := 0.0
				if v.transform == "log" {
					least = 0.5 // of times in whole days
				}
				s := parse(t, fmt.Sprintf(`
study: against-r
version: 1
outcome: {type: survival, time: {column: time, range: [%g, %g], grid: {step: %g}}, event: {column: status, positive: ["1"]}}
features:
%smodel: {kind: cox, stratify: %s, ties: %s, standard_errors: robust, time_transform: %s}
fairness: {attributes: [{column: site, levels: [s01]}], minimum_cell: %d}
`, least, c.to, c.to/50, c.features, v.stratify, ties, v.transform, v.cell))
				name := fmt.Sprintf("%s/%g/%s/%s/cell=%d/%s", c.file, c.round, v.stratify, ties, v.cell, v.transform)
				m, f, err := federate(t, s, divide(t, s, d, by(d, "site")))
				if err != nil {
					t.Fatal(name, err)
				}
				questions = append(questions, question{name, file, v.stratify, c.formula, ties, m, v.transform, f.merged.Leave})
			}
		}
	}
	for i, want := range askR(t, questions) {
		t.Run(questions[i].name, func(t *testing.T) { compare(t, questions[i].model, want) })
	}
}

func compare(t *testing.T, m *Model, want answers) {
	t.Helper()
	if len(want.Coef) != len(m.Terms) {
		t.Fatalf("R has %d coefficients", len(want.Coef))
	}
	for j, term := range m.Terms {
		near(t, term.Name, term.Estimate, want.Coef[j], 1e-8)
		near(t, "standard error of "+term.Name, term.StdError, want.SE[j], 1e-8)
		near(t, "model's standard error of "+term.Name, *term.ModelError, want.ModelSE[j], 1e-8)
	}
	near(t, "null log-likelihood", m.NullLogLikelihood, want.LogLik[0], 1e-11)
	near(t, "log-likelihood", m.LogLikelihood, want.LogLik[1], 1e-11)
	near(t, "score test", m.Score.Statistic, want.Score, 1e-8)
	near(t, "Wald test", m.Wald.Statistic, want.Wald, 1e-7)
	if p, sites := len(m.Terms), m.Robust.Clusters; (m.Robust.Wald != nil) != (p < sites) {
		t.Errorf("a robust test %v of %d coefficients and %d hospitals", m.Robust.Wald, p, sites)
	} else if m.Robust.Wald != nil {
		near(t, "robust Wald test", m.Robust.Wald.Statistic, want.RobustWald, 1e-6)
		if m.Robust.Wald.DF != p {
			t.Errorf("robust Wald test on %d degrees of freedom", m.Robust.Wald.DF)
		}
	}
	near(t, "AIC", m.AIC, want.AIC, 1e-10)
	near(t, "concordance", m.Concordance.Estimate, want.Concordance[0], 1e-9)
	near(t, "its standard error", m.Concordance.StdError, want.Concordance[1], 1e-8)
	if m.Concordance.ClusteredError == nil {
		t.Error("the concordance has no clustered standard error")
	} else {
		near(t, "its clustered standard error", *m.Concordance.ClusteredError, want.Clustered, 1e-7)
	}
	for i, n := range []float64{m.Concordance.Concordant, m.Concordance.Discordant, m.Concordance.Tied} {
		near(t, "pairs", n, want.Pairs[i], 0)
	}
	if len(m.Proportional) != len(want.Proportion) {
		t.Fatalf("%d tests of proportional hazards, R has %d", len(m.Proportional), len(want.Proportion))
	}
	for i, p := range m.Proportional {
		near(t, "proportional hazards of "+p.Term, p.Statistic, want.Proportion[i], 1e-6)
	}
	for k, p := range m.Baseline {
		near(t, fmt.Sprintf("baseline at %v", p.Time), p.Hazard, want.Hazards[k], 1e-7)
	}
}
