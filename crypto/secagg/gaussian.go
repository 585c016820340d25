package secagg

import "math/bits"

// Keys and errors are discrete Gaussian with standard deviation 4.6, cut at 42:
// P(x) is proportional to exp(-x^2 / (2 * 4.6^2)) for integers x in [-42, 42].
// 42 is the least at which what is cut off, 2^-65.4, and with it the distance
// in total variation from the Gaussian over all integers, is below 2^-64.
const errorBound = 42

// sumBound is the largest magnitude that a coefficient of the sum of so many
// keys, or of so many errors, is let to have: what they can reach and, beyond 780
// of them, what the field of the key shares can tell apart. That many are
// beyond that with a probability below 2^-35000: a sum of n keys has a
// deviation of 4.6 * sqrt(n), 148 at most. TestHonestSumsAreWithinTheirBound
// proves it of the table below.
func sumBound(contributors int) int64 { return min(int64(contributors)*errorBound, shamirPrime/2) }

// gaussianTable holds 2 * round(2^127 * P(|x| <= k)) for k = 0 .. 41, high word
// first. TestGaussianTable computes it anew from the definition with 512-bit
// arithmetic.
var gaussianTable = [errorBound]word128{
	{0x1633b69c5f7d24a7, 0x37c05cd35f3a3c38},
	{0x4191aea14e0513ca, 0xa8443906a468925c},
	{0x69f7e57de5951f73, 0x5b2473b684ce52f6},
	{0x8ddda059e5d45ab2, 0xc60d738dca387374},
	{0xac4a5fd2ca2f2862, 0x85e8e1cf8d448036},
	{0xc4e30155f11a5786, 0xae7023645a8c4cee},
	{0xd7da664b61b81b88, 0x2c8707c493fcf364},
	{0xe5cd9e548e82680a, 0x71f69e237df7803e},
	{0xef970f21ae2e03ea, 0xf90ec6bb3fa08b90},
	{0xf623a6bdc0f0500d, 0x928ae614a4bd31d6},
	{0xfa51ce4877cec5ff, 0x4f04ed02c2ccf338},
	{0xfcdd588e6c0e7f40, 0xf7f004690ccf5032},
	{0xfe57b62192eaadeb, 0x410813c1c19c0e50},
	{0xff294b9329b3f0c6, 0x13ee53a10165265a},
	{0xff98076009c5c3fb, 0xc3abc1b1218b45e8},
	{0xffcfd593f96ca529, 0x976eae3a4fb7599e},
	{0xffeaa8f0ac91e7d9, 0x4b9f06baae94c242},
	{0xfff6f5b1c40cf964, 0xa88a6fa3bc5e6950},
	{0xfffc56c993ec29ec, 0x4a60693b432a9f86},
	{0xfffe9540950a7bdd, 0x81a56ee2ae4a3dbe},
	{0xffff79d53688c871, 0x9de160d881a05e34},
	{0xffffd0964f124c96, 0x970e3b531b161956},
	{0xffffeffe58ef1e7c, 0x86e65a73042dd802},
	{0xfffffad69d04ad86, 0x75d4c1000c658f00},
	{0xfffffe69054a5dbe, 0xaf83ff14e7059c70},
	{0xffffff884b0a9d78, 0xa4e59dad77c788ea},
	{0xffffffde609fdf47, 0xb64d7399d220f934},
	{0xfffffff6fb9893bd, 0x338b748d4ee007e4},
	{0xfffffffdb0ea4740, 0xdb6c7bf9b811c882},
	{0xffffffff6f8112ed, 0xf9134b6b73250378},
	{0xffffffffde476967, 0xac89a47216b84b68},
	{0xfffffffff87ce59c, 0x360148fd1672eba6},
	{0xfffffffffe670ff2, 0x18e67dd832a7aafe},
	{0xffffffffffacffb6, 0x072b110e10d4aa24},
	{0xffffffffffefebbb, 0x01efff64b5769d90},
	{0xfffffffffffd06f0, 0xcfb1bb836ffcfb06},
	{0xffffffffffff79b5, 0x55b71b44971834a6},
	{0xffffffffffffe963, 0x006ee193b7a1c90c},
	{0xfffffffffffffc5e, 0x01a67b51fa1276fa},
	{0xffffffffffffff71, 0xb5087e175e14ae90},
	{0xffffffffffffffeb, 0x821695a5ca85f072},
	{0xfffffffffffffffd, 0x7902c04a5b7e0e78},
}

// gaussianPlain fills out with samples, each from 128 random bits: 127 choose the
// magnitude by inversion of the table, one the sign. Every sample looks at the
// whole table and branches on nothing secret.
func (g *generator) gaussianPlain(out []int64) {
	for k := range out {
		hi, lo := g.uint64(), g.uint64()
		sign := lo & 1 // entries are even: this bit changes no comparison
		var magnitude uint64
		for i := range gaussianTable {
			t := &gaussianTable[i]
			_, borrow := bits.Sub64(lo, t.lo, 0)
			_, borrow = bits.Sub64(hi, t.hi, borrow)
			magnitude += 1 - borrow // one more for each entry not above the draw
		}
		out[k] = int64((magnitude ^ -sign) + sign)
	}
}

// residue is x mod p for a small x, without a branch on its sign.
func residue(x int64, p uint64) uint64 { return uint64(x) + p&uint64(x>>63) }
