package secagg

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

const (
	// MaxInvited keeps honest sums of keys and errors within sumBound, which is
	// less than a sixteenth of the noise bits (65521 < 2^20 / 16), so that a random
	// coefficient passes the noise check with probability below 2^-4, and lets
	// residues of 53 bits be added in 64 without reduction.
	MaxInvited = 1024

	// MaxLength bounds a layout's values, so that no size computed from a plan
	// overflows or allocates without limit.
	MaxLength = 1 << 28

	maxFields    = 1 << 12
	maxNameBytes = 256
	maxFracBits  = 126
	maxSlotBits  = 127
)

// Field is a run of numbers in a layout. A number is rounded to the nearest
// multiple of 2^-FracBits, ties to even; a computation that wants another
// rounding rounds first, since a multiple is carried exactly.
type Field struct {
	Name     string  `json:"name"`
	Length   int     `json:"length"`
	FracBits int     `json:"frac_bits"` // a number v is carried as the integer nearest to v * 2^FracBits
	Bound    float64 `json:"bound"`     // inclusive, on the magnitude of each number of one contribution
}

// integerBound is the largest magnitude of an encoded value. Rounding is
// monotone, so a value within Bound never exceeds it.
func (f Field) integerBound() word128 {
	return integer128(math.RoundToEven(f.Bound * scale(f.FracBits)))
}

// slotBits is the width of a slot for the sum of n offset values, each in
// [0, 2*bound].
func (f Field) slotBits(n int) uint {
	return uint(f.integerBound().bitLen() + 1 + headroom(n))
}

// headroom is ceil(log2 n): the bits by which a sum of n is wider than one.
func headroom(n int) int { return bits.Len(uint(n - 1)) }

// scale is 2^fracBits, exactly.
func scale(fracBits int) float64 { return math.Ldexp(1, fracBits) }

// Layout says what the numbers of a contribution are, in order.
type Layout []Field

// Length is the number of values of a contribution.
func (l Layout) Length() int {
	n := 0
	for _, f := range l {
		n += f.Length
	}
	return n
}

// boundDigits is how far, of a bound, two kinds of machine may be apart that
// compute it: some fuse a product and a sum into one rounding.
const boundDigits = 1e-12

// Agrees reports whether two layouts are the same but for the last digits of their
// bounds. What is sealed and opened goes by the plan's layout, never by one that
// merely agrees with it.
func (l Layout) Agrees(other Layout) bool {
	return slices.EqualFunc(l, other, func(a, b Field) bool {
		return a.Name == b.Name && a.Length == b.Length && a.FracBits == b.FracBits && math.Abs(a.Bound-b.Bound) <= boundDigits*a.Bound
	})
}

// Validate checks that every field can be summed over as many contributions as
// there are invited sites without any slot overflowing.
func (l Layout) Validate(invited int) error {
	if invited < 2 || invited > MaxInvited {
		return &SpecError{"invited sites", fmt.Sprintf("%d of them; a secure sum is over 2 to %d", invited, MaxInvited)}
	}
	if len(l) == 0 || len(l) > maxFields {
		return &SpecError{"layout", fmt.Sprintf("%d fields; needs 1 to %d", len(l), maxFields)}
	}
	total := 0
	seen := make(map[string]bool, len(l))
	for _, f := range l {
		refuse := func(format string, args ...any) error {
			return &SpecError{fmt.Sprintf("field %.*q", maxNameBytes, f.Name), fmt.Sprintf(format, args...)}
		}
		switch {
		case f.Name == "" || len(f.Name) > maxNameBytes:
			return refuse("its name is %d bytes long; needs 1 to %d", len(f.Name), maxNameBytes)
		case !utf8.ValidString(f.Name):
			return refuse("its name is not UTF-8")
		case seen[f.Name]:
			return refuse("the layout has it twice")
		case f.Length < 1 || f.Length > MaxLength-total:
			return refuse("length %d; a field has at least one value and a layout at most %d", f.Length, MaxLength)
		case f.FracBits < 0 || f.FracBits > maxFracBits:
			return refuse("%d fractional bits; needs 0 to %d", f.FracBits, maxFracBits)
		case !(f.Bound > 0) || math.IsInf(f.Bound, 0):
			return refuse("its bound is not a positive, finite number")
		}
		// In floating point first: the exact bound is only computed once it is
		// known to fit.
		if f.Bound*scale(f.FracBits) >= math.Ldexp(1, maxSlotBits-1) || f.slotBits(invited) > maxSlotBits {
			return refuse("a sum over %d sites could overflow a slot of %d bits; lower the bound or the fractional bits", invited, maxSlotBits)
		}
		if f.integerBound() == (word128{}) {
			return refuse("its bound rounds to zero at %d fractional bits; every value would be lost", f.FracBits)
		}
		seen[f.Name] = true
		total += f.Length
	}
	return nil
}
