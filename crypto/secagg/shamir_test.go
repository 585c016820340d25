package secagg

import (
	"crypto/sha256"
	"errors"
	"fmt"
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
	combined := make([]byte, len(shares[0]))
	kernel.combine(weights, shares, combined)
	out := make([]uint64, len(combined)/2)
	for k := range out {
		out[k] = element(combined, k)
	}
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

// The same, exactly: at any point but 0, whatever the secret, the line through a
// uniform share of the first member takes every element of the field once. So a
// single share of a threshold of two says nothing; and each further uniform share
// is one more that a secret of one's choice fits.
func TestASingleShareIsUniformWhateverTheSecret(t *testing.T) {
	const width = 1 << 16 // what the kernels like; the elements from shamirPrime on are not looked at
	secrets, first, share := make([]byte, 2*width), make([]byte, 2*width), make([]byte, 2*width)
	for k := range width {
		setElement(first, k, uint64(k)%shamirPrime)
	}
	for _, secret := range []int64{0, 1, errorBound, -errorBound} {
		for k := range width {
			setElement(secrets, k, residue(secret, shamirPrime))
		}
		for _, point := range []int{2, 3, 20, 683, MaxInvited} {
			kernel.combine(extrapolation(2, point), [][]byte{secrets, first}, share)
			seen := make([]bool, shamirPrime)
			for k := range seen {
				seen[element(share, k)] = true
			}
			if i := slices.Index(seen, false); i >= 0 {
				t.Fatalf("secret %d, point %d: no first share gives %d", secret, point, i)
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
		w := []uint64{uint64(weights[0]), uint64(weights[1]), uint64(weights[2])}
		rest := (secret + 2*shamirPrime - mulField(w[0], a) - mulField(w[1], b)) % shamirPrime
		third := mulField(rest, inverseField(w[2]))
		sum := (mulField(w[0], a) + mulField(w[1], b) + mulField(w[2], third)) % shamirPrime
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
			if uint64(weights[i]) != want.Uint64() {
				t.Fatalf("points %v at %d, weight %d: %d, want %v", points, x, i, weights[i], want)
			}
		}
	}
}

// Extrapolation is Lagrange's formula at the points 0 .. n-1, against math/big.
func TestExtrapolationAgainstBigIntegers(t *testing.T) {
	p := big.NewInt(shamirPrime)
	for _, c := range [][2]int{{1, 1}, {1, 7}, {2, 2}, {14, 14}, {14, 20}, {20, 20}, {683, MaxInvited}, {MaxInvited, MaxInvited}} {
		n, x := c[0], c[1]
		weights := extrapolation(n, x)
		for i := 0; i < n; i += 1 + n/30 {
			want := big.NewInt(1)
			for k := range n {
				if k != i {
					under := new(big.Int).ModInverse(big.NewInt(int64(i-k)), p)
					want.Mul(want, big.NewInt(int64(x-k))).Mul(want, under).Mod(want, p)
				}
			}
			if uint64(weights[i]) != want.Uint64() {
				t.Fatalf("%d values at %d, weight %d: %d, want %v", n, x, i, weights[i], want)
			}
		}
	}
}

// A share that is agreed on and one that is sent are shares of one key: with
// seeds for every number of members, any threshold of members reconstructs it,
// and what a seed stands for is what its member computes.
func TestAgreedSharesAreSharesOfTheSameKey(t *testing.T) {
	r := suiteRound(t, "rlwe2048", Layout{{"v", 5, 0, 9}}, 6, 6)
	key := make([]int64, r.degree)
	testGenerator(3).gaussian(key)
	for agreed := 0; agreed <= r.Agreed(); agreed++ {
		seeds := make([][SeedBytes]byte, agreed)
		var all [][]byte
		for i := range seeds {
			seeds[i] = [SeedBytes]byte{byte(i + 1)}
			all = append(all, r.AgreedShare(seeds[i]))
		}
		sent := shareKey(key, r.spec.Committee, r.spec.Threshold, testGenerator(4), seeds...)
		if all = append(all, sent...); len(all) != r.spec.Committee {
			t.Fatalf("%d agreed and %d sent for %d members", agreed, len(sent), r.spec.Committee)
		}
		for mask := range 1 << r.spec.Committee {
			var points []uint64
			var held [][]byte
			for j, share := range all {
				if mask>>j&1 != 0 {
					points, held = append(points, uint64(j+1)), append(held, share)
				}
			}
			if len(points) != r.spec.Threshold {
				continue
			}
			for k, v := range reconstruct(t, points, held) {
				if v != residue(key[k], shamirPrime) {
					t.Fatalf("%d agreed, members %b: coefficient %d", agreed, mask, k)
				}
			}
		}
	}
}

// What a seed stands for is a promise between two sites: it does not change.
func TestAgreedShareKnownAnswer(t *testing.T) {
	const want = "d7183e41f803a888afa644d1fc4f2846ffe8a013b3c3a9bfb84f279c8d31e9a8"
	r := suiteRound(t, "rlwe2048", Layout{{"v", 5, 0, 9}}, 6, 6)
	share := r.AgreedShare([SeedBytes]byte{1, 2, 3})
	if got := fmt.Sprintf("%x", sha256.Sum256(share)); got != want {
		t.Errorf("SHA-256 %s, want %s", got, want)
	}
	if err := r.CheckShare(share); err != nil {
		t.Error(err)
	}
}

// Were a member that is not among the first t - 1 to agree on its share too, the
// shares would fix the key before it is drawn.
func TestRefusesMoreSeedsThanAgreed(t *testing.T) {
	r := suiteRound(t, "rlwe2048", Layout{{"v", 5, 0, 9}}, 6, 6)
	sealed, err := r.SealStream(func([]float64) error { return nil }, func(int, []byte) error { return nil }, make([][SeedBytes]byte, r.Agreed()+1)...)
	if err == nil || sealed != nil {
		t.Error("sealed with a seed for every member of a threshold")
	}
}

// Sums are of every share, in and beside the halves of a word.
func TestAddSharesAgainstOneElementAtATime(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for _, n := range []int{2, 3, MaxInvited} {
		shares := make([][]byte, n)
		for i := range shares {
			shares[i] = make([]byte, 2*64)
			for k := range 64 {
				setElement(shares[i], k, shamirPrime-1-random.Uint64N(shamirPrime)*uint64(k%2))
			}
		}
		got := addShares(shares)
		for k := range 64 {
			var want uint64
			for _, share := range shares {
				want += element(share, k)
			}
			if element(got, k) != want%shamirPrime {
				t.Fatalf("%d shares, element %d: %d, want %d", n, k, element(got, k), want%shamirPrime)
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
