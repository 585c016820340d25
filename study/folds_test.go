package study

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// foldsOf builds the records of so many patients and gives their folds.
func foldsOf(t *testing.T, src string, columns []string, patients int, record func(i int) []string) []int {
	t.Helper()
	b, err := mustParse(t, src).NewBuilder(columns)
	if err != nil {
		t.Fatal(err)
	}
	for i := range patients {
		b.Add(record(i))
	}
	m := b.Matrix()
	if m.Rows() != patients {
		t.Fatalf("%d rows, skipped %v", m.Rows(), b.SkippedByColumn())
	}
	folds := make([]int, patients)
	for i := range folds {
		folds[i] = m.Fold(i)
	}
	return folds
}

func validated(validation string) string {
	return strings.Replace(minimal, "study:", "validation: "+validation+"\nstudy:", 1)
}

func byID(i int) []string { return []string{fmt.Sprintf("p%d", i), "0.5", "5"} }

var idColumns = []string{"id", "x", "y"}

// The first eight patients' folds are pinned, as computed apart in Python with
// hashlib: a release that put patients elsewhere could not be compared with its
// predecessor.
func TestFoldsNeverChange(t *testing.T) {
	holdout := foldsOf(t, validated("{kind: holdout, fraction: 0.5, by: id}"), idColumns, 8, byID)
	folds := foldsOf(t, validated("{kind: k-fold, folds: 5, by: id}"), idColumns, 8, byID)
	if got, want := fmt.Sprint(holdout, folds), "[1 0 1 1 0 1 0 0] [4 0 3 2 0 2 1 1]"; got != want {
		t.Errorf("folds %s, want %s", got, want)
	}
}

func TestFoldsAreUniform(t *testing.T) {
	const patients = 20_000
	near := func(what string, got, want float64) {
		// Five standard deviations of a binomial count; the hash is fixed.
		if math.Abs(got-want*patients) > 5*math.Sqrt(patients*want*(1-want)) {
			t.Errorf("%s: %v of %d patients, want about %v", what, got, patients, want*patients)
		}
	}
	for _, fraction := range []float64{0.01, 0.2, 0.9} {
		held := 0.0
		for _, fold := range foldsOf(t, validated(fmt.Sprintf("{kind: holdout, fraction: %v, by: id}", fraction)), idColumns, patients, byID) {
			if fold == HeldOut {
				held++
			} else if fold != 1 {
				t.Fatalf("fold %d of a hold-out", fold)
			}
		}
		near(fmt.Sprint("hold-out ", fraction), held, fraction)
	}
	for _, k := range []int{2, 5, 50} {
		count := make([]float64, k)
		for _, fold := range foldsOf(t, validated(fmt.Sprintf("{kind: k-fold, folds: %d, by: id}", k)), idColumns, patients, byID) {
			count[fold]++
		}
		for fold, n := range count {
			near(fmt.Sprintf("fold %d of %d", fold, k), n, 1/float64(k))
		}
	}
}

// A patient is in one fold whatever else the record says, in whatever study and
// order of columns, so that two studies can be compared and no patient is on
// both sides.
func TestTheSamePatientIsInTheSameFoldEverywhere(t *testing.T) {
	const patients = 300
	validation := "{kind: k-fold, folds: 7, by: id}"
	want := foldsOf(t, validated(validation), idColumns, patients, byID)
	other := kindStudy(countOutcome, "{kind: boost}", "validation: "+validation+"\n")
	got := foldsOf(t, other, []string{"gene", "age", "y", "id", "sex", "bmi"}, patients, func(i int) []string {
		return []string{"GG", "50", "3", fmt.Sprintf("  p%d ", i), "f", "30"}
	})
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("patient %d is in fold %d here and in fold %d there", i, got[i], want[i])
		}
	}
	// Of two hold-outs the smaller lies within the larger.
	small := foldsOf(t, validated("{kind: holdout, fraction: 0.1, by: id}"), idColumns, patients, byID)
	large := foldsOf(t, validated("{kind: holdout, fraction: 0.3, by: id}"), idColumns, patients, byID)
	for i := range small {
		if small[i] == HeldOut && large[i] != HeldOut {
			t.Errorf("patient %d is held out of 0.1 and not of 0.3", i)
		}
	}
}

// Without a column of the patient, the record itself is hashed: what the study
// reads of it, and nothing else.
func TestFoldsWithoutAPatientFollowTheRecord(t *testing.T) {
	src := validated("{kind: k-fold, folds: 50}")
	columns := []string{"x", "note", "y"}
	folds := foldsOf(t, src, columns, 300, func(i int) []string { return []string{fmt.Sprint(float64(i%100) / 100), fmt.Sprint(i), "5"} })
	seen := map[int]bool{}
	for i := range 100 {
		if folds[i] != folds[i+100] || folds[i] != folds[i+200] {
			t.Errorf("a column that the study does not read moved record %d", i)
		}
		seen[folds[i]] = true
	}
	if len(seen) < 25 {
		t.Errorf("100 records are in %d of 50 folds", len(seen))
	}
	// Where a cell ends matters: 0.1 and 10 are not 0.11 and 0.
	pair := foldsOf(t, src, columns, 2, func(i int) []string { return [][]string{{"0.1", "", "10"}, {"0.11", "", "0"}}[i] })
	other := foldsOf(t, src, columns, 2, func(i int) []string { return [][]string{{"0.2", "", "10"}, {"0.21", "", "0"}}[i] })
	if pair[0] == pair[1] && other[0] == other[1] {
		t.Error("cells run together")
	}
}

// A record that does not say whose it is could be on both sides.
func TestARecordWithoutItsPatientIsSkipped(t *testing.T) {
	b, err := mustParse(t, validated("{kind: holdout, by: id}")).NewBuilder(idColumns)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", " ", "NA"} {
		b.Add([]string{id, "0.5", ""})
	}
	if got := b.SkippedByColumn(); len(got) != 1 || got[Skip{"id", MissingRequired}] != 3 {
		t.Errorf("skipped %v", got)
	}
	if _, err := mustParse(t, validated("{kind: holdout, by: id}")).NewBuilder([]string{"x", "y"}); err == nil || !strings.Contains(err.Error(), `no column "id"`) {
		t.Errorf("error %v", err)
	}
}

// Only a validation by patients has folds.
func TestNoFoldsWithoutAValidationByPatients(t *testing.T) {
	for _, src := range []string{minimal, validated("{kind: leave-one-site-out}"), validated("{kind: external, sites: [a, b, c]}")} {
		for i, fold := range foldsOf(t, src, idColumns, 20, byID) {
			if fold != 0 {
				t.Errorf("record %d is in fold %d", i, fold)
			}
		}
	}
}

// The patient's name is hashed and forgotten, and no record costs memory beyond
// its numbers.
func TestABuilderForgetsThePatient(t *testing.T) {
	for _, validation := range []string{"{kind: k-fold, by: id}", "{kind: k-fold}"} {
		b, err := mustParse(t, validated(validation)).NewBuilder(idColumns)
		if err != nil {
			t.Fatal(err)
		}
		record := []string{"CANARY-4711", "0.5", "5"}
		if per := testing.AllocsPerRun(20_000, func() { b.Add(record) }); per >= 1 {
			t.Errorf("%s: %v allocations per record", validation, per)
		}
		for _, x := range b.state().folder.scratch[:cap(b.state().folder.scratch)] {
			if x != 0 {
				t.Errorf("%s: the builder kept a cell", validation)
				break
			}
		}
	}
}
