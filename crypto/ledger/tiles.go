package ledger

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// tileWidth is how many hashes or entries a full tile holds: C2SP tlog-tiles
// fixes the height 8.
const tileWidth = 256

// Tiles lays a log out as C2SP tlog-tiles does, so that any client of that
// format reads it: hashes under tile/<level>/, entries under tile/entries/, 256
// to a tile, the last of each row as wide as it is filled. The names are paths
// with slashes.
func Tiles(leaves [][]byte) map[string][]byte {
	files := make(map[string][]byte)
	row := make([]tlog.Hash, len(leaves))
	for i, leaf := range leaves {
		row[i] = tlog.RecordHash(leaf)
		name := tilePath("entries", i/tileWidth, len(leaves))
		files[name] = append(binary.BigEndian.AppendUint16(files[name], uint16(len(leaf))), leaf...)
	}
	for level := 0; len(row) > 0; level++ {
		for i, hash := range row {
			name := tilePath(fmt.Sprint(level), i/tileWidth, len(row))
			files[name] = append(files[name], hash[:]...)
		}
		var above []tlog.Hash
		for i := 0; i+tileWidth <= len(row); i += tileWidth {
			above = append(above, fold(row[i:i+tileWidth]))
		}
		row = above
	}
	return files
}

// fold is the root over a number of hashes that is a power of two.
func fold(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(fold(hashes[:half]), fold(hashes[half:]))
}

// tilePath names tile n of a row of that many hashes or entries: the number in
// groups of three digits, all but the last marked x, and how wide it is if it
// is not full.
func tilePath(row string, n, length int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for rest := n / 1000; rest > 0; rest /= 1000 {
		path = fmt.Sprintf("x%03d/%s", rest%1000, path)
	}
	path = "tile/" + row + "/" + path
	if width := length - n*tileWidth; width < tileWidth {
		path += fmt.Sprintf(".p/%d", width)
	}
	return path
}
