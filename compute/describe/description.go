package describe

import (
	"errors"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Description is what a study of kind describe finds beyond its cohort.
type Description struct {
	Numbers      []Distribution `json:"numbers,omitempty"`
	Correlations []Correlation  `json:"correlations,omitempty"`
	CrossTables  []CrossTable   `json:"cross_tables,omitempty"`
	Survival     *Survival      `json:"survival,omitempty"`
}

// Distribution of a number over the patients who have it.
type Distribution struct {
	Column    string     `json:"column"`
	Unit      string     `json:"unit,omitempty"`
	Quantiles []Quantile `json:"quantiles,omitempty"` // none below the minimum cell
	Median    *float64   `json:"median,omitempty"`
	Lower     *float64   `json:"lower_quartile,omitempty"`
	Upper     *float64   `json:"upper_quartile,omitempty"`
	Histogram []Bin      `json:"histogram,omitempty"`
}

// Quantile is the value that a share of the patients do not exceed.
type Quantile struct {
	Probability float64 `json:"probability"`
	Value       float64 `json:"value"`
}

// Bin of a histogram holds its lower end, the last one both. It is as many
// twentieths of the declared range wide as it needs to hold the minimum cell.
type Bin struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Share float64 `json:"share"`       // of the patients who have the number, to three decimals
	N     *int    `json:"n,omitempty"` // not where it would tell how few miss the number
}

// Correlation of two numbers over the patients who have both.
type Correlation struct {
	Columns     [2]string `json:"columns"`
	Patients    Count     `json:"patients"`
	Correlation *float64  `json:"correlation,omitempty"` // none below the minimum cell, or of a constant
}

// CrossTable counts patients by two categories. Beside a withheld cell another
// of its row and another of its column is withheld too, so that neither follows
// from totals; such a cell may be larger than the minimum cell.
type CrossTable struct {
	Rows        string    `json:"rows"`
	Columns     string    `json:"columns"`
	RowNames    []string  `json:"row_names"`
	ColumnNames []string  `json:"column_names"`
	Cells       [][]Count `json:"cells"`
}

// probabilities of the quantiles of every number.
var probabilities = []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}

// Descriptions asks for a description, after the counts.
type Descriptions struct {
	study     *study.Study
	counts    *Counts
	numbers   []number
	quantiles *Quantiles
	left      []string // steps after the quantiles
	out       Description

	// Of a study that withholds what gives small counts away.
	cells  []float64
	tables [][]Lifetable
	cohort *Cohort
}

// NewDescription begins a description of the patients who were counted.
func NewDescription(s *study.Study, counts *Counts) *Descriptions {
	d := &Descriptions{study: s, counts: counts, numbers: numbersOf(s)}
	d.quantiles = NewQuantiles(s, counts.Patients, descriptionWants(s))
	if len(tablesLayout(s)) > 0 {
		d.left = append(d.left, StepTables)
	}
	if s.Outcome.Type == study.Survival {
		d.left = append(d.left, StepSurvival)
	}
	return d
}

func descriptionWants(s *study.Study) (wants []Want) {
	for _, v := range numbersOf(s) {
		wants = append(wants, Want{v.term, probabilities})
	}
	return wants
}

// Next is the question whose sum Absorb expects.
func (d *Descriptions) Next() (q compute.Question, done bool, err error) {
	if q, done, err = d.quantiles.Next(); !done || err != nil {
		return q, false, err
	}
	if len(d.left) == 0 {
		return q, true, nil
	}
	q.Step = d.left[0]
	if q.Step == StepTables {
		if q.Parameters, err = compute.EncodeParameters(tableParameters{d.means()}); err != nil {
			return q, false, err
		}
	}
	q.Layout, err = Layout(d.study, q.Step, q.Parameters)
	return q, false, err
}

// means of the numbers that are correlated, within their declared ranges.
func (d *Descriptions) means() []float64 {
	all := d.counts.Means()
	out := []float64{}
	for _, v := range correlated(d.study) {
		mean := 0.0
		if v.term != Outcome {
			mean = all[v.term]
		} else if d.counts.Patients > 0 {
			mean = d.counts.MeanOutcome()
		}
		out = append(out, min(max(mean, v.lo), v.hi)+0) // minus zero has no second spelling
	}
	return out
}

// Absorb takes the opened sum of the question of Next.
func (d *Descriptions) Absorb(sum compute.Sum) error {
	if _, done, _ := d.quantiles.Next(); !done {
		return d.quantiles.Absorb(sum)
	}
	if len(d.left) == 0 {
		return errors.New("the description is complete: no sum is expected")
	}
	if d.left[0] == StepTables {
		if err := checkSum(sum, tablesLayout(d.study)); err != nil {
			return err
		}
		d.histograms(sum.Field("histograms"))
		d.correlations(sum.Field("pairs"), sum.Field("pair_sums"))
		if d.cells = sum.Field("cells"); !d.study.Fairness.Complementary {
			d.crossTables(d.cells)
		}
	} else {
		by := Groupings(d.study)
		tables, err := ReadLifetables(d.study, by, sum)
		if err != nil {
			return err
		}
		if d.tables = tables; !d.study.Fairness.Complementary {
			d.out.Survival = describeSurvival(d.study, by, tables)
		}
	}
	if d.left = d.left[1:]; len(d.left) == 0 && d.study.Fairness.Complementary {
		d.protected(d.cells, d.tables)
	}
	return nil
}

// Cohort is that of the counts, or what is left of it beside the description.
func (d *Descriptions) Cohort() *Cohort {
	if d.cohort != nil {
		return d.cohort
	}
	return d.counts.Cohort()
}

// Description is what was found, once Next says done.
func (d *Descriptions) Description() *Description { return &d.out }

func (d *Descriptions) histograms(counts []float64) {
	values := d.quantiles.Values()
	for i, v := range d.numbers {
		out := Distribution{Column: v.name, Unit: v.unit}
		n := whole(counts[i*histogramBins : (i+1)*histogramBins])
		total := 0
		for _, c := range n {
			total += c
		}
		cell := d.study.Fairness.MinimumCell
		if total > 0 && total >= cell {
			if total >= 2*cell { // the least that a search divides
				for k, p := range probabilities {
					out.Quantiles = append(out.Quantiles, Quantile{p, values[i][k]})
				}
				out.Lower, out.Median, out.Upper = &values[i][2], &values[i][3], &values[i][4]
			}
			few := Suppress(d.counts.Patients-total, cell).State == Suppressed
			out.Histogram = histogram(v, n, total, cell, few)
		}
		d.out.Numbers = append(d.out.Numbers, out)
	}
}

// histogram merges bins until each holds the minimum cell.
func histogram(v number, counts []int, total, cell int, sharesOnly bool) []Bin {
	var sizes, ends []int
	n := 0
	for k, c := range counts {
		if n += c; n >= max(cell, 1) {
			sizes, ends, n = append(sizes, n), append(ends, k+1), 0
		}
	}
	ends[len(ends)-1] = histogramBins // what is left joins the last
	sizes[len(sizes)-1] += n
	var out []Bin
	from := 0
	for i, end := range ends {
		b := Bin{From: histogramEdge(v, from), To: histogramEdge(v, end), Share: math.Round(1000*float64(sizes[i])/float64(total)) / 1000}
		if !sharesOnly {
			b.N = &sizes[i]
		}
		out = append(out, b)
		from = end
	}
	return out
}

func (d *Descriptions) correlations(pairs, sums []float64) {
	numbers, cell := correlated(d.study), d.study.Fairness.MinimumCell
	at := 0
	for i, a := range numbers {
		for _, b := range numbers[i+1:] {
			n, s := math.Round(pairs[at]), sums[at*pairSums:(at+1)*pairSums]
			c := Correlation{Columns: [2]string{a.name, b.name}, Patients: Suppress(int(n), cell)}
			if rest := Suppress(d.counts.Patients-int(n), cell); rest.State == Suppressed {
				c.Patients = rest
			}
			xx, yy, xy := s[2]-s[0]*s[0]/n, s[3]-s[1]*s[1]/n, s[4]-s[0]*s[1]/n
			if n >= float64(cell) && n > 1 && xx > constantSquares*n && yy > constantSquares*n {
				r := min(max(xy/math.Sqrt(xx*yy), -1), 1)
				c.Correlation = &r
			}
			d.out.Correlations = append(d.out.Correlations, c)
			at++
		}
	}
}

// constantSquares is the mean square about the mean, in units of half the
// declared range, below which a number is the same for everyone but for
// rounding.
const constantSquares = 1e-20

func (d *Descriptions) crossTables(cells []float64) {
	all := whole(cells)
	for _, c := range crossings(d.study) {
		counts := make([][]int, len(c[0].Names))
		for i := range counts {
			counts[i], all = all[:len(c[1].Names)], all[len(c[1].Names):]
		}
		d.out.CrossTables = append(d.out.CrossTables, CrossTable{Rows: c[0].Column, Columns: c[1].Column,
			RowNames: c[0].Names, ColumnNames: c[1].Names, Cells: suppressTable(counts, d.study.Fairness.MinimumCell)})
	}
}

// suppressTable withholds small cells, and as many others as it takes for no
// row or column to have exactly one that is withheld: the smallest that is not
// zero, or a zero where there is no other.
func suppressTable(counts [][]int, cell int) [][]Count {
	hidden := make([][]bool, len(counts))
	for i, row := range counts {
		hidden[i] = make([]bool, len(row))
		for j, n := range row {
			hidden[i][j] = Suppress(n, cell).State == Suppressed
		}
	}
	type position struct{ i, j int }
	lines := make([][]position, 0, len(counts)+len(counts[0]))
	for i := range counts {
		var line []position
		for j := range counts[i] {
			line = append(line, position{i, j})
		}
		lines = append(lines, line)
	}
	for j := range counts[0] {
		var line []position
		for i := range counts {
			line = append(line, position{i, j})
		}
		lines = append(lines, line)
	}
	for changed := true; changed; {
		changed = false
		for _, line := range lines {
			open := slices.DeleteFunc(slices.Clone(line), func(p position) bool { return hidden[p.i][p.j] })
			if len(line)-len(open) != 1 || len(open) == 0 {
				continue
			}
			least := slices.MinFunc(open, func(a, b position) int {
				return rankOf(counts[a.i][a.j]) - rankOf(counts[b.i][b.j])
			})
			hidden[least.i][least.j], changed = true, true
		}
	}
	out := make([][]Count, len(counts))
	for i, row := range counts {
		for j, n := range row {
			c := Suppress(n, cell)
			if hidden[i][j] {
				c = Count{State: Suppressed}
			}
			out[i] = append(out[i], c)
		}
	}
	return out
}

// rankOf orders cells by how gladly they are withheld: a zero comes last.
func rankOf(n int) int {
	if n == 0 {
		return math.MaxInt
	}
	return n
}
