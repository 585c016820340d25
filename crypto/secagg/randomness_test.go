package secagg

import (
	"bytes"
	"crypto/sha256"
	"math"
	"strconv"
	"testing"
)

// What arrives at the coordinator passes simple randomness tests whatever the
// data: all zeros, all maxima, all minima. The sites' seeds are fixed, so a
// pass is a pass for ever. These tests catch a mask that is missing, reused or
// biased; they say nothing about the hardness of what the masks rest on.
func TestCiphertextLooksRandomWhateverTheData(t *testing.T) {
	data := map[string]func(Field) float64{
		"zeros":  func(Field) float64 { return 0 },
		"maxima": func(f Field) float64 { return f.Bound },
		"minima": func(f Field) float64 { return -f.Bound },
	}
	for _, s := range suites {
		for name, of := range data {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				l := Layout{{"v", 20000, 0, 32767}}
				r := suiteRound(t, s.name, l, 4, 4)
				var residues [][]uint64
				for site, values := range uniformValues(l, 4, of) {
					seed := sha256.Sum256([]byte(name + strconv.Itoa(site)))
					c, err := r.seal(values, bytes.NewReader(seed[:]))
					if err != nil {
						t.Fatal(err)
					}
					for _, chunk := range c.Chunks {
						residues = append(residues, unpack(t, s, chunk))
					}
				}
				checkRandom(t, residues)
			})
		}
	}
}

// Two contributions of the same site with the same values have nothing in
// common: their difference looks random too.
func TestSealingTwiceHasNothingInCommon(t *testing.T) {
	s := suites[0]
	l := Layout{{"v", 20000, 0, 32767}}
	r := suiteRound(t, s.name, l, 4, 4)
	values := uniformValues(l, 1, func(f Field) float64 { return f.Bound })[0]
	seal := func(seed string) *Contribution {
		key := sha256.Sum256([]byte(seed))
		c, err := r.seal(values, bytes.NewReader(key[:]))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := seal("a"), seal("b")
	var differences [][]uint64
	for i := range a.Chunks {
		x, y := unpack(t, s, a.Chunks[i]), unpack(t, s, b.Chunks[i])
		for k := range x {
			x[k] = (x[k] + s.primes[0].p - y[k]) % s.primes[0].p
		}
		differences = append(differences, x)
	}
	checkRandom(t, differences)
}

func unpack(t *testing.T, s *suite, chunk []byte) []uint64 {
	t.Helper()
	out := make([]uint64, len(s.primes)*s.degree)
	if err := s.addChunk(chunk, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// checkRandom applies the monobit and the byte-histogram test to the low 48
// bits of residues, which of a residue uniform below a prime near 2^53 are as
// good as uniform; a chi-square over 256 equal ranges to the residues
// themselves; and the correlation of neighbours.
func checkRandom(t *testing.T, chunks [][]uint64) {
	t.Helper()
	var ones, bitsSeen float64
	var histogram, ranges [256]float64
	var bytesSeen, residuesSeen, neighbours float64
	for _, chunk := range chunks {
		previous := 0.0
		for k, r := range chunk {
			for i := range 6 {
				b := byte(r >> (8 * i))
				histogram[b]++
				for bit := range 8 {
					ones += float64(b >> bit & 1)
				}
			}
			bitsSeen += 48
			bytesSeen += 6
			ranges[r>>(residueBits-8)]++
			residuesSeen++
			centred := float64(r)/(1<<residueBits) - 0.5
			if k > 0 {
				neighbours += 12 * centred * previous
			}
			previous = centred
		}
	}
	if z := (2*ones - bitsSeen) / math.Sqrt(bitsSeen); math.Abs(z) > 5 {
		t.Errorf("monobit: %.1f standard deviations off", z)
	}
	if z := neighbours / math.Sqrt(residuesSeen); math.Abs(z) > 5 {
		t.Errorf("neighbours correlate: %.1f standard deviations off", z)
	}
	checkChiSquare(t, "bytes", chiSquare(histogram[:], bytesSeen/256), 255)
	checkChiSquare(t, "ranges", chiSquare(ranges[:], residuesSeen/256), 255)
}

func chiSquare(counts []float64, expected float64) float64 {
	chi := 0.0
	for _, c := range counts {
		chi += (c - expected) * (c - expected) / expected
	}
	return chi
}

// The tests above can fail: an unencrypted contribution of one value is a
// constant polynomial, whose transform is one residue over and over.
func TestUnencryptedDoesNotLookRandom(t *testing.T) {
	s := suites[0]
	r := suiteRound(t, s.name, Layout{{"v", 1, 0, 32767}}, 4, 4)
	c, err := Unencrypted(r, []float64{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range unpack(t, s, c.Chunks[0]) {
		if v != 32768<<noiseBits {
			t.Fatalf("residue %d", v)
		}
	}
}
