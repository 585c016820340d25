package secagg

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
)

// Sum is an opened sum: for every value of the layout the exact integer sum
// over the contributors.
type Sum struct {
	round        [32]byte
	layout       Layout
	contributors int
	integers     []word128 // two's complement
}

// Contributors is the number of contributions in the sum.
func (s *Sum) Contributors() int { return s.contributors }

// Values returns, in layout order, the float64 nearest to each exact sum.
func (s *Sum) Values() []float64 {
	out := make([]float64, 0, len(s.integers))
	i := 0
	for _, f := range s.layout {
		for range f.Length {
			// Never subnormal: the integer is 0 or at least 1 in magnitude and
			// FracBits is at most 126. So the scaling is exact.
			out = append(out, math.Ldexp(s.integers[i].float(), -f.FracBits))
			i++
		}
	}
	return out
}

// Integer is the exact sum of the i-th value, in units of 2^-FracBits.
func (s *Sum) Integer(i int) *big.Int { return s.integers[i].big() }

// The canonical bytes of a sum: a tag, the round id, the number of
// contributors as 32 bits, and each integer as 128 bits, two's complement; all
// little-endian.
const (
	sumTag         = "consilium sum 1\n"
	sumHeaderBytes = len(sumTag) + 32 + 4
)

// Bytes is the one encoding of the sum. Opening the same contributions again
// gives the same bytes.
func (s *Sum) Bytes() []byte {
	b := make([]byte, 0, sumHeaderBytes+16*len(s.integers))
	b = append(b, sumTag...)
	b = append(b, s.round[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.contributors))
	for _, v := range s.integers {
		b = binary.LittleEndian.AppendUint64(b, v.lo)
		b = binary.LittleEndian.AppendUint64(b, v.hi)
	}
	return b
}

// ParseSum reads the canonical bytes of a sum of this round. It refuses every
// integer that so many contributors cannot have made.
func (r *Round) ParseSum(b []byte) (*Sum, error) {
	if len(b) != sumHeaderBytes+16*r.packing.values {
		return nil, fmt.Errorf("%w: sum of %d bytes, needs %d", ErrMalformed, len(b), sumHeaderBytes+16*r.packing.values)
	}
	if string(b[:len(sumTag)]) != sumTag {
		return nil, fmt.Errorf("%w: not an opened sum", ErrMalformed)
	}
	b = b[len(sumTag):]
	if [32]byte(b[:32]) != r.spec.ID {
		return nil, fmt.Errorf("%w: the sum is of another round", ErrMalformed)
	}
	contributors := binary.LittleEndian.Uint32(b[32:])
	if contributors < 2 || contributors > uint32(r.spec.Invited) {
		return nil, fmt.Errorf("%w: a sum over %d contributors of %d invited sites", ErrMalformed, contributors, r.spec.Invited)
	}
	b = b[36:]
	s := r.newSum(int(contributors))
	for i := range r.packing.segments {
		g := &r.packing.segments[i]
		highest := g.bound.times(uint64(contributors))
		for k := range g.field.Length {
			v := word128{lo: binary.LittleEndian.Uint64(b), hi: binary.LittleEndian.Uint64(b[8:])}
			b = b[16:]
			if highest.less(v.magnitude()) {
				return nil, fmt.Errorf("%w: value %d of field %q is larger than its contributors can make it", ErrMalformed, k, g.field.Name)
			}
			s.integers[g.first+k] = v
		}
	}
	return s, nil
}

func (r *Round) newSum(contributors int) *Sum {
	return &Sum{
		round: r.spec.ID, layout: r.spec.Layout, contributors: contributors,
		integers: make([]word128, r.packing.values),
	}
}
