package driver

import (
	"encoding/binary"
	"errors"
)

// pack joins a contribution's sealed shares into one blob, each after its
// length: one durable write for a contribution, whatever the committee's size.
func pack(parts [][]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

// unpack returns one part of a pack.
func unpack(packed []byte, index int) ([]byte, error) {
	for i := 0; ; i++ {
		if len(packed) < 4 {
			return nil, errors.New("a pack of sealed shares is cut short")
		}
		n := binary.BigEndian.Uint32(packed)
		packed = packed[4:]
		if uint64(n) > uint64(len(packed)) {
			return nil, errors.New("a pack of sealed shares is cut short")
		}
		if i == index {
			return packed[:n], nil
		}
		packed = packed[n:]
	}
}
