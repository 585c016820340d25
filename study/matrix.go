package study

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Matrix holds one site's usable records: design, outcome and groups. It is
// immutable and safe for concurrent use.
//
// A Matrix has no printable form. Every fmt verb, a log field, and JSON or
// text encoding give a redaction or an error. Its content is behind a function,
// which reflection cannot open: fmt does not ask the methods of an unexported
// field, and follows a pointer there when the verb does not suit it.
type Matrix struct{ rows func() *rows }

// rows stores numbers and level indices, not dummies: a category of 200 levels
// costs one number per record.
type rows struct {
	study    *Study
	features []float64 // records x features: a number in its unit, or a level's index
	outcomes []float64 // own unit, or 0 and 1; a survival outcome's time
	events   []bool    // nil but for a survival outcome
	offsets  []float64 // nil without an offset
	weights  []float64 // nil without weights
	folds    []uint16  // nil without a validation by patients
	groups   []uint8   // records x attributes
	windows  []uint8   // nil but of a study that monitors
	// dummies[f][k] is the term of level k of feature f, -1 for the reference;
	// for a number dummies[f] is nil and first[f] its term.
	dummies  [][]int
	first    []int
	products []int // the terms that are products
	memo     *memo
}

func newRows(s *Study) *rows {
	r := &rows{study: s, dummies: make([][]int, len(s.Features)), first: make([]int, len(s.Features)), memo: &memo{}}
	for i, f := range s.Features {
		if f.Type == Category {
			r.dummies[i] = slices.Repeat([]int{-1}, len(f.Levels))
		}
	}
	for t, term := range s.terms {
		switch {
		case term.Product != nil:
			r.products = append(r.products, t)
		case term.Knot > 0: // written by its curve
		case term.Feature >= 0 && term.Level >= 0:
			r.dummies[term.Feature][term.Level] = t
		case term.Feature >= 0:
			r.first[term.Feature] = t
		}
	}
	return r
}

// take appends all of a record but its features and groups, as far as the
// study has it.
func (r *rows) take(fold uint16, y float64, event bool, offset, weight float64) {
	r.outcomes = append(r.outcomes, y)
	if r.study.Outcome.Event != nil {
		r.events = append(r.events, event)
	}
	if r.study.Model.Offset != nil {
		r.offsets = append(r.offsets, offset)
	}
	if r.study.Model.Weights != nil {
		r.weights = append(r.weights, weight)
	}
	if r.study.Validation.byPatient() {
		r.folds = append(r.folds, fold)
	}
}

func (r *rows) snapshot() *rows {
	s := *r
	s.memo = &memo{}
	s.features = slices.Clip(r.features)
	s.outcomes = slices.Clip(r.outcomes)
	s.events = slices.Clip(r.events)
	s.offsets = slices.Clip(r.offsets)
	s.weights = slices.Clip(r.weights)
	s.folds = slices.Clip(r.folds)
	s.groups = slices.Clip(r.groups)
	s.windows = slices.Clip(r.windows)
	return &s
}

// expand appends a row of the design matrix, given one value per feature.
func (r *rows) expand(dst, values []float64) []float64 {
	start, p := len(dst), len(r.study.terms)
	dst = slices.Grow(dst, p)[:start+p]
	row := dst[start:]
	clear(row)
	row[0] = 1
	for f, x := range values {
		switch {
		case r.dummies[f] == nil:
			row[r.first[f]] = x
		case math.IsNaN(x): // missing and kept: so is each of its terms
			for _, t := range r.dummies[f] {
				if t >= 0 {
					row[t] = x
				}
			}
		default:
			if t := r.dummies[f][int(x)]; t >= 0 {
				row[t] = 1
			}
		}
	}
	for _, t := range r.products {
		pair := r.study.terms[t].Product
		row[t] = row[pair[0]] * row[pair[1]]
	}
	for i := range r.study.curves {
		c := &r.study.curves[i]
		c.write(row, values[c.feature])
	}
	return dst
}

// Rows is the number of usable records.
func (m *Matrix) Rows() int { return len(m.rows().outcomes) }

// Terms are the columns, as [Study.Terms].
func (m *Matrix) Terms() []Term { return m.rows().study.Terms() }

// Row is record i in the order of Terms: 1 for the intercept, numbers in their
// own unit, 0 or 1 for levels, and NaN for what is missing and kept.
func (m *Matrix) Row(i int) []float64 {
	return m.AppendRow(nil, i)
}

// AppendRow appends what Row returns, for loops that reuse a slice.
func (m *Matrix) AppendRow(dst []float64, i int) []float64 {
	r := m.rows()
	n := len(r.study.Features)
	return r.expand(dst, r.features[i*n:(i+1)*n])
}

// Outcome of record i in the outcome's own unit, 0 or 1 for a binary one, the
// time for a survival outcome.
func (m *Matrix) Outcome(i int) float64 { return m.rows().outcomes[i] }

// Event reports whether the event of a survival outcome happened to record i at
// its time; if not, the record is censored there.
func (m *Matrix) Event(i int) bool { return m.rows().events[i] }

// Offset of record i, 0 if the model has none.
func (m *Matrix) Offset(i int) float64 {
	if offsets := m.rows().offsets; offsets != nil {
		return offsets[i]
	}
	return 0
}

// Weight of record i, 1 if the model has none.
func (m *Matrix) Weight(i int) float64 {
	if weights := m.rows().weights; weights != nil {
		return weights[i]
	}
	return 1
}

// Fold of record i in a validation by patients, 0 without one.
func (m *Matrix) Fold(i int) int {
	if folds := m.rows().folds; folds != nil {
		return int(folds[i])
	}
	return 0
}

// Window of record i in a study that monitors, 0 in any other.
func (m *Matrix) Window(i int) int {
	if windows := m.rows().windows; windows != nil {
		return int(windows[i])
	}
	return 0
}

// Value of record i's feature: a number in its unit, the index of a level, or
// NaN for what is missing and kept.
func (m *Matrix) Value(i, feature int) float64 {
	r := m.rows()
	return r.features[i*len(r.study.Features)+feature]
}

// Knotted is the matrix of the same records whose terms are those of
// [Study.Knotted].
func (m *Matrix) Knotted(knots [][]float64) (*Matrix, error) {
	all := m.rows()
	s, err := all.study.Knotted(knots)
	if err != nil {
		return nil, err
	}
	knotted := *all
	knotted.study = s
	knotted.memo = &memo{}
	return &Matrix{func() *rows { return &knotted }}, nil
}

// Select is the matrix of the records for which keep holds, in their order.
func (m *Matrix) Select(keep func(i int) bool) *Matrix {
	all := m.rows()
	some := *all
	some.memo = &memo{}
	some.features, some.outcomes, some.events, some.offsets, some.weights, some.folds, some.groups, some.windows = nil, nil, nil, nil, nil, nil, nil, nil
	f, a := len(all.study.Features), len(all.study.Fairness.Attributes)
	for i := range all.outcomes {
		if !keep(i) {
			continue
		}
		some.features = append(some.features, all.features[i*f:(i+1)*f]...)
		some.outcomes = append(some.outcomes, all.outcomes[i])
		some.groups = append(some.groups, all.groups[i*a:(i+1)*a]...)
		if all.events != nil {
			some.events = append(some.events, all.events[i])
		}
		if all.offsets != nil {
			some.offsets = append(some.offsets, all.offsets[i])
		}
		if all.weights != nil {
			some.weights = append(some.weights, all.weights[i])
		}
		if all.folds != nil {
			some.folds = append(some.folds, all.folds[i])
		}
		if all.windows != nil {
			some.windows = append(some.windows, all.windows[i])
		}
	}
	return &Matrix{func() *rows { return &some }}
}

// Memo returns what build made for the key the first time it was asked: work
// on the same records, such as their bins, that the next question needs again.
// It lives and dies with the matrix. A key is of a type of the caller's own
// package, and is used by one caller at a time; build must not ask for a memo.
func (m *Matrix) Memo(key any, build func() any) any {
	memo := m.rows().memo
	memo.mu.Lock()
	defer memo.mu.Unlock()
	if value, ok := memo.known[key]; ok {
		return value
	}
	if memo.known == nil {
		memo.known = map[any]any{}
	}
	memo.known[key] = build()
	return memo.known[key]
}

// memo is shared by a matrix and nobody else.
type memo struct {
	mu    sync.Mutex
	known map[any]any
}

// Group of record i under an attribute, by their indices. The number of the
// attribute's levels stands for the group unknown.
func (m *Matrix) Group(i, attribute int) int {
	r := m.rows()
	return int(r.groups[i*len(r.study.Fairness.Attributes)+attribute])
}

const redaction = "[records withheld]"

var errPrivate = errors.New("records have no encoding: they never leave the site")

func (Matrix) Format(f fmt.State, _ rune)   { fmt.Fprint(f, redaction) }
func (Matrix) String() string               { return redaction }
func (Matrix) GoString() string             { return redaction }
func (Matrix) MarshalJSON() ([]byte, error) { return nil, errPrivate }
func (Matrix) MarshalText() ([]byte, error) { return nil, errPrivate }
func (Matrix) GobEncode() ([]byte, error)   { return nil, errPrivate }

func (Builder) Format(f fmt.State, _ rune)   { fmt.Fprint(f, redaction) }
func (Builder) String() string               { return redaction }
func (Builder) GoString() string             { return redaction }
func (Builder) MarshalJSON() ([]byte, error) { return nil, errPrivate }
func (Builder) MarshalText() ([]byte, error) { return nil, errPrivate }
func (Builder) GobEncode() ([]byte, error)   { return nil, errPrivate }
