package secagg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"
)

// Sum is an opened sum: for every value of the layout the exact integer sum
// over the contributors.
type Sum struct {
	round        [32]byte
	layout       Layout
	contributors int
	fields       []run // one for each field of the layout
}

// run holds the sums of a field, two's complement, in as little memory as its
// slots allow: one of the three is in use.
type run struct {
	narrow []int32   // slots of up to 32 bits, whose sums are below 2^31 in magnitude
	middle []int64   // of up to 63
	wide   []word128 // wider
}

func newRun(length int, slotBits uint) run {
	switch {
	case slotBits <= 32:
		return run{narrow: make([]int32, length)}
	case slotBits <= 63:
		return run{middle: make([]int64, length)}
	default:
		return run{wide: make([]word128, length)}
	}
}

func (r run) len() int { return len(r.narrow) + len(r.middle) + len(r.wide) }

func (r run) at(i int) word128 {
	switch {
	case r.narrow != nil:
		return extend(int64(r.narrow[i]))
	case r.middle != nil:
		return extend(r.middle[i])
	default:
		return r.wide[i]
	}
}

func (r run) set(i int, v word128) {
	switch {
	case r.narrow != nil:
		r.narrow[i] = int32(v.lo)
	case r.middle != nil:
		r.middle[i] = int64(v.lo)
	default:
		r.wide[i] = v
	}
}

func extend(v int64) word128 { return word128{uint64(v >> 63), uint64(v)} }

// Contributors is the number of contributions in the sum.
func (s *Sum) Contributors() int { return s.contributors }

// Values returns, in layout order, the float64 nearest to each exact sum.
func (s *Sum) Values() []float64 {
	out := make([]float64, 0, s.layout.Length())
	for f, run := range s.fields {
		// Never subnormal: the integer is 0 or at least 1 in magnitude and
		// FracBits is at most 126. So the scaling is exact.
		unit := math.Ldexp(1, -s.layout[f].FracBits)
		for _, v := range run.narrow {
			out = append(out, float64(v)*unit)
		}
		for _, v := range run.middle {
			out = append(out, float64(v)*unit)
		}
		for _, v := range run.wide {
			out = append(out, v.float()*unit)
		}
	}
	return out
}

// Integer is the exact sum of the i-th value, in units of 2^-FracBits.
func (s *Sum) Integer(i int) *big.Int {
	f := 0
	for ; i >= s.fields[f].len(); f++ {
		i -= s.fields[f].len()
	}
	return s.fields[f].at(i).big()
}

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
	b := bytes.NewBuffer(make([]byte, 0, sumHeaderBytes+16*s.layout.Length()))
	s.WriteTo(b) // a buffer never fails
	return b.Bytes()
}

// WriteTo writes the sum's one encoding without holding it in memory.
func (s *Sum) WriteTo(w io.Writer) (int64, error) {
	var written int64
	b := make([]byte, 0, 1<<12)
	b = append(b, sumTag...)
	b = append(b, s.round[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.contributors))
	flush := func() error {
		n, err := w.Write(b)
		written += int64(n)
		b = b[:0]
		return err
	}
	for _, run := range s.fields {
		for i := range run.len() {
			if len(b)+16 > cap(b) {
				if err := flush(); err != nil {
					return written, err
				}
			}
			v := run.at(i)
			b = binary.LittleEndian.AppendUint64(b, v.lo)
			b = binary.LittleEndian.AppendUint64(b, v.hi)
		}
	}
	return written, flush()
}

// ParseSum reads the canonical bytes of a sum of this round. It refuses every
// integer that so many contributors cannot have made.
func (r *Round) ParseSum(b []byte) (*Sum, error) {
	if len(b) != sumHeaderBytes+16*r.packing.values {
		return nil, fmt.Errorf("%w: sum of %d bytes, needs %d", ErrMalformed, len(b), sumHeaderBytes+16*r.packing.values)
	}
	return r.ReadSum(bytes.NewReader(b))
}

// ReadSum is ParseSum without holding the bytes in memory. It reads to the end,
// and believes nothing if that is another error than io.EOF.
func (r *Round) ReadSum(from io.Reader) (*Sum, error) {
	in := bufio.NewReader(from)
	header := make([]byte, sumHeaderBytes)
	if _, err := io.ReadFull(in, header); err != nil {
		return nil, shortSum(err)
	}
	if string(header[:len(sumTag)]) != sumTag {
		return nil, fmt.Errorf("%w: not an opened sum", ErrMalformed)
	}
	header = header[len(sumTag):]
	if [32]byte(header[:32]) != r.spec.ID {
		return nil, fmt.Errorf("%w: the sum is of another round", ErrMalformed)
	}
	contributors := binary.LittleEndian.Uint32(header[32:])
	if contributors < 2 || contributors > uint32(r.spec.Invited) {
		return nil, fmt.Errorf("%w: a sum over %d contributors of %d invited sites", ErrMalformed, contributors, r.spec.Invited)
	}
	s := r.newSum(int(contributors))
	for i := range r.packing.segments {
		g := &r.packing.segments[i]
		highest := g.bound.times(uint64(contributors))
		for k := range g.field.Length {
			value, err := in.Peek(16)
			if err != nil {
				return nil, shortSum(err)
			}
			v := word128{lo: binary.LittleEndian.Uint64(value), hi: binary.LittleEndian.Uint64(value[8:])}
			in.Discard(len(value)) // which are there
			if highest.less(v.magnitude()) {
				return nil, fmt.Errorf("%w: value %d of field %q is larger than its contributors can make it", ErrMalformed, k, g.field.Name)
			}
			s.fields[i].set(k, v)
		}
	}
	switch _, err := in.ReadByte(); err {
	case io.EOF:
		return s, nil
	case nil:
		return nil, fmt.Errorf("%w: a sum that is longer than its layout", ErrMalformed)
	default:
		return nil, err
	}
}

// shortSum words the end of a sum that comes too early.
func shortSum(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: a sum that is shorter than its layout", ErrMalformed)
	}
	return err
}

func (r *Round) newSum(contributors int) *Sum {
	s := &Sum{round: r.spec.ID, layout: r.spec.Layout, contributors: contributors}
	for i := range r.packing.segments {
		g := &r.packing.segments[i]
		s.fields = append(s.fields, newRun(g.field.Length, g.slotBits))
	}
	return s
}
