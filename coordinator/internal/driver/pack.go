package driver

import (
	"encoding/binary"
	"errors"
)

// pack joins a contribution's sealed shares into one blob, all lengths before all
// parts: one durable write for a contribution, whatever the committee's size, of
// which a part can be read without the others.
func pack(parts [][]byte) []byte {
	total := 4 * len(parts)
	for _, p := range parts {
		total += len(p)
	}
	packed := make([]byte, 0, total)
	for _, p := range parts {
		packed = binary.BigEndian.AppendUint32(packed, uint32(len(p)))
	}
	for _, p := range parts {
		packed = append(packed, p...)
	}
	return packed
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
