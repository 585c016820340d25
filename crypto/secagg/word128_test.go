package secagg

import (
	"math"
	"math/big"
	mathrand "math/rand"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// bigRandom feeds math/big, which takes the older generator.
func bigRandom(r *rand.Rand) *mathrand.Rand { return mathrand.New(mathrand.NewSource(r.Int64())) }

var two128 = new(big.Int).Lsh(big.NewInt(1), 128)

func (a word128) unsigned() *big.Int { return bigWords([]uint64{a.lo, a.hi}) }

func drawWord(t *rapid.T, name string) word128 {
	w := word128{rapid.Uint64().Draw(t, name+" high"), rapid.Uint64().Draw(t, name+" low")}
	return w.shr(uint(rapid.IntRange(0, 127).Draw(t, name+" shift")))
}

func TestWord128AgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawWord(t, "a"), drawWord(t, "b")
		n := uint(rapid.IntRange(0, 128).Draw(t, "n"))
		small := rapid.Uint64Range(0, MaxInvited).Draw(t, "factor")
		mod := func(z *big.Int) *big.Int { return z.Mod(z, two128) }
		same := func(what string, got word128, want *big.Int) {
			if got.unsigned().Cmp(want) != 0 {
				t.Fatalf("%s: %x, want %x", what, got.unsigned(), want)
			}
		}
		x, y := a.unsigned(), b.unsigned()
		same("add", a.add(b), mod(new(big.Int).Add(x, y)))
		same("sub", a.sub(b), mod(new(big.Int).Sub(x, y)))
		same("shl", a.shl(n), mod(new(big.Int).Lsh(x, n)))
		same("shr", a.shr(n), new(big.Int).Rsh(x, n))
		same("low", a.low(n), new(big.Int).Mod(x, new(big.Int).Lsh(big.NewInt(1), n)))
		same("times", a.times(small), mod(new(big.Int).Mul(x, new(big.Int).SetUint64(small))))
		if a.less(b) != (x.Cmp(y) < 0) || a.bitLen() != x.BitLen() {
			t.Fatal("less or bitLen")
		}
		signed := x
		if a.negative() {
			signed = new(big.Int).Sub(x, two128)
		}
		if a.big().Cmp(signed) != 0 || a.magnitude().unsigned().CmpAbs(signed) != 0 {
			t.Fatal("big or magnitude")
		}
		want, _ := new(big.Float).SetPrec(53).SetMode(big.ToNearestEven).SetInt(signed).Float64()
		if a.float() != want {
			t.Fatalf("float: %g, want %g", a.float(), want)
		}
	})
}

// Just above halfway between two float64, the difference 100 bits down.
func TestWord128FloatLooksAtEveryBit(t *testing.T) {
	halfway := word128{0, 1}.shl(100).add(word128{0, 1}.shl(47))
	if got, want := halfway.float(), math.Ldexp(1, 100); got != want {
		t.Errorf("a tie: %x, want %x", got, want)
	}
	if got, want := halfway.add(word128{0, 1}).float(), math.Nextafter(math.Ldexp(1, 100), math.Inf(1)); got != want {
		t.Errorf("one above a tie: %x, want %x", got, want)
	}
}

func TestInteger128(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := math.RoundToEven(math.Ldexp(rapid.Float64Range(-1, 1).Draw(t, "mantissa"), rapid.IntRange(0, 126).Draw(t, "exponent")))
		want, _ := new(big.Float).SetFloat64(f).Int(nil)
		if got := integer128(f).big(); got.Cmp(want) != 0 {
			t.Fatalf("%g: %v, want %v", f, got, want)
		}
	})
	for _, f := range []float64{1 << 63, -1 << 63, 1<<63 - 1024, math.Ldexp(1, 126), -math.Ldexp(1, 126), math.Copysign(0, -1)} {
		want, _ := new(big.Float).SetFloat64(f).Int(nil)
		if got := integer128(f).big(); got.Cmp(want) != 0 {
			t.Errorf("%g: %v, want %v", f, got, want)
		}
	}
}
