package siteagent

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/outbox"
	"github.com/consilium-fl/consilium/study"
)

const doseStudy = `study: dose
version: 1
title: Dose from age and genotype
outcome: {column: dose, type: number, range: [2, 320], unit: mg/wk, transform: sqrt}
features:
  - {column: age, type: number, range: [1, 9]}
  - {column: genotype, type: category, levels: [G/G, A/G, A/A], reference: G/G}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
  minimum_cell: 5
model: {kind: glm, family: gaussian, ridge: 0}
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 2m}
`

// highDoseStudy takes several rounds: it is fitted by Newton's method.
var highDoseStudy = strings.NewReplacer(
	"outcome: {column: dose, type: number, range: [2, 320], unit: mg/wk, transform: sqrt}", "outcome: {column: dose, type: binary, at_least: 20}",
	"family: gaussian", "family: binomial").Replace(doseStudy)

func parseStudy(t *testing.T, source string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var patientColumns = []string{"name", "dose", "age", "genotype", "sex"}

// patients makes records of one hospital.
func patients(seed uint64, n int) [][]string {
	r := rand.New(rand.NewPCG(seed, 1))
	genotypes := []string{"G/G", "A/G", "A/A"}
	rows := make([][]string, n)
	for i := range rows {
		age, g := 1+r.IntN(9), r.IntN(3)
		root := 7 - 0.3*float64(age) - 0.9*float64(g) + 0.5*r.NormFloat64()
		rows[i] = []string{fmt.Sprintf("patient-%d-%d", seed, i), fmt.Sprintf("%.3f", math.Max(root*root, 3)), fmt.Sprint(age), genotypes[g], []string{"female", "male"}[r.IntN(2)]}
	}
	return rows
}

// start opens an agent and runs it until the test ends or stop is called.
func start(t *testing.T, o Options) (a *Agent, stop func()) {
	t.Helper()
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			// An agent that could not write its vault ends, and says so; which
			// write meets a full disk first is chance.
			if err != nil && !(errors.Is(err, syscall.EFBIG) && a.vault.Failed() != nil) {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the agent does not stop")
		}
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(stop)
	return a, stop
}

var sites = []string{"alpha", "beta", "gamma"}

func TestAStudyFromEnrolmentToPrediction(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	r := c.researcher("rita")
	s := parseStudy(t, doseStudy)
	for i, dir := range dirs {
		policy := Policy{Approve: Any, Releases: Automatic}
		if i == 2 {
			policy = Policy{}
		}
		start(t, Options{Dir: dir, Source: records.Memory(patientColumns, patients(uint64(i), 60+10*i)), Policy: policy, Logger: zap.NewNop()})
	}
	c.propose([]byte(doseStudy), r, sites...)
	c.eventually("two sites approve by policy", func() bool { return len(c.approvals) == 2 })
	waitFor(t, "the third waits for a person", func() bool { list, _ := Studies(dirs[2]); return len(list) == 1 && list[0].State == Waiting })
	list, err := Studies(dirs[2])
	if err != nil || list[0].DryRun.Rows != 80 || list[0].DryRun.Steps[1].Fields[0].Length == 0 || list[0].DryRun.Steps[1].Bytes == 0 {
		t.Fatalf("dry run %+v, %v", list[0].DryRun, err)
	}
	if waits := list[0].DryRun.Waits; !strings.HasPrefix(waits, "2m0s; who misses a round") {
		t.Errorf("how long a round waits: %q", waits)
	}
	if err := Decide(dirs[2], Decision{Kind: DecideStudy, Digest: s.Digest(), Yes: true}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the third approves", func() bool { return c.approvals["gamma"].Approved })

	result := c.study(s, sites)
	if result.Model.GLM.N != 210 || result.Model.GLM.Contributors != 3 {
		t.Fatalf("model over %d patients of %d hospitals", result.Model.GLM.N, result.Model.GLM.Contributors)
	}
	c.eventually("two sites accept by policy", func() bool { return c.releases["alpha"].Accepted && c.releases["beta"].Accepted })
	waitFor(t, "the third tests the release", func() bool { list, _ := Releases(dirs[2]); return len(list) == 1 })
	offered, err := Releases(dirs[2])
	if err != nil {
		t.Fatal(err)
	}
	comparison, page, err := LocalComparison(dirs[2], offered[0].Release)
	if err != nil || comparison.Groups[0].OwnN != 80 || *comparison.Groups[0].WholeN != 210 || comparison.Groups[0].Own["mae"] == 0 {
		t.Fatalf("comparison %+v, %v", comparison, err)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "For gamma only") || !strings.Contains(string(html), "80") {
		t.Fatalf("page: %v\n%s", err, html)
	}
	if _, err := PredictFile(dirs[2], "", "none.csv", filepath.Join(t.TempDir(), "p.csv")); err == nil {
		t.Fatal("a release that was not accepted makes predictions")
	}
	if err := Decide(dirs[2], Decision{Kind: DecideRelease, Digest: offered[0].Release, Yes: true}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the third accepts", func() bool { return c.releases["gamma"].Accepted })
	checkPredictions(t, dirs[2])
	checkTampering(t, dirs[2])

	entries, err := Outbox(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[outbox.Kind]int{}
	for _, e := range entries {
		kinds[e.Kind]++
		if e.Kind == outbox.Contribution && (len(e.Fields) == 0 || e.Bytes == 0 || e.Round == "" || e.Outcome != "acknowledged") {
			t.Errorf("incomplete line %+v", e)
		}
	}
	// A decision is sent again, word for word, to a coordinator that asks again.
	if kinds[outbox.Contribution] < 5 || kinds[outbox.OpeningShare] < 5 || kinds[outbox.Commit] != 5 || kinds[outbox.StudyDecision] < 1 || kinds[outbox.ReleaseDecision] < 1 {
		t.Errorf("outbox has %v", kinds)
	}
}

func checkPredictions(t *testing.T, dir string) {
	t.Helper()
	folder := t.TempDir()
	input, output := filepath.Join(folder, "in.csv"), filepath.Join(folder, "out.csv")
	os.WriteFile(input, []byte("age,genotype\n5,A/G\n,A/A\n3,T/T\n9,G/G\n"), 0o600)
	done, err := PredictFile(dir, "dose", input, output)
	if err != nil {
		t.Fatal(err)
	}
	if done.Predicted != 2 || done.Without != 2 {
		t.Fatalf("predictions %+v", done)
	}
	file, err := os.Open(output)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows[0], ","); got != "row,prediction,lower,upper,contribution:age,contribution:genotype,reason" {
		t.Fatalf("header %s", got)
	}
	if rows[1][1] == "" || rows[1][6] != "" || rows[2][1] != "" || rows[2][6] != "age: missing_feature" || rows[3][6] != "genotype: undeclared_level" {
		t.Fatalf("rows %q", rows)
	}
}

// A release whose files were changed on the disk makes no prediction.
func checkTampering(t *testing.T, dir string) {
	t.Helper()
	digest, err := installedRelease(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{releasePart, auditPart, studyPart} {
		path := filepath.Join(dir, releasesDir, digest.String(), part)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(whole)
		changed[len(changed)/2] ^= 1
		os.WriteFile(path, changed, 0o600)
		if _, err := Predict(dir, "", records.Memory([]string{"age", "genotype"}, nil), io.Discard); err == nil {
			t.Errorf("with a changed %s there are predictions", part)
		}
		os.WriteFile(path, whole, 0o600)
	}
	if _, err := Predict(dir, "", records.Memory([]string{"age", "genotype"}, nil), io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := Predict(dir, "", records.Memory([]string{"age"}, nil), io.Discard); err == nil || !strings.Contains(err.Error(), "genotype") {
		t.Errorf("with a column missing: %v", err)
	}
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
