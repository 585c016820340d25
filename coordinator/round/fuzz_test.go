package round

import (
	"bytes"
	"testing"
)

// What Decode accepts is exactly what Encode writes.
func FuzzDecode(f *testing.F) {
	h := open(f, 4)
	h.feed(deadline, share("A"))
	h.feed(deadline, fault("B", "C"))
	for _, r := range h.records {
		data, err := Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Encode(r)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("accepted %q, which is written %q, %v", data, again, err)
		}
	})
}
