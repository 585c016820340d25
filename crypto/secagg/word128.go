package secagg

import (
	"math"
	"math/big"
	"math/bits"
)

// word128 is a 128-bit integer: unsigned while values are offset to be
// non-negative, two's complement once the offset is taken away.
type word128 struct{ hi, lo uint64 }

func (a word128) add(b word128) word128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return word128{hi, lo}
}

func (a word128) sub(b word128) word128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return word128{hi, lo}
}

// less compares as unsigned integers.
func (a word128) less(b word128) bool {
	_, borrow := bits.Sub64(a.lo, b.lo, 0)
	_, borrow = bits.Sub64(a.hi, b.hi, borrow)
	return borrow != 0
}

func (a word128) shl(n uint) word128 {
	if n >= 64 {
		return word128{a.lo << (n - 64), 0}
	}
	return word128{a.hi<<n | a.lo>>(64-n), a.lo << n}
}

func (a word128) shr(n uint) word128 {
	if n >= 64 {
		return word128{0, a.hi >> (n - 64)}
	}
	return word128{a.hi >> n, a.hi<<(64-n) | a.lo>>n}
}

// low keeps the n lowest bits.
func (a word128) low(n uint) word128 {
	switch {
	case n >= 128:
		return a
	case n >= 64:
		return word128{a.hi & (1<<(n-64) - 1), a.lo}
	default:
		return word128{0, a.lo & (1<<n - 1)}
	}
}

// times multiplies by a small factor; the caller knows that the product fits.
func (a word128) times(n uint64) word128 {
	hi, lo := bits.Mul64(a.lo, n)
	return word128{hi + a.hi*n, lo}
}

// bitLen is the number of bits of an unsigned integer.
func (a word128) bitLen() int {
	if a.hi != 0 {
		return 64 + bits.Len64(a.hi)
	}
	return bits.Len64(a.lo)
}

func (a word128) negative() bool { return a.hi>>63 != 0 }

func (a word128) neg() word128 { return word128{}.sub(a) }

// magnitude is the absolute value of a two's complement integer.
func (a word128) magnitude() word128 {
	if a.negative() {
		return a.neg()
	}
	return a
}

// big converts a two's complement integer.
func (a word128) big() *big.Int {
	m := a.magnitude()
	z := new(big.Int).SetUint64(m.hi)
	z.Lsh(z, 64).Or(z, new(big.Int).SetUint64(m.lo))
	if a.negative() {
		z.Neg(z)
	}
	return z
}

// float is the float64 nearest to a two's complement integer, ties to even.
func (a word128) float() float64 {
	m := a.magnitude()
	shift := m.bitLen() - 64
	var f float64
	if shift <= 0 {
		f = float64(m.lo)
	} else {
		// What is shifted out is kept as a sticky lowest bit, so that the one
		// rounding is that of the conversion.
		top := m.shr(uint(shift)).lo
		if m.low(uint(shift)) != (word128{}) {
			top |= 1
		}
		f = math.Ldexp(float64(top), shift)
	}
	if a.negative() {
		return -f
	}
	return f
}

// integer128 converts a float64 that is an integer of magnitude below 2^127.
func integer128(f float64) word128 {
	if math.Abs(f) < 1<<63 {
		n := int64(f)
		return word128{uint64(n >> 63), uint64(n)}
	}
	m, e := math.Frexp(math.Abs(f)) // f = m * 2^e, m in [1/2, 1)
	w := word128{0, uint64(m * (1 << 53))}.shl(uint(e - 53))
	if f < 0 {
		return w.neg()
	}
	return w
}
