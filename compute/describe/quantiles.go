package describe

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// StepQuantiles is the name of the question that a search for quantiles repeats.
const StepQuantiles = "describe/quantiles"

// Outcome as the term of a Want is the outcome, if that has a range.
const Outcome = -1

// QuantileRounds is the most questions that a search for quantiles asks.
const QuantileRounds = 5

const (
	firstSplit    = 7       // the declared range is cut into 2^7 bins
	fineSplit     = 6       // and each bin of interest into 2^6, round by round,
	coarseSplit   = 4       // or 2^4 where many quantiles are wanted of one number
	manyQuantiles = 16      // more than these
	deepest       = 40      // bits: bins of a declared range divided by 2^40
	mostBins      = 1 << 24 // of one question
)

// Want asks for quantiles of a number, at ascending probabilities above 0 and
// below 1.
type Want struct {
	Term          int // of the study's terms, a number's; or Outcome
	Probabilities []float64
}

// split is into how many parts, as a power of two, a bin is divided after the
// first question.
func (w Want) split() int {
	if len(w.Probabilities) > manyQuantiles {
		return coarseSplit
	}
	return fineSplit
}

// Quantiles finds quantiles by counting patients in bins. The first question
// divides the declared range evenly; each further one divides the bins in which
// a wanted quantile lies, as long as they hold twice the study's minimum cell. So
// the search closes in on a value that many share, and stops above a value
// that is one patient's: there the quantile is interpolated in its bin.
//
// The quantile at p is the smallest value that a share p of the patients who
// have one do not exceed (definition 1 of Hyndman and Fan, American Statistician
// 50, 1996), up to the width of the last bin.
type Quantiles struct {
	study *study.Study
	wants []*search
	round int
	done  bool
}

// search is the state of one want.
type search struct {
	term      int
	lo, hi    float64
	bits      int // all bins that are still divided are this deep
	split     int
	places    []place // by probability
	dividing  []int64 // bins that the open question divides, ascending
	requested []float64
}

// place is a bin and the rank of the wanted patient in it.
type place struct {
	bits  int
	bin   int64
	rank  int // 1 for the smallest; 0 while the number of patients is unknown
	count int
}

// NewQuantiles begins a search among so many patients.
func NewQuantiles(s *study.Study, patients int, wants []Want) *Quantiles {
	q := &Quantiles{study: s}
	for _, w := range wants {
		r := rangeOf(s, w.Term)
		found := &search{term: w.Term, lo: r.Lo, hi: r.Hi, split: firstSplit, requested: w.Probabilities}
		for range w.Probabilities {
			found.places = append(found.places, place{count: patients})
		}
		q.wants = append(q.wants, found)
	}
	q.choose()
	return q
}

// rangeOf is the declared range of what a want names; zero if it names nothing
// that has quantiles.
func rangeOf(s *study.Study, term int) study.Range { return rangeAmong(s, s.Terms(), term) }

// rangeAmong is rangeOf for who has the study's terms already.
func rangeAmong(s *study.Study, terms []study.Term, term int) study.Range {
	if term == Outcome {
		if s.Outcome.Range != nil && s.Outcome.Type != study.Binary {
			return *s.Outcome.Range
		}
		return study.Range{}
	}
	if term < 0 || term >= len(terms) || terms[term].Feature < 0 || terms[term].Level >= 0 || terms[term].Knot > 0 {
		return study.Range{}
	}
	return study.Range{Lo: terms[term].Lo, Hi: terms[term].Hi}
}

// choose picks the bins that the next question divides.
func (q *Quantiles) choose() {
	q.done = true
	for _, w := range q.wants {
		w.dividing = nil
		for _, p := range w.places {
			if p.bits == w.bits && p.count >= 2*q.study.Fairness.MinimumCell && p.count > 0 {
				w.dividing = append(w.dividing, p.bin)
			}
		}
		slices.Sort(w.dividing)
		w.dividing = slices.Compact(w.dividing)
		if len(w.dividing) > 0 {
			q.done = false
		}
	}
	if q.round >= QuantileRounds {
		q.done = true
	}
}

// divided is the part of a question about one number: each of the bins, of the
// 2^bits into which its range divides, is to be divided by 2^split.
type divided struct {
	Term  int     `json:"term"`
	Bits  int     `json:"bits"`
	Split int     `json:"split"`
	Bins  []int64 `json:"bins"`
}

type quantileParameters struct {
	Numbers []divided `json:"numbers"`
}

// Next is the question whose sum Absorb expects.
func (q *Quantiles) Next() (question compute.Question, done bool, err error) {
	if q.done {
		return question, true, nil
	}
	var p quantileParameters
	for _, w := range q.wants {
		if len(w.dividing) > 0 {
			p.Numbers = append(p.Numbers, divided{w.term, w.bits, w.split, w.dividing})
		}
	}
	question.Step = StepQuantiles
	if question.Parameters, err = compute.EncodeParameters(p); err != nil {
		return question, false, err
	}
	question.Layout, err = QuantilesLayout(q.study, question.Parameters)
	return question, false, err
}

// Absorb takes the opened sum of the question of Next.
func (q *Quantiles) Absorb(sum compute.Sum) error {
	if q.done {
		return errors.New("the quantiles are found: no sum is expected")
	}
	counts := sum.Field("counts")
	for _, w := range q.wants {
		n := len(w.dividing) << w.split
		if len(counts) < n {
			return errors.New("the opened sum does not fit the bins that were asked for")
		}
		w.absorb(counts[:n])
		counts = counts[n:]
	}
	q.round++
	q.choose()
	return nil
}

func (w *search) absorb(counts []float64) {
	for i := range w.places {
		p := &w.places[i]
		at, asked := slices.BinarySearch(w.dividing, p.bin)
		if p.bits != w.bits || !asked {
			continue
		}
		parts := counts[at<<w.split : (at+1)<<w.split]
		total := 0
		for _, c := range parts {
			total += int(math.Round(c))
		}
		switch {
		case total == 0:
			p.count = 0
			continue
		case p.rank == 0:
			p.rank = max(1, int(math.Ceil(w.requested[i]*float64(total)-1e-9)))
		case total != p.count: // a hospital has joined or left
			p.rank = min(max(1, int(math.Ceil(float64(p.rank)/float64(p.count)*float64(total)-1e-9))), total)
		}
		for k, c := range parts {
			n := int(math.Round(c))
			if p.rank <= n {
				*p = place{w.bits + w.split, p.bin<<w.split + int64(k), p.rank, n}
				break
			}
			p.rank -= n
		}
	}
	w.bits += w.split
	w.split = Want{w.term, w.requested}.split()
}

// Values are the quantiles by want and probability, ascending.
func (q *Quantiles) Values() [][]float64 {
	out := make([][]float64, len(q.wants))
	for i, w := range q.wants {
		for j, p := range w.places {
			lo, hi := edge(w.lo, w.hi, p.bits, p.bin), edge(w.lo, w.hi, p.bits, p.bin+1)
			share := w.requested[j]
			if p.rank > 0 && p.count > 0 {
				share = (float64(p.rank) - 0.5) / float64(p.count)
			}
			x := lo + float64((hi-lo)*share)
			if q.round >= QuantileRounds && p.count >= 2*q.study.Fairness.MinimumCell {
				x = simplest(lo, hi) // a value that many share
			}
			out[i] = append(out[i], x)
		}
		for j := 1; j < len(out[i]); j++ {
			out[i][j] = max(out[i][j], out[i][j-1])
		}
	}
	return out
}

// simplest is the number with the fewest decimals in [lo, hi).
func simplest(lo, hi float64) float64 {
	for digits := -12; digits < 18; digits++ {
		unit := math.Pow(10, float64(-digits))
		x := math.Ceil(lo/unit) * unit
		if digits > 0 {
			unit = math.Pow(10, float64(digits))
			x = math.Ceil(lo*unit) / unit
		}
		if lo <= x && x < hi {
			return x + 0 // no minus zero
		}
	}
	return lo
}

// edge is the lower end of a bin. Edges of a coarser division are edges of a
// finer one to the last bit, on every processor: the product is rounded by
// itself.
func edge(lo, hi float64, bits int, bin int64) float64 {
	if bin == int64(1)<<bits {
		return hi
	}
	return lo + float64((hi-lo)*math.Ldexp(float64(bin), -bits))
}

// QuantilesLayout is the vector of StepQuantiles: patients in each bin of each
// number. A bin holds its lower end; the last one of a range both ends.
func QuantilesLayout(s *study.Study, parameters []byte) ([]compute.Field, error) {
	p, err := readQuantiles(s, parameters)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, d := range p.Numbers {
		n += len(d.Bins) << d.Split
	}
	return []compute.Field{{Name: "counts", Length: n, Bound: maxRows}}, nil
}

func readQuantiles(s *study.Study, parameters []byte) (p quantileParameters, err error) {
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return p, err
	}
	if len(p.Numbers) == 0 {
		return p, errors.New("the step asks about no number")
	}
	total, terms := 0, s.Terms()
	for _, d := range p.Numbers {
		if rangeAmong(s, terms, d.Term) == (study.Range{}) {
			return p, fmt.Errorf("term %d of the study is no number, so it has no quantiles", d.Term)
		}
		if d.Bits < 0 || d.Split < 1 || d.Split > firstSplit || d.Bits+d.Split > deepest || len(d.Bins) == 0 {
			return p, fmt.Errorf("the bins of term %d are not such as a search for quantiles asks for", d.Term)
		}
		for i, bin := range d.Bins {
			if bin < 0 || bin >= int64(1)<<d.Bits || i > 0 && bin <= d.Bins[i-1] {
				return p, fmt.Errorf("the bins of term %d are not ascending within its range", d.Term)
			}
		}
		if total += len(d.Bins) << d.Split; total > mostBins {
			return p, fmt.Errorf("the step asks for more than %d bins", mostBins)
		}
	}
	return p, nil
}

// AnswerQuantiles is a site's vector for StepQuantiles.
func AnswerQuantiles(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	p, err := readQuantiles(s, parameters)
	if err != nil {
		return nil, err
	}
	if err := checkRows(m); err != nil {
		return nil, err
	}
	n := 0
	for _, d := range p.Numbers {
		n += len(d.Bins) << d.Split
	}
	out := make([]float64, 0, n)
	columns, terms := Sorted(s, m), s.Terms()
	for _, d := range p.Numbers {
		r, x := rangeAmong(s, terms, d.Term), columns[d.Term]
		below := func(bits int, bin int64) int {
			if bin == int64(1)<<bits {
				return len(x)
			}
			return sort.SearchFloat64s(x, edge(r.Lo, r.Hi, bits, bin))
		}
		for _, bin := range d.Bins {
			first := below(d.Bits, bin)
			inside := x[first:below(d.Bits, bin+1)]
			for k := bin << d.Split; k+1 < (bin+1)<<d.Split; k++ {
				n := sort.SearchFloat64s(inside, edge(r.Lo, r.Hi, d.Bits+d.Split, k+1))
				out, inside = append(out, float64(n)), inside[n:]
			}
			out = append(out, float64(len(inside)))
		}
	}
	return out, nil
}

// sortedColumns is the key of the numbers in ascending order, which every
// question of a search needs again.
type sortedColumns struct{}

// Sorted are the numbers of a site's records in ascending order, by term, and by
// [Outcome] if that has a range; missing values are left out. Nobody may change
// them.
func Sorted(s *study.Study, m *study.Matrix) map[int][]float64 {
	return m.Memo(sortedColumns{}, func() any { return sortColumns(s, m) }).(map[int][]float64)
}

func sortColumns(s *study.Study, m *study.Matrix) map[int][]float64 {
	columns, terms := map[int][]float64{}, s.Terms()
	numbers := make([][]float64, len(terms)) // nil of a term that is none
	for j := range terms {
		if rangeAmong(s, terms, j) != (study.Range{}) {
			numbers[j] = make([]float64, 0, m.Rows())
		}
	}
	var row []float64
	for i := range m.Rows() {
		row = m.AppendRow(row[:0], i)
		for j, x := range row {
			if numbers[j] != nil && !math.IsNaN(x) {
				numbers[j] = append(numbers[j], x)
			}
		}
	}
	for j, x := range numbers {
		if x != nil {
			columns[j] = x
		}
	}
	if rangeOf(s, Outcome) != (study.Range{}) {
		for i := range m.Rows() {
			columns[Outcome] = append(columns[Outcome], m.Outcome(i))
		}
	}
	var room []uint64
	for _, x := range columns {
		sortNumbers(x, &room)
	}
	return columns
}
