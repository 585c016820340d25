package independent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// note is a verified checkpoint: its size, its root and who cosigned it.
type note struct {
	size int
	root [32]byte
	by   []string
}

// leafHash and nodeHash are those of RFC 6962, section 2.1.
func leafHash(leaf []byte) [32]byte { return sha256.Sum256(append([]byte{0}, leaf...)) }

func nodeHash(a, b [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, a[:]...), b[:]...))
}

// root is the Merkle tree hash, as RFC 6962 defines it.
func root(hashes [][32]byte) [32]byte {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := split(len(hashes))
	return nodeHash(root(hashes[:k]), root(hashes[k:]))
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// included computes the root that an inclusion proof leads to, and whether the
// proof has as many hashes as it needs.
func included(leaf [32]byte, index, size int, proof [][32]byte) (got [32]byte, ok bool) {
	if size == 1 {
		return leaf, len(proof) == 0
	}
	if len(proof) == 0 {
		return got, false
	}
	sibling, rest := proof[len(proof)-1], proof[:len(proof)-1]
	if k := split(size); index < k {
		got, ok = included(leaf, index, k, rest)
		return nodeHash(got, sibling), ok
	} else {
		got, ok = included(leaf, index-k, size-k, rest)
		return nodeHash(sibling, got), ok
	}
}

// noteKey is how a note names a key: the first four bytes of this hash.
func noteKey(name string, algorithm byte, key ed25519.PublicKey) []byte {
	h := sha256.Sum256(append([]byte(name+"\n"+string(algorithm)), key...))
	return h[:4]
}

// openNote verifies a checkpoint of this log, signed by the coordinator and then
// by any hospitals.
func (v *verifier) openNote(text string) (note, error) {
	if n, known := v.notes[text]; known {
		return n, nil
	}
	var n note
	body, signatures, found := strings.Cut(text, "\n\n")
	body += "\n"
	lines := strings.Split(body, "\n")
	if !found || len(lines) != 4 || lines[0] != v.origin {
		return n, errors.New("no checkpoint of this consortium's log")
	}
	size, err := strconv.Atoi(lines[1])
	hash, err2 := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || err2 != nil || len(hash) != 32 || size < 1 || strconv.Itoa(size) != lines[1] {
		return n, errors.New("a checkpoint without size and root")
	}
	n.size, n.root = size, [32]byte(hash)
	witnesses := make(map[string]string)
	for _, m := range v.last.Members {
		if m.Role == "site" {
			witnesses[v.origin+"/"+strings.ReplaceAll(url.QueryEscape(m.Name), "+", "%20")] = m.Name
		}
	}
	_, coordinator := v.last.key("", "coordinator")
	if coordinator == nil {
		return n, errors.New("of a consortium whose roster lists no coordinator")
	}
	for i, line := range strings.SplitAfter(signatures, "\n") {
		if line == "" {
			break
		}
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(parts) != 3 || parts[0] != "—" || !strings.HasSuffix(line, "\n") {
			return n, fmt.Errorf("signature %d cannot be read", i+1)
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(parts[2])
		if err != nil || len(raw) < 4 {
			return n, fmt.Errorf("signature %d cannot be read", i+1)
		}
		if i == 0 {
			if parts[1] != v.origin || !bytes.Equal(raw[:4], noteKey(v.origin, 1, coordinator)) || !ed25519.Verify(coordinator, []byte(body), raw[4:]) {
				return n, errors.New("not signed by the rostered coordinator")
			}
			continue
		}
		name, known := witnesses[parts[1]]
		_, key := v.last.key(name, "site")
		if !known || key == nil || len(raw) != 4+8+ed25519.SignatureSize || !bytes.Equal(raw[:4], noteKey(parts[1], 4, key)) {
			return n, fmt.Errorf("signature %d is of no rostered hospital", i+1)
		}
		signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(raw[4:12]), body)
		if slices.Contains(n.by, name) || !ed25519.Verify(key, []byte(signed), raw[12:]) {
			return n, fmt.Errorf("the cosignature of %s does not verify", name)
		}
		n.by = append(n.by, name)
	}
	if signatures == "" {
		return n, errors.New("not signed")
	}
	if n.size > len(v.hashes) {
		return n, fmt.Errorf("over %d entries, where the log has %d", n.size, len(v.hashes))
	}
	if root(v.hashes[:n.size]) != n.root {
		return n, fmt.Errorf("of another history: its first %d entries have another root", n.size)
	}
	v.notes[text] = n
	return n, nil
}

func (v *verifier) checkHead() error {
	text, err := v.read("checkpoint")
	if err != nil {
		return err
	}
	n, err := v.openNote(string(text))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if n.size != len(v.leaves) || len(n.by) > 0 {
		return fmt.Errorf("checkpoint: over %d entries, where the log has %d", n.size, len(v.leaves))
	}
	return nil
}

// checkTiles builds the tiles of C2SP tlog-tiles and compares them.
func (v *verifier) checkTiles() error {
	want := make(map[string][]byte)
	name := func(row string, i, length int) string {
		n := i / 256
		digits := fmt.Sprintf("%03d", n%1000)
		for n /= 1000; n > 0; n /= 1000 {
			digits = fmt.Sprintf("x%03d/", n%1000) + digits
		}
		if full := i/256*256 + 256; full > length {
			digits += fmt.Sprintf(".p/%d", length-full+256)
		}
		return "tile/" + row + "/" + digits
	}
	for i, leaf := range v.leaves {
		path := name("entries", i, len(v.leaves))
		want[path] = append(append(want[path], byte(len(leaf)>>8), byte(len(leaf))), leaf...)
	}
	row := v.hashes
	for level := 0; len(row) > 0; level++ {
		var next [][32]byte
		for i, h := range row {
			path := name(strconv.Itoa(level), i, len(row))
			want[path] = append(want[path], h[:]...)
			if i%256 == 255 {
				next = append(next, root(row[i-255:i+1]))
			}
		}
		row = next
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		got, err := v.read(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want[path]) {
			return fmt.Errorf("%s: not the tile of these entries", path)
		}
	}
	return nil
}

func (v *verifier) checkCosigned() error {
	files, err := fs.Glob(v.bundle, "cosigned/*")
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, path := range files {
		text, err := v.read(path)
		if err != nil {
			return err
		}
		n, err := v.openNote(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if path != fmt.Sprintf("cosigned/%d", n.size) || len(n.by) == 0 {
			return fmt.Errorf("%s: over %d entries, cosigned by %d hospitals", path, n.size, len(n.by))
		}
		for _, hospital := range n.by {
			if seen[hospital] {
				return fmt.Errorf("%s: %s has cosigned another checkpoint, too", path, hospital)
			}
			seen[hospital] = true
		}
	}
	v.summary.Cosigned = len(seen)
	return nil
}

// proven are the types of the entries that come with a proof of their own.
var proven = map[string]bool{"result": true, "monitor-report": true, "audit": true, "release-override": true, "release": true, "card": true}

// checkProofs verifies each proof file by itself: from the entry that it carries
// to the checkpoint that it carries. Every result, audit and release has one.
func (v *verifier) checkProofs() error {
	for i, e := range v.entries {
		if e.Study != v.study || !proven[e.Type] {
			continue
		}
		path := fmt.Sprintf("proofs/%s-%06d.tlog-proof", e.Type, i)
		text, err := v.read(path)
		if err != nil {
			return err
		}
		head, checkpoint, _ := strings.Cut(string(text), "\n\n")
		lines := strings.Split(head, "\n")
		if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != "extra "+base64.StdEncoding.EncodeToString(v.leaves[i]) || lines[2] != fmt.Sprintf("index %d", i) {
			return fmt.Errorf("%s: no proof of entry %d", path, i)
		}
		var proof [][32]byte
		for _, line := range lines[3:] {
			hash, err := base64.StdEncoding.Strict().DecodeString(line)
			if err != nil || len(hash) != 32 {
				return fmt.Errorf("%s: a hash cannot be read", path)
			}
			proof = append(proof, [32]byte(hash))
		}
		n, err := v.openNote(checkpoint)
		if err != nil {
			return fmt.Errorf("%s: its checkpoint is %w", path, err)
		}
		if i >= n.size {
			return fmt.Errorf("%s: its checkpoint ends before entry %d", path, i)
		}
		if got, ok := included(v.hashes[i], i, n.size, proof); !ok || got != n.root {
			return fmt.Errorf("%s: does not lead to its checkpoint", path)
		}
	}
	return nil
}
