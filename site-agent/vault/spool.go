package vault

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

const spoolDir = "spool"

// ErrLost says that a contribution was sealed and is no longer in the spool:
// the site must not seal another for the same round.
var ErrLost = errors.New("the sealed contribution is lost")

// Contribution is a sealed contribution, ready to leave: ciphertext, key
// shares already sealed to the committee, and the signed header over both.
type Contribution struct {
	Header []byte // envelope of statement.ContributionHeader
	Shares [][]byte
	Chunks [][]byte
}

// spoolIndex is the first line of a spool file; the parts follow it in order.
type spoolIndex struct {
	Header int   `json:"header"`
	Shares []int `json:"shares"`
	Chunks []int `json:"chunks"`
}

func (v *Vault) spoolPath(round statement.Digest) string {
	return filepath.Join(v.dir, spoolDir, round.String())
}

// Seal makes a contribution durable: the bytes first, then the fact that this
// is the round's one contribution. It must return BEFORE the first byte leaves.
// A contribution sealed before is refused, whatever became of it.
func (v *Vault) Seal(round statement.Digest, c Contribution) error {
	_, payload, err := statement.Payload(c.Header)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.Header != nil {
		return fmt.Errorf("%w: round %s has a contribution", ErrOnce, round)
	}
	if err := writeSpool(v.spoolPath(round), c); err != nil {
		return fmt.Errorf("the sealed contribution cannot be kept, so it is not sent: %w", err)
	}
	return v.record(fact{Sealed: &sealed{round, statement.DigestOf(payload)}})
}

// Sealed returns the round's contribution as it was sealed. ok is false if
// there is none yet; ErrLost means that there was one.
func (v *Vault) Sealed(round statement.Digest) (c Contribution, ok bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.rounds[round]
	if r == nil || r.Header == nil {
		return Contribution{}, false, nil
	}
	c, err = readSpool(v.spoolPath(round))
	if err != nil {
		return Contribution{}, true, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err := c.check(*r.Header); err != nil {
		return Contribution{}, true, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return c, true, nil
}

// Wipe removes a contribution from the spool, once it counts or its round is
// over.
func (v *Vault) Wipe(round statement.Digest) error {
	err := os.Remove(v.spoolPath(round))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// check compares a contribution with its header, and the header with the one
// that was recorded.
func (c Contribution) check(recorded statement.Digest) error {
	_, payload, err := statement.Payload(c.Header)
	if err != nil {
		return err
	}
	if statement.DigestOf(payload) != recorded {
		return errors.New("the spool holds another contribution")
	}
	var header statement.ContributionHeader
	if err := statement.Decode(payload, &header); err != nil {
		return err
	}
	for _, part := range []struct {
		got  [][]byte
		want []statement.Digest
	}{{c.Chunks, header.Chunks}, {c.Shares, header.Shares}} {
		if len(part.got) != len(part.want) {
			return errors.New("the spool is incomplete")
		}
		for i, b := range part.got {
			if statement.DigestOf(b) != part.want[i] {
				return errors.New("the spool is damaged")
			}
		}
	}
	return nil
}

func writeSpool(path string, c Contribution) error {
	return durable.Write(path, 0o600, func(to io.Writer) error {
		w := bufio.NewWriterSize(to, 1<<20) // it keeps its first error until Flush
		index := spoolIndex{Header: len(c.Header), Shares: lengths(c.Shares), Chunks: lengths(c.Chunks)}
		if err := json.NewEncoder(w).Encode(index); err != nil {
			return err
		}
		w.Write(c.Header)
		for _, part := range slices.Concat(c.Shares, c.Chunks) {
			w.Write(part)
		}
		return w.Flush()
	})
}

func lengths(parts [][]byte) []int {
	n := make([]int, len(parts))
	for i, p := range parts {
		n[i] = len(p)
	}
	return n
}

func readSpool(path string) (Contribution, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Contribution{}, err
	}
	dec := json.NewDecoder(strings.NewReader(firstLine(data)))
	var index spoolIndex
	if err := dec.Decode(&index); err != nil {
		return Contribution{}, errors.New("its index is damaged")
	}
	rest := data[len(firstLine(data)):]
	take := func(n int) []byte {
		if err != nil || n < 0 || n > len(rest) {
			err = io.ErrUnexpectedEOF
			return nil
		}
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	c := Contribution{Header: take(index.Header)}
	for _, n := range index.Shares {
		c.Shares = append(c.Shares, take(n))
	}
	for _, n := range index.Chunks {
		c.Chunks = append(c.Chunks, take(n))
	}
	return c, err
}

func firstLine(data []byte) string {
	for i, b := range data {
		if b == '\n' {
			return string(data[:i+1])
		}
	}
	return ""
}

// cleanSpool removes what a crash left: parts of files, contributions that
// were written and not recorded (nothing of them has left), and those whose
// round needs them no more.
func (v *Vault) cleanSpool() error {
	files, err := os.ReadDir(filepath.Join(v.dir, spoolDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		id, err := statement.ParseDigest(f.Name())
		if err == nil {
			if r := v.rounds[id]; r != nil && r.Header != nil && r.Receipt == nil && r.End == nil {
				continue
			}
		}
		if err := os.Remove(filepath.Join(v.dir, spoolDir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
