package driver

import (
	"encoding/binary"
	"errors"
)

// pack joins a contribution's sealed shares into one blob, all lengths before all
// parts: one durable write for a contribution, whatever the committee's size, of
// which a part can be read without the others.
func pack(parts [][]byte) []byte {
	var lengths, all []byte
	for _, p := range parts {
		lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(p)))
		all = append(all, p...)
	}
	return append(lengths, all...)
}

var errPack = errors.New("a pack of sealed shares does not hold what it names")

// unpack returns one of so many parts. read gives a section of the pack, and
// refuses one that reaches beyond it.
func unpack(parts, index int, read func(offset int64, length int) ([]byte, error)) ([]byte, error) {
	lengths, err := read(0, 4*parts)
	if err != nil {
		return nil, err
	}
	if index < 0 || len(lengths) != 4*parts || index >= parts {
		return nil, errPack
	}
	offset := int64(len(lengths))
	for ; index > 0; index-- {
		offset += int64(binary.BigEndian.Uint32(lengths))
		lengths = lengths[4:]
	}
	return read(offset, int(binary.BigEndian.Uint32(lengths)))
}
