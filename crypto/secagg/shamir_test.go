package secagg

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFieldArithmetic(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		a, b := random.Uint64N(shamirPrime), random.Uint64N(shamirPrime)
		if got, want := mulField(a, b), a*b%shamirPrime; got != want {
			t.Fatalf("%d * %d = %d, want %d", a, b, got, want)
		}
		if a != 0 && mulField(a, inverseField(a)) != 1 {
			t.Fatalf("inverse of %d", a)
		}
	}
	for _, x := range []uint64{0, 1, shamirPrime - 1, shamirPrime, shamirPrime + 1, 2*shamirPrime - 1} {
		if got := subtractPrime(x); got != x%shamirPrime {
			t.Errorf("%d: %d", x, got)
		}
	}
	for hi := uint64(0); hi < 1<<16; hi += 1 + hi/8 { // what the first fold makes of a multiple of 2^16, and its neighbours
		for _, lo := range []uint64{0, 1, 14, 15, 16, shamirPrime - 1, shamirPrime, 1<<16 - 1} {
			if x := hi<<16 | lo; reduceField(x) != x%shamirPrime {
				t.Fatalf("%d: %d, want %d", x, reduceField(x), x%shamirPrime)
			}
		}
	}
	if x := uint64(1<<32 - 1); reduceField(x) != x%shamirPrime {
		t.Errorf("%d: %d", x, reduceField(x))
	}
	if mulField(shamirPrime-1, shamirPrime-1) != 1 {
		t.Error("(-1)^2 is not 1")
	}
}

// shareSecret shares a small key and returns members' shares.
func shareSecret(t *testing.T, committee, threshold int) ([]int64, [][]byte) {
	t.Helper()
	key := make([]int64, 64)
	random := testGenerator(byte(committee))
	random.gaussian(key)
	return key, shareKey(key, committee, threshold, random)
}

func reconstruct(t *testing.T, points []uint64, shares [][]byte) []uint64 {
	t.Helper()
	weights, err := lagrange(points, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]uint64, len(shares[0])/2)
	evaluate(weights, shares, out)
	return out
}

func TestAnyThresholdOfMembersReconstructs(t *testing.T) {
	const committee = 6
	for threshold := 2; threshold <= committee; threshold++ {
		key, shares := shareSecret(t, committee, threshold)
		for mask := range 1 << committee {
			var points []uint64
			var held [][]byte
			for j := range committee {
				if mask>>j&1 != 0 {
					points, held = append(points, uint64(j+1)), append(held, shares[j])
				}
			}
			if len(points) < threshold {
				continue
			}
			for k, v := range reconstruct(t, points, held) {
				if v != residue(key[k], shamirPrime) {
					t.Fatalf("threshold %d, members %b: coefficient %d", threshold, mask, k)
				}
			}
		}
	}
}

// Below the threshold every secret is equally possible: for one share less,
// there is a polynomial through it and any secret. So what the shares say must
// not depend on the key: the shares of fewer members are uniform for a key of
// all zeros and for one of all maxima.
func TestFewerSharesThanTheThresholdAreUniform(t *testing.T) {
	for _, of := range []int64{0, errorBound, -errorBound} {
		key := slices.Repeat([]int64{of}, 1<<16)
		shares := shareKey(key, 5, 3, testGenerator(9))
		for _, share := range shares {
			counts := make([]float64, 251)
			for k := range len(key) {
				counts[element(share, k)%251]++ // 251 * 261 is 65511: ten elements of 65521 too many
			}
			checkChiSquare(t, "share", chiSquare(counts, float64(len(key))/251), 250)
		}
		// And two together: their difference is uniform as well.
		counts := make([]float64, 251)
		for k := range len(key) {
			counts[(element(shares[0], k)+shamirPrime-element(shares[1], k))%shamirPrime%251]++
		}
		checkChiSquare(t, "difference of two shares", chiSquare(counts, float64(len(key))/251), 250)
	}
}

// The same, exactly: at any point but 0, whatever the secret, a line with a
// uniform slope gives every element of the field once. So a single share of a
// threshold of two says nothing; and each further uniform coefficient is one
// more share that a secret of one's choice fits.
func TestASingleShareIsUniformWhateverTheSecret(t *testing.T) {
	const width = 1 << 16 // what the kernels like; the elements from shamirPrime on are not looked at
	rows, share := make([]byte, 4*width), make([]byte, 2*width)
	for k := range width {
		setElement(rows[2*width:], k, uint64(k)%shamirPrime)
	}
	for _, secret := range []int64{0, 1, errorBound, -errorBound} {
		for k := range width {
			setElement(rows, k, residue(secret, shamirPrime))
		}
		for _, point := range []uint64{1, 2, 20, 683, MaxInvited} {
			kernel.shareRow(rows, point, share)
			seen := make([]bool, shamirPrime)
			for k := range seen {
				seen[element(share, k)] = true
			}
			if i := slices.Index(seen, false); i >= 0 {
				t.Fatalf("secret %d, point %d: no slope gives %d", secret, point, i)
			}
		}
	}
}

// Two shares that a threshold of three leaves open fit every secret, by one
// polynomial each.
func TestSharesBelowTheThresholdFitEverySecret(t *testing.T) {
	_, shares := shareSecret(t, 5, 3)
	a, b := element(shares[1], 0), element(shares[4], 0) // at the points 2 and 5
	for secret := range uint64(shamirPrime) {
		weights, err := lagrange([]uint64{2, 5, 7}, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The third share that makes it so: there is one, since its weight has an inverse.
		rest := (secret + 2*shamirPrime - mulField(weights[0], a) - mulField(weights[1], b)) % shamirPrime
		third := mulField(rest, inverseField(weights[2]))
		sum := (mulField(weights[0], a) + mulField(weights[1], b) + mulField(weights[2], third)) % shamirPrime
		if weights[2] == 0 || sum != secret {
			t.Fatalf("two shares rule the secret %d out", secret)
		}
	}
}

func TestRefusesShamirPointZero(t *testing.T) {
	for _, points := range [][]uint64{{0, 1, 2}, {1, 2, 0}, {shamirPrime, 1}, {math.MaxUint64, 1}} {
		if _, err := lagrange(points, 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("points %v: %v", points, err)
		}
	}
}

func TestRefusesDuplicateShamirPoint(t *testing.T) {
	if _, err := lagrange([]uint64{1, 2, 1}, 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// Shares are additive: the textbook property that lets members add.
func TestSharesAddUp(t *testing.T) {
	a, sharesOfA := shareSecret(t, 4, 3)
	b, sharesOfB := shareSecret(t, 5, 3)
	points := []uint64{1, 2, 4}
	var added [][]byte
	for _, p := range points {
		share := slices.Clone(sharesOfA[p-1])
		for k := range len(a) {
			setElement(share, k, (element(share, k)+element(sharesOfB[p-1], k))%shamirPrime)
		}
		added = append(added, share)
	}
	for k, v := range reconstruct(t, points, added) {
		if v != residue(a[k]+b[k], shamirPrime) {
			t.Fatalf("coefficient %d", k)
		}
	}
}

// Lagrange weights against math/big.
func TestLagrangeAgainstBigIntegers(t *testing.T) {
	p := big.NewInt(shamirPrime)
	random := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		points := make([]uint64, 1+random.IntN(20))
		for i, v := range random.Perm(MaxInvited)[:len(points)] {
			points[i] = uint64(v) + 1
		}
		x := random.Uint64N(MaxInvited + 1)
		weights, err := lagrange(points, x)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range points {
			want := big.NewInt(1)
			for j, b := range points {
				if i != j {
					under := new(big.Int).ModInverse(big.NewInt(int64(a)-int64(b)), p)
					want.Mul(want, big.NewInt(int64(x)-int64(b))).Mul(want, under).Mod(want, p)
				}
			}
			if weights[i] != want.Uint64() {
				t.Fatalf("points %v at %d, weight %d: %d, want %v", points, x, i, weights[i], want)
			}
		}
	}
}

// With two shares to spare or more, the one wrong share is named wherever and
// however it is wrong; with one, the fault is seen; with none, it is not.
func TestOffPolynomialFindsTheOneWrongShare(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	const committee = 9
	for threshold := 2; threshold <= committee; threshold++ {
		_, all := shareSecret(t, committee, threshold)
		for answers := threshold; answers <= committee; answers++ {
			points, shares := make([]uint64, answers), make([][]byte, answers)
			for i, j := range random.Perm(committee)[:answers] {
				points[i], shares[i] = uint64(j+1), slices.Clone(all[j])
			}
			if off, err := offPolynomial(points, shares, threshold); off != -1 || err != nil {
				t.Fatalf("threshold %d, %d honest answers: %d, %v", threshold, answers, off, err)
			}
			liar := random.IntN(answers)
			for _, wrong := range [][]int{{0}, {63}, {5, 6, 7}, random.Perm(64)} {
				bad := slices.Clone(shares)
				bad[liar] = slices.Clone(shares[liar])
				for _, k := range wrong {
					setElement(bad[liar], k, (element(bad[liar], k)+1+random.Uint64N(shamirPrime-1))%shamirPrime)
				}
				off, err := offPolynomial(points, bad, threshold)
				switch spare := answers - threshold; {
				case spare == 0 && (off != -1 || err != nil),
					spare == 1 && !errors.Is(err, ErrInconsistentShares),
					spare >= 2 && (off != liar || err != nil):
					t.Fatalf("threshold %d, %d answers, share %d wrong in %v: %d, %v", threshold, answers, liar, wrong, off, err)
				}
			}
		}
	}
}

func TestOffPolynomialNamesNobodyWhenTwoAreWrong(t *testing.T) {
	_, shares := shareSecret(t, 9, 4)
	points := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}
	shares[2][2*3] ^= 1 // in different coefficients: each alone would be named
	shares[7][2*9] ^= 1
	if _, err := offPolynomial(points, shares, 4); !errors.Is(err, ErrInconsistentShares) {
		t.Errorf("different coefficients: %v", err)
	}
	_, shares = shareSecret(t, 9, 4)
	shares[2][2*3] ^= 1
	shares[7][2*3] ^= 1
	if _, err := offPolynomial(points, shares, 4); !errors.Is(err, ErrInconsistentShares) {
		t.Errorf("the same coefficient: %v", err)
	}
}
