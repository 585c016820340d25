package cohort

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// The published equation against doses worked out by hand.
func TestPublishedDoseEquation(t *testing.T) {
	for _, c := range []struct {
		who  string
		p    Patient
		want float64
	}{
		{"White, 60-69, 170 cm, 80 kg, A/G, *1/*1",
			Patient{Ancestry: White, AgeDecade: 6, HeightCM: 170, WeightKG: 80, VKORC1: "A/G", CYP2C9: "*1/*1"}, 32.1636},
		{"Asian, 50-59, 160 cm, 60 kg, A/A, *1/*3, amiodarone",
			Patient{Ancestry: Asian, AgeDecade: 5, HeightCM: 160, WeightKG: 60, VKORC1: "A/A", CYP2C9: "*1/*3", Amiodarone: true}, 10.0160},
		{"Black, 40-49, 180 cm, 95 kg, G/G, *1/*1",
			Patient{Ancestry: Black, AgeDecade: 4, HeightCM: 180, WeightKG: 95, VKORC1: "G/G", CYP2C9: "*1/*1"}, 49.9114},
	} {
		if got := math.Pow(c.p.SqrtDose(), 2); math.Abs(got-c.want) > 5e-5 {
			t.Errorf("%s: %.4f mg a week, want %.4f", c.who, got, c.want)
		}
	}
}

func csvBytes(t *testing.T, table *Table) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := table.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameSeedSameBytes(t *testing.T) {
	once, again := csvBytes(t, Generate(Default(500), 7)), csvBytes(t, Generate(Default(500), 7))
	if !bytes.Equal(once, again) {
		t.Error("the same seed gave other patients")
	}
	if bytes.Equal(once, csvBytes(t, Generate(Default(500), 8))) {
		t.Error("another seed gave the same patients")
	}
}

func TestHospitalsDrawFromSeparateStreams(t *testing.T) {
	spec := Default(600)
	before := Generate(spec, 1).Hospital("harbour-city")
	spec.Hospitals[0].Patients *= 2
	after := Generate(spec, 1).Hospital("harbour-city")
	if !bytes.Equal(csvBytes(t, before), csvBytes(t, after)) {
		t.Error("one hospital's size changed another's patients")
	}
}

func TestEveryRecordSaysThatItIsSynthetic(t *testing.T) {
	table := Generate(Default(300), 1)
	if len(table.Rows) != 300 {
		t.Fatalf("%d rows, want 300", len(table.Rows))
	}
	at := slices.Index(table.Columns, "synthetic")
	ids := map[string]bool{}
	for _, row := range table.Rows {
		if len(row) != len(Columns) || row[at] != "1" || !strings.HasPrefix(row[0], "SYN-") {
			t.Fatalf("row %q does not say that it is synthetic", row)
		}
		ids[row[0]] = true
	}
	if len(ids) != len(table.Rows) {
		t.Error("two patients share an id")
	}
}

// Allele frequencies and the noise come out as they went in.
func TestPopulationFollowsItsSpec(t *testing.T) {
	for a := range ancestries {
		h := Hospital{Name: "one", Patients: 40_000, Women: 0.5, Genotyped: 1}
		h.Ancestry[a] = 1
		table := Generate(Spec{Hospitals: []Hospital{h}, Noise: 1}, 3)
		count := map[string]float64{}
		var sum, squares float64
		for _, row := range table.Rows {
			for _, cell := range []string{row[7], row[8]} {
				for allele := range strings.SplitSeq(cell, "/") {
					count[allele]++
				}
			}
			p := Patient{Ancestry: a, VKORC1: row[7], CYP2C9: row[8], EnzymeInducer: row[9] == "1", Amiodarone: row[10] == "1"}
			p.AgeDecade, _ = strconv.Atoi(row[4])
			p.HeightCM, _ = strconv.ParseFloat(row[5], 64)
			p.WeightKG, _ = strconv.ParseFloat(row[6], 64)
			dose, err := strconv.ParseFloat(row[11], 64)
			if err != nil {
				t.Fatal(err)
			}
			residual := math.Sqrt(dose) - p.SqrtDose()
			sum += residual
			squares += residual * residual
		}
		n := float64(len(table.Rows))
		f := frequencies[a]
		for allele, want := range map[string]float64{"A": f.vkorc1A, "*2": f.star2, "*3": f.star3, "*8": f.star8} {
			if got := count[allele] / (2 * n); math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/(2*n))+1e-12 {
				t.Errorf("%v: allele %s has frequency %.4f, want %.4f", a, allele, got, want)
			}
		}
		// The floor under the dose lifts a few low ones.
		if mean := sum / n; math.Abs(mean) > 0.03 {
			t.Errorf("%v: mean residual %.4f", a, mean)
		}
		if sd := math.Sqrt(squares / n); math.Abs(sd-1) > 0.04 {
			t.Errorf("%v: residual standard deviation %.4f, want 1", a, sd)
		}
	}
}

// The demonstration's studies read the synthetic hospitals: each contributes,
// every level has patients, and flawed records are skipped for several reasons.
func TestDemonstrationStudiesReadTheTable(t *testing.T) {
	for _, name := range []string{"warfarin-dose.yaml", "high-dose.yaml"} {
		src, err := os.ReadFile(filepath.Join("..", "demo", name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := study.Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		spec := Default(3000)
		table := Generate(spec, 1)
		all, err := s.NewBuilder(table.Columns)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range spec.Hospitals {
			b, err := s.NewBuilder(table.Columns)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range table.Hospital(h.Name).Rows {
				b.Add(row)
				all.Add(row)
			}
			usable := b.Matrix().Rows()
			t.Logf("%s, %s: %d of %d usable, skipped %v", name, h.Name, usable, h.Patients, b.Skipped())
			if usable < h.Patients/2 {
				t.Errorf("%s: %d of %d usable", h.Name, usable, h.Patients)
			}
		}
		m := all.Matrix()
		for j, term := range m.Terms() {
			patients, high := 0, 0
			for i := range m.Rows() {
				if m.Row(i)[j] != 0 {
					patients++
					if m.Outcome(i) == 1 {
						high++
					}
				}
			}
			if patients < 3 {
				t.Errorf("%s: term %s has %d patients", name, term.Name, patients)
			}
			// A level whose patients all have one outcome has no estimate.
			if s.Outcome.Type == study.Binary && (high == 0 || high == patients) {
				t.Errorf("%s: %d of the %d patients with term %s have a high dose", name, high, patients, term.Name)
			}
		}
		for _, reason := range []study.SkipReason{study.Excluded, study.MissingOutcome, study.MissingFeature,
			study.NotANumber, study.OutOfRange, study.UndeclaredLevel} {
			if all.Skipped()[reason] == 0 {
				t.Errorf("%s: no record is skipped as %s", name, reason)
			}
		}
	}
}
