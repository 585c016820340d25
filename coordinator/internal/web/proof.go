package web

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// hash of a node of the tree.
type hash [sha256.Size]byte

func (h hash) String() string { return fmt.Sprintf("%x", h[:]) }

// step joins the hash so far with a neighbour's.
type step struct {
	Left, Right hash
	Neighbour   string // left | right: on which side the proof's hash stands
	Result      hash
}

// Command recomputes the step in a shell.
func (s step) Command() string {
	return fmt.Sprintf("echo 01 %s %s | xxd -r -p | sha256sum", s.Left, s.Right)
}

// walk recomputes the root of a log of that size from a leaf and its inclusion
// proof, one step for each hash of the proof (RFC 9162, section 2.1.3.2). It is
// written from the RFC and shares no code with package ledger, whose verdict the
// page shows beside it.
func walk(leaf []byte, index, size uint64, proof [][32]byte) (first hash, steps []step, err error) {
	first = sha256.Sum256(append([]byte{0}, leaf...))
	if index >= size {
		return first, nil, errors.New("the entry lies behind the end of the log")
	}
	at, last, so := index, size-1, first
	for _, neighbour := range proof {
		if last == 0 {
			return first, steps, errors.New("the proof is too long")
		}
		s := step{Left: so, Right: neighbour, Neighbour: "right"}
		if at%2 == 1 || at == last {
			s = step{Left: neighbour, Right: so, Neighbour: "left"}
			for at%2 == 0 && at != 0 { // a node without a neighbour is carried up
				at, last = at/2, last/2
			}
		}
		s.Result = join(s.Left, s.Right)
		steps, so = append(steps, s), s.Result
		at, last = at/2, last/2
	}
	if last != 0 {
		return first, steps, errors.New("the proof is too short")
	}
	return first, steps, nil
}

func join(left, right hash) hash {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// leafCommand hashes a leaf in a shell.
func leafCommand(leaf []byte) string {
	return `printf '\000%s' '` + strings.ReplaceAll(string(leaf), "'", `'\''`) + "' | sha256sum"
}
