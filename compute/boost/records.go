package boost

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// records are a site's, in the order in which they are worked on: those that
// train first, then those held out, and for the Cox loss each by descending
// time.
type records struct {
	order   []int // row of the matrix
	train   int   // how many train
	outcome []float64
	events  []bool // nil but for the Cox loss
	weights []float64

	references references
}

func newRecords(s *study.Study, m *study.Matrix) *records {
	held := heldOut(s, m)
	r := &records{order: make([]int, m.Rows()), outcome: make([]float64, m.Rows()), weights: make([]float64, m.Rows()), references: referencesOf(s)}
	for i := range r.order {
		r.order[i] = i
		if !held[i] {
			r.train++
		}
	}
	cox := s.Model.Boost.Loss == study.LossCox
	slices.SortStableFunc(r.order, func(a, b int) int {
		if held[a] != held[b] {
			if held[b] {
				return -1
			}
			return 1
		}
		if cox {
			return cmp.Compare(m.Outcome(b), m.Outcome(a))
		}
		return 0
	})
	for k, i := range r.order {
		r.outcome[k], r.weights[k] = m.Outcome(i), m.Weight(i)
		if s.Outcome.Type == study.Number {
			r.outcome[k] = s.Outcome.Transform(r.outcome[k])
		}
		if cox {
			r.events = append(r.events, m.Event(i))
		}
	}
	return r
}

// heldOut says which records early stopping watches instead of training on
// them. It hangs on the records of the site as a set, not on their order: a
// record's digest, which copy of that record it is, and the digest of all
// records of the site decide. Copies are told apart because where there are few
// columns of few values all patients that are alike would otherwise be held out
// together; sites, because copies at different sites are alike too.
func heldOut(s *study.Study, m *study.Matrix) []bool {
	held := make([]bool, m.Rows())
	if s.Model.Boost.Patience == 0 {
		return held
	}
	name := s.Digest()
	digests := make([]uint64, m.Rows())
	all := uint64(0)
	var row []float64
	for i := range held {
		row = m.AppendRow(row[:0], i)
		row = append(row, m.Outcome(i))
		if s.Outcome.Type == study.Survival && m.Event(i) {
			row = append(row, 1)
		}
		digests[i] = digest(name[:], row)
		all += digests[i]
	}
	copies := make(map[uint64]uint64, len(held))
	for i, d := range digests {
		x := mix(mix(d^mix(all)) + copies[d])
		copies[d]++
		held[i] = float64(x>>11) < s.Model.Boost.Fraction*(1<<53)
	}
	return held
}

func digest(name []byte, values []float64) uint64 {
	h := fnv.New64a()
	h.Write(name)
	var word [8]byte
	for _, v := range values {
		if math.IsNaN(v) {
			v = math.NaN() // of one kind
		}
		binary.LittleEndian.PutUint64(word[:], math.Float64bits(v+0))
		h.Write(word[:])
	}
	return mix(h.Sum64())
}

// mix spreads every bit over all (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// slopes of the loss at the scores: whole numbers, as the scale says.
type slopes struct{ gradient, hessian, squares, value []int64 }

// slopes of records with these keys, before the tree of that number. By the key
// and the number a slope between two whole numbers becomes the one or the other,
// in such shares that the sum over many records errs in neither direction.
func (l *loss) slopes(r *records, keys []uint64, scores []float64, to scale, number int) *slopes {
	n := len(scores)
	out := &slopes{make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)}
	var g, h, v []float64
	if l.cox() {
		g, h, v = make([]float64, n), make([]float64, n), make([]float64, n)
		t := r.train
		l.coxSlopes(r.outcome[:t], r.events[:t], r.weights[:t], scores[:t], g[:t], h[:t], v[:t])
		l.coxSlopes(r.outcome[t:], r.events[t:], r.weights[t:], scores[t:], g[t:], h[t:], v[t:])
	}
	gradient, hessian := math.Ldexp(1, to.Gradient), math.Ldexp(1, to.Hessian)
	square, value := math.Ldexp(1, -to.Squares), math.Ldexp(1, to.Loss)
	turn := mix(uint64(number))
	for i := range n {
		var slope, curve, loss float64
		if l.cox() {
			slope, curve, loss = g[i], h[i], v[i]
		} else {
			slope, curve, loss = l.at(scores[i], r.outcome[i])
		}
		if l.weighted && !l.cox() {
			slope, curve, loss = slope*r.weights[i], curve*r.weights[i], loss*r.weights[i]
		}
		chance := mix(keys[i] ^ turn)
		w := upOrDown(slope*gradient, chance>>40)
		out.gradient[i], out.hessian[i] = w, upOrDown(curve*hessian, chance&(1<<24-1))
		out.squares[i] = int64(math.Ceil(float64(float64(w)*float64(w)) * square))
		out.value[i] = int64(math.RoundToEven(loss * value))
	}
	return out
}

// upOrDown is one of the whole numbers next to x, the upper one where the 24
// bits of chance are high.
func upOrDown(x float64, chance uint64) int64 {
	return int64(math.Floor(x + float64(chance)*0x1p-24))
}

// happened counts events.
func happened(events []bool) int {
	n := 0
	for _, e := range events {
		if e {
			n++
		}
	}
	return n
}
