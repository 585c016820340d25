package secagg

import (
	"slices"
	"testing"
)

// What a sealed or an opened round leaves for the next one holds no secret, also
// when it ended early.
func TestNothingSecretIsLeftForTheNextCall(t *testing.T) {
	for _, s := range suites {
		r := suiteRound(t, s.name, Layout{{"v", 3 * s.degree, 0, 1 << 20}}, 4, 4)
		found := 0
		for try := range 10 {
			stop := error(nil)
			if try%2 == 1 {
				stop = ErrMalformed
			}
			values := make([]float64, r.packing.values)
			for i := range values {
				values[i] = float64(i + 1)
			}
			_, err := r.SealStream(
				func(out []float64) error { values = values[copy(out, values):]; return nil },
				func(int, []byte) error { return stop })
			if err != stop {
				t.Fatal(err)
			}
			for {
				left, ok := r.sealers.Get().(*sealer)
				if !ok {
					break
				}
				found++
				if left.key != nil || slices.Max(left.message) != 0 || slices.Max(left.noise) != 0 || slices.Min(left.noise) != 0 {
					t.Fatalf("%s: a sealer holds a key, a message or noise", s.name)
				}
			}
			for {
				left, ok := windows.Get().(*window)
				if !ok {
					break
				}
				found++
				values := left.values[:cap(left.values)]
				if left.read != nil || left.to != 0 || len(values) > 0 && slices.Max(values) != 0 {
					t.Fatalf("%s: a window holds values", s.name)
				}
			}
			found += leftKeys(t, r)
		}
		if found == 0 {
			t.Errorf("%s: nothing was left to look at", s.name)
		}
	}
}

// A sealer that sealed another round, of other sizes, seals as a new one does.
func TestReusedMemoryChangesNothing(t *testing.T) {
	for _, s := range suites {
		seed := []byte("0123456789abcdef0123456789abcdef")
		short := suiteRound(t, s.name, Layout{{"v", 100, 0, 1 << 20}}, 4, 4)
		long := suiteRound(t, s.name, Layout{{"v", 5 * s.degree, 0, 1 << 20}}, 4, 4)
		var first []Contribution
		for range 2 {
			for i, r := range []*Round{short, long} {
				values := make([]float64, r.packing.values)
				for k := range values {
					values[k] = float64(k%1000 - 500)
				}
				c, err := streamed(r, values, seed)
				if err != nil {
					t.Fatal(err)
				}
				if len(first) < 2 {
					first = append(first, c)
					continue
				}
				for k, chunk := range c.Chunks {
					if !slices.Equal(chunk, first[i].Chunks[k]) {
						t.Fatalf("%s: chunk %d is another the second time", s.name, k)
					}
				}
			}
		}
	}
}
