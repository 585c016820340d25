// Package cohort makes synthetic patients: a warfarin population spread over
// several hospitals, for demonstrations and tests where no real patient may
// appear.
//
// Genotypes are drawn by ancestry from published allele frequencies in
// Hardy-Weinberg proportions, bodies and ages from round figures, and the stable
// weekly dose from the published equation of the International Warfarin
// Pharmacogenetics Consortium plus noise on its square root. Hospitals differ
// in size, in whom they treat, and in how much they genotype. Some records are
// flawed as real ones are: genotypes not done, co-medication not recorded,
// heights in inches or metres, weights in grams.
//
// The columns are those of the consortium's cohort, so that one study reads
// both, and one more that says "synthetic" in every record. The same spec and
// seed give the same bytes. Nothing here may be read as evidence about
// patients.
package cohort

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
)

// Columns of every table.
var Columns = []string{
	"subject_id", "site", "sex", "race4", "age_decade", "height_cm", "weight_kg", "vkorc1_1639", "cyp2c9",
	"enzyme_inducer", "amiodarone", "weekly_dose_mg", "complete_case", "synthetic",
}

// Spec describes a population.
type Spec struct {
	Hospitals  []Hospital
	Noise      float64 // standard deviation of the square root of the dose around the equation
	Unrecorded float64 // chance, each, that height, co-medication or dose is not recorded
	Mistakes   float64 // chance that a height or weight is in a wrong unit or not a number
}

// Hospital describes a site's patients.
type Hospital struct {
	Name      string
	Patients  int
	Ancestry  [ancestries]float64 // shares of White, Asian, Black or African American, Mixed/missing
	Women     float64             // share
	Genotyped float64             // share
}

// Default is six unlike hospitals with so many patients together.
func Default(patients int) Spec {
	spec := Spec{Noise: 1, Unrecorded: 0.01, Mistakes: 0.01}
	shares := []float64{0.22, 0.16, 0.26, 0.13, 0.15, 0.08}
	spec.Hospitals = []Hospital{
		{Name: "north-university", Ancestry: [ancestries]float64{0.70, 0.08, 0.14, 0.08}, Women: 0.46, Genotyped: 0.98},
		{Name: "lakeside-general", Ancestry: [ancestries]float64{0.93, 0.01, 0.04, 0.02}, Women: 0.42, Genotyped: 0.95},
		{Name: "harbour-city", Ancestry: [ancestries]float64{0.05, 0.90, 0.01, 0.04}, Women: 0.41, Genotyped: 0.97},
		{Name: "riverside-community", Ancestry: [ancestries]float64{0.24, 0.02, 0.66, 0.08}, Women: 0.61, Genotyped: 0.90},
		{Name: "western-veterans", Ancestry: [ancestries]float64{0.78, 0.02, 0.16, 0.04}, Women: 0.12, Genotyped: 0.93},
		{Name: "hill-county", Ancestry: [ancestries]float64{0.96, 0.01, 0.01, 0.02}, Women: 0.48, Genotyped: 0.62},
	}
	left := patients
	for i := range spec.Hospitals[1:] {
		n := int(math.Round(shares[i+1] * float64(patients)))
		spec.Hospitals[i+1].Patients = n
		left -= n
	}
	spec.Hospitals[0].Patients = left
	return spec
}

// Table is a population as a hospital's export would hold it.
type Table struct {
	Columns []string
	Rows    [][]string // hospital by hospital, in the order of the spec
}

// Generate makes the population of a spec. Hospitals draw from separate
// streams: one that is added or grows leaves the others' patients as they are.
func Generate(spec Spec, seed uint64) *Table {
	t := &Table{Columns: Columns}
	for i, h := range spec.Hospitals {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for n := range h.Patients {
			id := fmt.Sprintf("SYN-%02d-%05d", i+1, n+1)
			t.Rows = append(t.Rows, record(r, spec, h, id))
		}
	}
	return t
}

// record draws a patient, the dose, and what the hospital wrote down.
func record(r *rand.Rand, spec Spec, h Hospital, id string) []string {
	p := draw(r, h)
	// No dose below 1.5 squared: nobody is kept on less than 2 mg a week.
	root := max(p.SqrtDose()+spec.Noise*r.NormFloat64(), 1.5)
	dose := decimal(math.Round(2*root*root)/2, 1)
	genotyped := r.Float64() < h.Genotyped
	height, weight := decimal(p.HeightCM, 1), decimal(p.WeightKG, 1)
	inducer, amiodarone := flag(p.EnzymeInducer), flag(p.Amiodarone)
	complete := genotyped
	if !genotyped {
		p.VKORC1, p.CYP2C9 = "unknown", "unknown"
	}
	if r.Float64() < spec.Unrecorded {
		height, complete = "NA", false
	}
	if r.Float64() < spec.Unrecorded {
		inducer, amiodarone = "NA", "NA"
	}
	if r.Float64() < spec.Unrecorded {
		dose = ""
	}
	sex := "male"
	if p.Female {
		sex = "female"
	}
	if r.Float64() < spec.Unrecorded/10 {
		sex = "NA"
	}
	if kind := r.IntN(4); r.Float64() < spec.Mistakes {
		switch kind {
		case 0:
			height = decimal(p.HeightCM/2.54, 1) // inches
		case 1:
			height = decimal(p.HeightCM/100, 2) // metres
		case 2:
			weight = decimal(p.WeightKG*1000, 0) // grams
		case 3:
			weight += " kg"
		}
	}
	return []string{
		id, h.Name, sex, p.Ancestry.String(), strconv.Itoa(p.AgeDecade), height, weight, p.VKORC1, p.CYP2C9,
		inducer, amiodarone, dose, flag(complete), "1",
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func decimal(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

// WriteCSV writes the table with a header line.
func (t *Table) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(t.Columns); err != nil {
		return fmt.Errorf("the synthetic patients cannot be written: %w", err)
	}
	if err := out.WriteAll(t.Rows); err != nil {
		return fmt.Errorf("the synthetic patients cannot be written: %w", err)
	}
	return nil
}

// Hospital is the part of the table that one hospital holds.
func (t *Table) Hospital(name string) *Table {
	part := &Table{Columns: t.Columns}
	for _, row := range t.Rows {
		if row[1] == name {
			part.Rows = append(part.Rows, row)
		}
	}
	return part
}
