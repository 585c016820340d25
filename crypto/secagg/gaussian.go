package secagg

import "math/bits"

// Keys and errors are discrete Gaussian with standard deviation 4.6, cut at 6
// standard deviations: P(x) is proportional to exp(-x^2 / (2 * 4.6^2)) for
// integers x in [-28, 28].
const errorBound = 28

// gaussianTable holds 2 * round(2^127 * P(|x| <= k)) for k = 0 .. 27, high word
// first. TestGaussianTable computes it anew from the definition with 512-bit
// arithmetic.
var gaussianTable = [errorBound]word128{
	{0x1633b69c92c0697e, 0x68647345b9219a1e},
	{0x4191aea1e569f637, 0x66bf96d6d54a7220},
	{0x69f7e57eda416812, 0x5474ad1f43561a5e},
	{0x8ddda05b2d630974, 0xa330e62189b1da12},
	{0xac4a5fd457fd7a0d, 0xb27222157c1063de},
	{0xc4e30157b7b31c55, 0x762f200dc0ee7434},
	{0xd7da664d541b9e65, 0x3a5bb0f765383b72},
	{0xe5cd9e56a11b9849, 0xcc0d464126922f80},
	{0xef970f23d760142a, 0x6c079c2416375f6c},
	{0xf623a6bff9418090, 0xd856cd80cb998668},
	{0xfa51ce4ab9c6de99, 0x711aa4931685bab0},
	{0xfcdd5890b3e6f35b, 0x300edd6549c0d642},
	{0xfe57b623de2cc026, 0xf2942ea0759809d6},
	{0xff294b9576d9eccb, 0x8729d60a931765ce},
	{0xff98076257eb6cf4, 0x83f65341183b4686},
	{0xffcfd596481327e8, 0x6f47d229f1f8614e},
	{0xffeaa8f2fb765ad1, 0xd8270c9db7cabb18},
	{0xfff6f5b4130dd29a, 0x26b9e1621094ce8c},
	{0xfffc56cbe2f96ebc, 0x9a5229b7482ee6fa},
	{0xfffe9542e41cef13, 0x4b8db23f7e10a990},
	{0xffff79d7859d4b6d, 0xedc7b8938071224a},
	{0xffffd0989e2797e2, 0x0b0e6d004a383a26},
	{0xfffff000a804b24b, 0xd3df057095dceb22},
	{0xfffffad8ec1a5a5f, 0xf38c8aa1e32d9aee},
	{0xfffffe6b546012d7, 0x798b30fb5c2053f2},
	{0xffffff8a9a205528, 0xb953b21335407c18},
	{0xffffffe0afb597be, 0x8ddd01bf9a698072},
	{0xfffffff94aae4c6c, 0xdaf5a3fa32d57cdc},
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
