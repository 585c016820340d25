package study

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A new patient needs the features only: no outcome, no consent column, no
// attributes.
func TestPredictorReadsFeaturesOnly(t *testing.T) {
	s := mustParse(t, ward)
	p, err := s.NewPredictor([]string{"id", "drug", "age", "gene"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		record []string
		row    []float64
		want   Unusable
	}{
		{record: []string{"a", "1", "6", "A/A"}, row: []float64{1, 6, 1, 0, 1}},
		{record: []string{"a", "0", "6", ""}, row: []float64{1, 6, 0, 1, 0}},
		{record: []string{"a", "", "6", "A/A"}, want: Unusable{"drug", MissingFeature}},
		{record: []string{"a", "CANARY", "6", "A/A"}, want: Unusable{"drug", UndeclaredLevel}},
		{record: []string{"a", "1", "CANARY", "A/A"}, want: Unusable{"age", NotANumber}},
		{record: []string{"a", "1", "60", "A/A"}, want: Unusable{"age", OutOfRange}},
		{record: []string{"CANARY"}, want: Unusable{"", Malformed}},
	} {
		row, err := p.Row(c.record)
		if diff := cmp.Diff(c.row, row); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.record, diff)
		}
		if c.row != nil {
			if err != nil {
				t.Errorf("%q: %v", c.record, err)
			}
			continue
		}
		unusable, ok := errors.AsType[*Unusable](err)
		if !ok || *unusable != c.want {
			t.Errorf("%q: error %v, want %v", c.record, err, &c.want)
			continue
		}
		if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("the reason %q repeats a cell", err)
		}
	}
	if got := (&Unusable{"age", OutOfRange}).Error(); got != "age: out_of_range" {
		t.Errorf("reason %q", got)
	}
	if got := (&Unusable{Reason: Malformed}).Error(); got != "malformed" {
		t.Errorf("reason %q", got)
	}
}

func TestPredictorNeedsItsColumns(t *testing.T) {
	s := mustParse(t, ward)
	_, err := s.NewPredictor([]string{"drug", "age", "genes"})
	if missing, ok := errors.AsType[*ColumnError](err); !ok || missing.Column != "gene" || missing.Nearest != "genes" {
		t.Errorf("error %v", err)
	}
}

// Prediction and training see the same row in the same record.
func TestPredictorAgreesWithBuilder(t *testing.T) {
	s := mustParse(t, ward)
	b, err := s.NewBuilder(wardColumns)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.NewPredictor(wardColumns)
	if err != nil {
		t.Fatal(err)
	}
	for _, gene := range []string{"G/G", "A/G", "A/A", "unknown", "NA"} {
		for _, drug := range []string{"0", "1", "1.0"} {
			record := usable("gene", gene, "drug", drug)
			b.Add(record)
			row, err := p.Row(record)
			if err != nil {
				t.Fatal(err)
			}
			m := b.Matrix()
			if diff := cmp.Diff(m.Row(m.Rows()-1), row); diff != "" {
				t.Errorf("gene %s, drug %s (-training +prediction):\n%s", gene, drug, diff)
			}
		}
	}
}
