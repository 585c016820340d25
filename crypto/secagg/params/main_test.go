package main

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

func TestEverySuiteHas128Bits(t *testing.T) {
	var out strings.Builder
	if code := run(&out, secagg.Suites()); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("\n%s", &out)
	for _, s := range secagg.Suites() {
		if strings.Count(out.String(), s.Suite+" ") < 4 {
			t.Errorf("%s is not estimated fresh and hinted by both attacks", s.Suite)
		}
	}
}

// The command fails: for a modulus that is too large, for an error that is too
// small, and when there is nothing to estimate.
func TestWeakParametersFail(t *testing.T) {
	modulus := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits) }
	for name, weak := range map[string]secagg.Parameters{
		"modulus":   {Suite: "wide", Degree: 4096, Modulus: modulus(120), Sigma: 4.6},
		"error":     {Suite: "quiet", Degree: 2048, Modulus: modulus(53), Sigma: 0.5},
		"dimension": {Suite: "small", Degree: 1024, Modulus: modulus(53), Sigma: 4.6},
	} {
		var out strings.Builder
		if code := run(&out, []secagg.Parameters{weak}); code != 1 || !strings.Contains(out.String(), weak.Suite+" is estimated at") {
			t.Errorf("%s: exit code %d\n%s", name, code, &out)
		}
	}
	if run(&strings.Builder{}, nil) != 1 {
		t.Error("nothing to estimate is a success")
	}
}

// What the lattice estimator prints for Kyber-512, primal_usvp in the geometric
// series model: beta 406, d 998; 2^118.6 by core-SVP, 2^143.8 by MATZOV.
func TestAgreesWithTheLatticeEstimator(t *testing.T) {
	kyber512 := instance{n: 512, logQ: math.Log(3329), secret: math.Sqrt(1.5), error: math.Sqrt(1.5)}
	for _, want := range []struct {
		model model
		bits  float64
	}{{coreSVP, 118.6}, {matzov, 143.8}} {
		got := primal(kyber512, want.model)
		if got.beta != 406 || got.d != 998 || math.Abs(got.bits-want.bits) > 0.1 {
			t.Errorf("%s: %+v, want block size 406 in dimension 998, %.1f bits", want.model.name, got, want.bits)
		}
	}
}

// Table 1 of [ADPS16]: core-SVP bits of both attacks. Its numbers are recalled,
// not copied from the paper: a check of plausibility, weaker than the one above.
func TestAgreesWithNewHope(t *testing.T) {
	for _, want := range []struct {
		name         string
		in           instance
		primal, dual float64 // classical bits
	}{
		{"BCNS", instance{1024, 32 * math.Ln2, 3.192, 3.192}, 86, 86},
		{"JarJar", instance{512, math.Log(12289), math.Sqrt(12), math.Sqrt(12)}, 131, 130},
		{"NewHope", instance{1024, math.Log(12289), math.Sqrt(8), math.Sqrt(8)}, 282, 281},
	} {
		if got := primal(want.in, coreSVP); math.Abs(got.bits-want.primal) > 1.5 {
			t.Errorf("%s, primal: %.1f bits, want %v", want.name, got.bits, want.primal)
		}
		if got := dual(want.in, coreSVP); math.Abs(got.bits-want.dual) > 1.5 {
			t.Errorf("%s, dual: %.1f bits, want %v", want.name, got.bits, want.dual)
		}
	}
}

// The published caps for 128 bits come out as 128 bits, within two: [HES18] for
// ternary secrets by its own model, [SG24] by its own.
func TestPublishedCapsComeOutAs128Bits(t *testing.T) {
	ternary := math.Sqrt(2.0 / 3)
	for _, published := range []struct {
		table string
		model model
		caps  map[int]float64
	}{
		{"[HES18]", sieve, map[int]float64{2048: 54, 4096: 109, 8192: 218}},
		{"[SG24]", matzov, map[int]float64{2048: 53, 4096: 106, 8192: 214}},
	} {
		for n, bits := range published.caps {
			in := instance{n: n, logQ: bits * math.Ln2, secret: ternary, error: 3.19}
			for name, a := range map[string]attack{"primal": primal(in, published.model), "dual": dual(in, published.model)} {
				if a.bits < 127.5 || a.bits > 130 {
					t.Errorf("%s, N %d, %v bits, %s: %.1f, want 128", published.table, n, bits, name, a.bits)
				}
			}
			// Two more bits of modulus are worth two to three bits of security:
			// the estimate moves where the table's limit is.
			in.logQ += 0.04 * in.logQ
			if a := dual(in, published.model); a.bits > 127 {
				t.Errorf("%s, N %d: %.1f bits for a modulus four per cent above its cap", published.table, n, a.bits)
			}
		}
	}
}
