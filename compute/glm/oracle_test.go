package glm

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// oracles are data sets that come with R, and fits of them. The R code makes a
// data frame d and a fit m.
var oracles = []struct{ name, data, fit, outcome, features, model string }{
	{"quine-poisson", `d <- MASS::quine`, `glm(Days ~ Eth + Sex + Age + Lrn, poisson, d)`,
		`{column: Days, type: count, range: [0, 365]}`,
		`{column: Eth, type: category, levels: [A, N], reference: A}, {column: Sex, type: category, levels: [F, M], reference: F}, {column: Age, type: category, levels: [F0, F1, F2, F3], reference: F0}, {column: Lrn, type: category, levels: [AL, SL], reference: AL}`,
		`family: poisson`},
	{"quine-negative-binomial", `d <- MASS::quine`, `nb(Days ~ Eth + Sex + Age + Lrn, d)`,
		`{column: Days, type: count, range: [0, 365]}`,
		`{column: Eth, type: category, levels: [A, N], reference: A}, {column: Sex, type: category, levels: [F, M], reference: F}, {column: Age, type: category, levels: [F0, F1, F2, F3], reference: F0}, {column: Lrn, type: category, levels: [AL, SL], reference: AL}`,
		`family: negative-binomial`},
	{"quine-interaction", `d <- MASS::quine`, `nb(Days ~ Eth + Sex + Lrn + Eth:Sex, d)`,
		`{column: Days, type: count, range: [0, 365]}`,
		`{column: Eth, type: category, levels: [A, N], reference: A}, {column: Sex, type: category, levels: [F, M], reference: F}, {column: Lrn, type: category, levels: [AL, SL], reference: AL}`,
		`family: negative-binomial, interactions: ["Eth:Sex"]`},
	{"epil", `d <- MASS::epil; d$lt <- log(d$period)`, `glm(y ~ trt + base + age + V4 + offset(lt), poisson, d)`,
		`{column: y, type: count, range: [0, 1000]}`,
		`{column: trt, type: category, levels: [placebo, progabide], reference: placebo}, {column: base, type: number, range: [0, 500]}, {column: age, type: number, range: [0, 120]}, {column: V4, type: number, range: [0, 1]}`,
		`family: poisson, offset: lt`},
	{"epil-negative-binomial", `d <- MASS::epil`, `nb(y ~ trt + base + age, d)`,
		`{column: y, type: count, range: [0, 1000]}`,
		`{column: trt, type: category, levels: [placebo, progabide], reference: placebo}, {column: base, type: number, range: [0, 500]}, {column: age, type: number, range: [0, 120]}`,
		`family: negative-binomial`},
	{"warpbreaks", `d <- warpbreaks`, `glm(breaks ~ wool + tension + wool:tension, poisson, d)`,
		`{column: breaks, type: count, range: [0, 200]}`,
		`{column: wool, type: category, levels: [A, B], reference: A}, {column: tension, type: category, levels: [L, M, H], reference: L}`,
		`family: poisson, interactions: ["wool:tension"]`},
	{"warpbreaks-gamma", `d <- warpbreaks`, `glm(breaks ~ wool + tension, Gamma("log"), d)`,
		`{column: breaks, type: number, range: [1, 200]}`,
		`{column: wool, type: category, levels: [A, B], reference: A}, {column: tension, type: category, levels: [L, M, H], reference: L}`,
		`family: gamma`},
	{"infert", `d <- infert`, `glm(case ~ age + parity + induced + spontaneous, binomial, d)`,
		`{column: case, type: binary, positive: ["1"]}`,
		`{column: age, type: number, range: [0, 100]}, {column: parity, type: number, range: [0, 20]}, {column: induced, type: number, range: [0, 10]}, {column: spontaneous, type: number, range: [0, 10]}`,
		`family: binomial`},
	{"infert-offset", `d <- infert; d$o <- d$spontaneous / 2`, `glm(case ~ age + parity + induced + offset(o), binomial, d)`,
		`{column: case, type: binary, positive: ["1"]}`,
		`{column: age, type: number, range: [0, 100]}, {column: parity, type: number, range: [0, 20]}, {column: induced, type: number, range: [0, 10]}`,
		`family: binomial, offset: o`},
	{"esoph", `d <- rbind(transform(esoph, y = 1, w = ncases), transform(esoph, y = 0, w = ncontrols)); d <- d[d$w > 0, ]; d$age <- as.integer(d$agegp); d$alc <- factor(as.integer(d$alcgp))`,
		`glm(y ~ age + alc, binomial, d, weights = w)`,
		`{column: y, type: binary, positive: ["1"]}`,
		`{column: age, type: number, range: [0, 10]}, {column: alc, type: category, levels: ["1", "2", "3", "4"], reference: "1"}`,
		`family: binomial, weights: w`},
	{"airquality", `d <- na.omit(airquality)`, `glm(Ozone ~ Solar.R + Wind + Temp + Wind:Temp, gaussian, d)`,
		`{column: Ozone, type: number, range: [0, 500]}`,
		`{column: Solar.R, type: number, range: [0, 1000]}, {column: Wind, type: number, range: [0, 100]}, {column: Temp, type: number, range: [-50, 150]}`,
		`family: gaussian, interactions: ["Wind:Temp"]`},
	{"airquality-gamma", `d <- na.omit(airquality)`, `glm(Ozone ~ Solar.R + Wind + Temp, Gamma("log"), d)`,
		`{column: Ozone, type: number, range: [0.1, 500]}`,
		`{column: Solar.R, type: number, range: [0, 1000]}, {column: Wind, type: number, range: [0, 100]}, {column: Temp, type: number, range: [-50, 150]}`,
		`family: gamma`},
	{"boston", `d <- MASS::Boston`, `glm(medv ~ crim + rm + nox + lstat + tax, gaussian, d, weights = zn + 1)`,
		`{column: medv, type: number, range: [0, 100]}`,
		`{column: crim, type: number, range: [0, 1000]}, {column: rm, type: number, range: [0, 20]}, {column: nox, type: number, range: [0, 1]}, {column: lstat, type: number, range: [0, 100]}, {column: tax, type: number, range: [0, 10000]}`,
		`family: gaussian, weights: w1`},
	{"boston-fixed", `d <- MASS::Boston`, `glm(medv ~ crim + rm + nox + lstat + factor((1:nrow(d) - 1) %% 4), Gamma("log"), d)`,
		`{column: medv, type: number, range: [1, 100]}`,
		`{column: crim, type: number, range: [0, 1000]}, {column: rm, type: number, range: [0, 20]}, {column: nox, type: number, range: [0, 1]}, {column: lstat, type: number, range: [0, 100]}`,
		`family: gamma, site_effects: fixed`},
}

const preamble = `
suppressMessages(library(MASS))
eps <- glm.control(epsilon = 1e-15, maxit = 200)
glm <- function(...) {
  call <- match.call(); call[[1]] <- quote(stats::glm); call$control <- quote(eps)
  m <- eval(call, parent.frame())
  for (i in 1:10) { call$start <- coef(m); m <- eval(call, parent.frame()) }
  m
}
nb <- function(formula, d) {
  theta <- glm.nb(formula, data = d)$theta
  for (i in 1:20) {
    m <- eval(bquote(glm(.(formula), negative.binomial(theta), d)))
    for (j in 1:20) theta <- theta + (function(y, mu) {
      score <- sum(digamma(theta + y) - digamma(theta) + log(theta) + 1 - log(theta + mu) - (y + theta) / (mu + theta))
      score / sum(-trigamma(theta + y) + trigamma(theta) - 1 / theta + 2 / (mu + theta) - (y + theta) / (mu + theta)^2)
    })(m$y, fitted(m))
  }
  m$theta <- theta
  m
}
put <- function(name, m) {
  s <- if (is.null(m$theta)) summary(m)$coefficients else summary(m, dispersion = 1)$coefficients
  loglik <- if (is.null(m$theta)) logLik(m) else sum(dnbinom(m$y, size = m$theta, mu = fitted(m), log = TRUE))
  k <- nrow(s)
  cat(name, k, sprintf("%.17g", c(s[, 1], s[, 2], loglik, deviance(m), m$null.deviance)), "\n")
}
`

// Data sets that nobody tuned to, dealt out to four sites, give R's fits.
func TestFitsOfKnownDataEqualR(t *testing.T) {
	r, err := exec.LookPath("Rscript")
	if err != nil {
		t.Skip("Rscript is not installed: the numbers of testdata/reference.json stand for it")
	}
	dir := t.TempDir()
	script := preamble
	for _, o := range oracles {
		script += fmt.Sprintf("suppressWarnings({%s; d$w1 <- if (is.null(d$zn)) 1 else d$zn + 1; m <- %s})\nput(%q, m)\nwrite.csv(d, %q, row.names = FALSE, quote = FALSE)\n",
			o.data, o.fit, o.name, filepath.Join(dir, o.name+".csv"))
	}
	file := filepath.Join(dir, "oracle.R")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(r, "--vanilla", file).Output()
	if err != nil {
		t.Skipf("R does not fit these (is MASS installed?): %v", err)
	}
	fits := map[string][]float64{}
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		for _, field := range fields[1:] {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatal(err)
			}
			fits[fields[0]] = append(fits[fields[0]], v)
		}
	}
	for _, o := range oracles {
		t.Run(o.name, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(dir, o.name+".csv"))
			if err != nil {
				t.Fatal(err)
			}
			records, err := csv.NewReader(strings.NewReader(string(content))).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			s := parse(t, fmt.Sprintf("study: oracle\nversion: 1\noutcome: %s\nfeatures: [%s]\nmodel: {kind: glm, %s}\nschedule: {rounds: 60, tolerance: 1e-10}\n", o.outcome, o.features, o.model))
			m, _, err := federate(t, s, matrices(t, s, records[0], records[1:], 4, func(i int) int { return i % 4 }))
			if err != nil {
				t.Fatal(err)
			}
			want := fits[o.name]
			if len(want) == 0 {
				t.Fatal("R has no fit")
			}
			k := int(want[0])
			coefficients, errors, rest := want[1:1+k], want[1+k:1+2*k], want[1+2*k:]
			for i, term := range m.Terms {
				if m.SiteEffects != "" && i == 0 {
					continue
				}
				if d := math.Abs(term.Estimate - coefficients[i]); d > 1e-8*(math.Abs(coefficients[i])+errors[i]) {
					t.Errorf("%s = %.17g, R %.17g", term.Name, term.Estimate, coefficients[i])
				}
				near(t, "standard error of "+term.Name, term.StdError, errors[i], 1e-8)
			}
			near(t, "log-likelihood", m.LogLike, rest[0], 1e-9)
			near(t, "deviance", m.Deviance, rest[1], 1e-9)
			if m.SiteEffects == "" {
				near(t, "null deviance", m.NullDeviance, rest[2], 1e-9)
			}
		})
	}
}
