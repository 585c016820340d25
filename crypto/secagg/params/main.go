// Params prints how hard the suites of the secure sum are believed to be to
// break, and fails when one of them is below 128 bits:
//
//	go run ./crypto/secagg/params
//
// It costs the two attacks that decide for such parameters, the primal one
// through a unique shortest vector and the dual distinguisher, in the two cost
// models behind the published tables. Each suite is looked at twice: fresh, as
// before an opening, and hinted, as an opening leaves it with two honest
// contributors. Then each key and each error is known up to a Gaussian whose
// deviation is smaller by sqrt(2); that nothing else is lost is the Hint-RLWE
// assumption, which no estimate proves.
//
// The least of all numbers in the columns BDGL16 and MATZOV counts. The core-SVP
// columns leave out every polynomial factor and are lower for all published
// parameters too: the caps of the standards are at 95 to 101 bits by them.
//
// What is left out: attacks on the ring's structure, of which none is known that
// helps for power-of-two cyclotomics with such errors; hybrids with guessing and
// bounded-distance decoding, which at the caps of [SG24], where they are counted
// and these columns say 128.3 to 129.5, can take off no more than those 1.5 bits;
// memory, which the attacker is given for nothing. The tests of this package hold
// the numbers against those that others published.
//
//	[ADPS16]   Alkim, Ducas, Pöppelmann, Schwabe. Post-quantum key exchange: a new hope. USENIX Security 2016.
//	[AGVW17]   Albrecht, Göpfert, Virdia, Wunderer. Revisiting the expected cost of solving uSVP. ASIACRYPT 2017.
//	[APS15]    Albrecht, Player, Scott. On the concrete hardness of learning with errors. J. Math. Cryptology 2015, and the lattice estimator that grew from it.
//	[BaiGal14] Bai, Galbraith. Lattice decoding attacks on binary LWE. ACISP 2014.
//	[BDGL16]   Becker, Ducas, Gama, Laarhoven. New directions in nearest neighbor searching. SODA 2016.
//	[Chen13]   Chen. Réduction de réseau et sécurité concrète du chiffrement complètement homomorphe. 2013.
//	[Ducas18]  Ducas. Shortest vector from lattice sieving: a few dimensions for free. EUROCRYPT 2018.
//	[HES18]    Albrecht and others. Homomorphic Encryption Standard. HomomorphicEncryption.org 2018.
//	[MATZOV22] Report on the security of LWE: improved dual lattice attack. 2022.
//	[SG24]     Bossuat and others. Security Guidelines for Implementing Homomorphic Encryption. ePrint 2024/463.
package main

import (
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"text/tabwriter"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// required is the least estimate, in bits, that a suite may have.
const required = 128

func main() { os.Exit(run(os.Stdout, secagg.Suites())) }

func run(out io.Writer, suites []secagg.Parameters) int {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "suite\tN\tlog2 q\tsigma\t\tattack\tbeta\td\tcore-SVP\tquantum\tBDGL16\tMATZOV\t")
	least := math.Inf(1)
	var weakest string
	for _, s := range suites {
		for _, state := range []struct {
			name  string
			sigma float64
		}{{"fresh", s.Sigma}, {"hinted", s.Sigma / math.Sqrt2}} {
			in := instance{n: s.Degree, logQ: logarithm(s.Modulus), secret: state.sigma, error: state.sigma}
			for _, a := range []struct {
				name  string
				mount func(instance, model) attack
			}{{"primal", primal}, {"dual", dual}} {
				bdgl, gates := a.mount(in, sieve), a.mount(in, matzov)
				fmt.Fprintf(table, "%s\t%d\t%.2f\t%.2f\t%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n",
					s.Suite, s.Degree, in.logQ/math.Ln2, state.sigma, state.name, a.name, gates.beta, gates.d,
					a.mount(in, coreSVP).bits, a.mount(in, quantumCoreSVP).bits, bdgl.bits, gates.bits)
				if bits := min(bdgl.bits, gates.bits); bits < least {
					least, weakest = bits, s.Suite
				}
			}
		}
	}
	table.Flush()
	if len(suites) == 0 {
		fmt.Fprintln(out, "there is no suite to estimate")
		return 1
	}
	if least < required {
		fmt.Fprintf(out, "\n%s is estimated at %.1f bits: below the %d that every suite must have\n", weakest, least, required)
		return 1
	}
	fmt.Fprintf(out, "\nleast estimate: %.1f bits (%s); required: %d\n", least, weakest, required)
	return 0
}

// logarithm is the natural logarithm of a large integer.
func logarithm(q *big.Int) float64 {
	mantissa := new(big.Float)
	exponent := new(big.Float).SetInt(q).MantExp(mantissa)
	m, _ := mantissa.Float64()
	return math.Log(m) + float64(exponent)*math.Ln2
}
