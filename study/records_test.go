package study

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fate is what becomes of one record.
type fate struct {
	skip                    Skip
	outcome, offset, weight float64
	event                   bool
}

func fateOf(t *testing.T, s *Study, columns []string, record []string) fate {
	t.Helper()
	b, err := s.NewBuilder(columns)
	if err != nil {
		t.Fatal(err)
	}
	b.Add(record)
	m := b.Matrix()
	for skip := range b.SkippedByColumn() {
		if m.Rows() != 0 || len(b.state().rows.features) != 0 {
			t.Errorf("%v left %d rows and %d features", skip, m.Rows(), len(b.state().rows.features))
		}
		return fate{skip: skip}
	}
	f := fate{outcome: m.Outcome(0), offset: m.Offset(0), weight: m.Weight(0)}
	if s.Outcome.Type == Survival {
		f.event = m.Event(0)
	}
	return f
}

func TestCountRules(t *testing.T) {
	s := mustParse(t, kindStudy(countOutcome, "{kind: glm, family: poisson}"))
	columns := []string{"y", "age", "bmi", "sex", "gene"}
	skip := func(reason SkipReason) fate { return fate{skip: Skip{"y", reason}} }
	for cell, want := range map[string]fate{
		"0": {outcome: 0, weight: 1}, "50": {outcome: 50, weight: 1}, "7.0": {outcome: 7, weight: 1}, "1e1": {outcome: 10, weight: 1}, " 3 ": {outcome: 3, weight: 1},
		"":      skip(MissingOutcome),
		"NA":    skip(MissingOutcome),
		"three": skip(OutcomeNotANumber),
		"NaN":   skip(OutcomeNotANumber),
		"2.5":   skip(OutcomeNotACount),
		"50.5":  skip(OutcomeNotACount),
		"-0.5":  skip(OutcomeNotACount),
		"-1":    skip(OutcomeOutOfRange),
		"51":    skip(OutcomeOutOfRange),
	} {
		if got := fateOf(t, s, columns, []string{cell, "50", "30", "f", "GG"}); got != want {
			t.Errorf("%q: %+v, want %+v", cell, got, want)
		}
	}
}

// Time first, then the event; each is missing, wrong or undeclared by itself.
func TestSurvivalRules(t *testing.T) {
	listed := mustParse(t, kindStudy(survivalOutcome, "{kind: cox}"))
	open := mustParse(t, kindStudy(`{type: survival, time: {column: days, range: [1, 5000]}, event: {column: status, positive: ["1", dead]}}`, "{kind: cox}"))
	columns := []string{"status", "days", "age", "bmi", "sex", "gene"}
	for _, c := range []struct {
		study        *Study
		days, status string
		want         fate
	}{
		{listed, "100", "1", fate{outcome: 100, event: true, weight: 1}},
		{listed, "0", "0.0", fate{outcome: 0, weight: 1}},
		{listed, "100.5", "1.0", fate{outcome: 100.5, event: true, weight: 1}},
		{listed, "", "1", fate{skip: Skip{"days", MissingOutcome}}},
		{listed, "", "", fate{skip: Skip{"days", MissingOutcome}}},
		{listed, "long", "1", fate{skip: Skip{"days", OutcomeNotANumber}}},
		{listed, "5001", "1", fate{skip: Skip{"days", OutcomeOutOfRange}}},
		{listed, "100", "NA", fate{skip: Skip{"status", MissingOutcome}}},
		{listed, "100", "2", fate{skip: Skip{"status", OutcomeUndeclared}}},
		{open, "100", "dead", fate{outcome: 100, event: true, weight: 1}},
		{open, "100", "2", fate{outcome: 100, weight: 1}},
		{open, "100", "", fate{skip: Skip{"status", MissingOutcome}}},
		{open, "0.5", "1", fate{skip: Skip{"days", OutcomeOutOfRange}}},
	} {
		if got := fateOf(t, c.study, columns, []string{c.status, c.days, "50", "30", "f", "GG"}); got != c.want {
			t.Errorf("days %q, status %q: %+v, want %+v", c.days, c.status, got, c.want)
		}
	}
}

func TestOffsetAndWeightRules(t *testing.T) {
	s := mustParse(t, kindStudy(countOutcome, "{kind: glm, family: poisson, offset: o, weights: {column: w, range: [0, 10]}}"))
	columns := []string{"y", "age", "bmi", "sex", "gene", "w", "o"}
	for _, c := range []struct {
		age, offset, weight string
		want                fate
	}{
		{"50", "-1.5", "2", fate{outcome: 3, offset: -1.5, weight: 2}},
		{"50", "50", "0", fate{outcome: 3, offset: 50, weight: 0}},
		{"50", "", "2", fate{skip: Skip{"o", MissingOffset}}},
		{"50", "x", "2", fate{skip: Skip{"o", NotANumber}}},
		{"50", "51", "2", fate{skip: Skip{"o", OutOfRange}}},
		{"50", "1", "NA", fate{skip: Skip{"w", MissingWeight}}},
		{"50", "1", "heavy", fate{skip: Skip{"w", NotANumber}}},
		{"50", "1", "-1", fate{skip: Skip{"w", OutOfRange}}},
		{"50", "1", "11", fate{skip: Skip{"w", OutOfRange}}},
		// The first reason counts: features, offset, weight.
		{"", "", "", fate{skip: Skip{"age", MissingFeature}}},
		{"50", "", "", fate{skip: Skip{"o", MissingOffset}}},
	} {
		if got := fateOf(t, s, columns, []string{"3", c.age, "30", "f", "GG", c.weight, c.offset}); got != c.want {
			t.Errorf("age %q, offset %q, weight %q: %+v, want %+v", c.age, c.offset, c.weight, got, c.want)
		}
	}
}

// A record that lacks a weight or an offset leaves nothing behind, and records
// keep their own through a selection.
func TestCovariatesStayWithTheirRecords(t *testing.T) {
	s := mustParse(t, kindStudy(`{type: survival, time: {column: t, range: [0, 99]}, event: {column: e, positive: ["1"]}}`, "{kind: boost}", "validation: {kind: k-fold, folds: 50, by: t}\n"))
	b, err := s.NewBuilder([]string{"t", "e", "age", "bmi", "sex", "gene"})
	if err != nil {
		t.Fatal(err)
	}
	cells := []string{"10", "11", "", "13", "14", "x", "16"}
	for i, cell := range cells {
		b.Add([]string{cell, []string{"0", "1"}[i%2], cell, "30", "f", "GG"})
	}
	m := b.Matrix()
	picked := m.Select(func(i int) bool { return i >= 2 })
	var times []float64
	for i := range picked.Rows() {
		times = append(times, picked.Outcome(i))
		if picked.Event(i) != (int(picked.Outcome(i))%2 == 1) || picked.Row(i)[1] != picked.Outcome(i) || picked.Fold(i) != m.Fold(i+2) {
			t.Errorf("record %d has another's event, feature or fold", i)
		}
	}
	if diff := cmp.Diff([]float64{13, 14, 16}, times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	nobody := m.Select(func(int) bool { return false })
	if nobody.Rows() != 0 || len(nobody.Terms()) != len(m.Terms()) {
		t.Errorf("nobody: %d rows", nobody.Rows())
	}
}

// Trees and descriptions keep what is missing, as NaN in each term of the
// feature; what is wrong is skipped by them too.
func TestMissingFeaturesAreKeptWhereTheModelCan(t *testing.T) {
	columns := []string{"y", "age", "bmi", "sex", "gene"}
	for model, keeps := range map[string]bool{"{kind: boost}": true, "{kind: describe}": true, "{kind: glm, family: gaussian}": false, "{kind: neural}": false} {
		s := mustParse(t, kindStudy(numberOutcome, model))
		b, err := s.NewBuilder(columns)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.NewPredictor(columns)
		if err != nil {
			t.Fatal(err)
		}
		record := []string{"5", "NA", "30", "", "AA"}
		b.Add(record)
		row, err := p.Row(record)
		if s.KeepsMissing() != keeps || (b.Matrix().Rows() == 1) != keeps || (err == nil) != keeps {
			t.Errorf("%s: %d rows, prediction %v", model, b.Matrix().Rows(), err)
		}
		if !keeps {
			continue
		}
		for _, got := range [][]float64{row, b.Matrix().Row(0)} {
			if !math.IsNaN(got[1]) || got[2] != 30 || !math.IsNaN(got[3]) || got[4] != 0 || got[5] != 1 {
				t.Errorf("%s: row %v", model, got)
			}
		}
		for _, bad := range [][]string{{"5", "x", "30", "f", "AA"}, {"5", "121", "30", "f", "AA"}, {"5", "50", "30", "d", "AA"}, {"", "50", "30", "f", "AA"}} {
			b.Add(bad)
		}
		want := map[SkipReason]int{NotANumber: 1, OutOfRange: 1, UndeclaredLevel: 1, MissingOutcome: 1}
		if diff := cmp.Diff(want, b.Skipped()); diff != "" {
			t.Errorf("%s skipped (-want +got):\n%s", model, diff)
		}
	}
}

// A prediction needs the offset, which belongs to the patient, and no weight.
func TestPredictorReadsTheOffset(t *testing.T) {
	s := mustParse(t, kindStudy(countOutcome, "{kind: glm, family: poisson, offset: {column: o, range: [-1, 1]}, weights: w}"))
	features := []string{"age", "bmi", "sex", "gene"}
	if _, err := s.NewPredictor(features); err == nil {
		t.Error("a predictor without the offset's column")
	}
	p, err := s.NewPredictor(append(features, "o"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Offset([]string{"50", "30", "f", "GG", " 0.25"}); err != nil || got != 0.25 {
		t.Errorf("offset %v, error %v", got, err)
	}
	for cell, want := range map[string]Unusable{"": {"o", MissingOffset}, "CANARY": {"o", NotANumber}, "2": {"o", OutOfRange}} {
		_, err := p.Offset([]string{"50", "30", "f", "GG", cell})
		if unusable, ok := err.(*Unusable); !ok || *unusable != want {
			t.Errorf("%q: error %v, want %v", cell, err, want)
		}
	}
	if _, err := p.Offset([]string{"1"}); err == nil || err.Error() != "malformed" {
		t.Errorf("error %v", err)
	}
	plain, err := mustParse(t, minimal).NewPredictor([]string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := plain.Offset([]string{"1"}); got != 0 || err != nil {
		t.Errorf("offset %v of a model without one, error %v", got, err)
	}
}
