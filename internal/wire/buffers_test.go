package wire

import "testing"

func TestABufferHasTheLengthThatWasAskedFor(t *testing.T) {
	p := new(buffers)
	for _, length := range []int{0, 1, 255, 256, 257, 16 << 10, 40_000, 1 << largest, 1<<largest + 1, 7 << 20, 3} {
		for range 3 {
			b := p.Get(length)
			if len(*b) != length {
				t.Errorf("%d bytes where %d were asked for", len(*b), length)
			}
			if length <= 1<<largest && cap(*b) >= 2*max(length, 1<<smallest) {
				t.Errorf("%d bytes take %d", length, cap(*b))
			}
			*b = (*b)[:length/2] // a prefix is given back as well
			p.Put(b)
		}
	}
}

// Two messages must never share memory, whatever was put back.
func TestBuffersInUseAreApart(t *testing.T) {
	p := new(buffers)
	odd := make([]byte, 300)
	p.Put(&odd) // not one of ours
	empty := []byte(nil)
	p.Put(&empty)
	seen := map[*byte]bool{}
	for range 100 {
		b := p.Get(300)
		if first := &(*b)[0]; seen[first] {
			t.Fatal("a buffer that is in use is given out again")
		} else {
			seen[first] = true
		}
	}
}
