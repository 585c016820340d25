package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// fact is one line of the journal. Exactly one of its pointers is set.
type fact struct {
	Seq       uint64              `json:"seq"` // 1 for the first line, no gaps
	Time      time.Time           `json:"time"`
	Plan      *Plan               `json:"plan,omitempty"`
	Sealed    *sealed             `json:"sealed,omitempty"`
	Receipt   *receipt            `json:"receipt,omitempty"`
	Declined  *statement.Digest   `json:"declined,omitempty"`
	Answer    *Answer             `json:"answer,omitempty"`
	Fault     *Fault              `json:"fault,omitempty"`
	End       *statement.RoundEnd `json:"end,omitempty"`
	Forgotten *statement.Digest   `json:"forgotten,omitempty"`
	Study     *Decision           `json:"study,omitempty"`
	Release   *Decision           `json:"release,omitempty"`
	Violation *Violation          `json:"violation,omitempty"`
}

type sealed struct {
	Round  statement.Digest `json:"round"`
	Header statement.Digest `json:"header"`
}

type receipt struct {
	Round    statement.Digest `json:"round"`
	Envelope []byte           `json:"envelope"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal appends lines of the form "crc32c json\n", the checksum in eight hex
// digits.
type journal struct {
	file   *os.File
	size   int64
	seq    uint64
	failed error // after a failed write nothing more is believed
}

func openJournal(path string, apply func(fact) error) (*journal, error) {
	_, missing := os.Stat(path)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file}
	if err = j.replay(apply); err == nil && errors.Is(missing, os.ErrNotExist) {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) replay(apply func(fact) error) error {
	data, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	for rest := data; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		f, err := parseLine(line)
		if err != nil {
			return fmt.Errorf("%w at line %d: %w; restore the state directory from a backup, or enrol anew", ErrDamaged, j.seq+1, err)
		}
		if f.Seq != j.seq+1 {
			return fmt.Errorf("%w: line %d carries number %d; restore the state directory from a backup, or enrol anew", ErrDamaged, j.seq+1, f.Seq)
		}
		if err := apply(f); err != nil {
			return err
		}
		j.seq = f.Seq
		j.size += int64(len(line)) + 1
		rest = after
	}
	if j.size < int64(len(data)) {
		// Without its end a line was never synced, so nobody acted on it.
		if err := j.file.Truncate(j.size); err != nil {
			return err
		}
		return j.file.Sync()
	}
	return nil
}

func parseLine(line []byte) (fact, error) {
	if len(line) < 9 || line[8] != ' ' {
		return fact{}, errors.New("not a line of a journal")
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(line[9:], castagnoli) {
		return fact{}, errors.New("its checksum does not match")
	}
	var f fact
	if err := json.Unmarshal(line[9:], &f); err != nil {
		return fact{}, errors.New("not JSON")
	}
	return f, nil
}

func lineOf(f *fact) ([]byte, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

// shorten writes the journal anew, with the same facts under the same numbers, of
// which change took what is not needed any more.
// The old file is there until the new one is whole and on the disk, and where that
// fails, for want of space, it stays.
func (j *journal) shorten(change func(*fact) bool) error {
	data := make([]byte, j.size)
	if _, err := j.file.ReadAt(data, 0); err != nil && j.size > 0 {
		return err
	}
	var short bytes.Buffer
	for rest := data; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		f, err := parseLine(line)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		line = rest[:len(line)+1]
		if change(&f) {
			if line, err = lineOf(&f); err != nil {
				return err
			}
		}
		short.Write(line)
		rest = after
	}
	path := j.file.Name()
	if err := j.file.Close(); err != nil { // some systems do not replace what is open
		return err
	}
	written := durable.WriteFile(path, short.Bytes(), 0o600)
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return errors.Join(written, err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(written, err, file.Close())
	}
	j.file, j.size = file, info.Size() // of the old or of the new one, both whole
	return nil
}

// append makes a fact durable. After it returns nil the fact survives a power
// cut; after an error nothing further is accepted until the vault is reopened,
// because a failed sync says nothing about what is on the disk.
func (j *journal) append(f *fact) error {
	if j.failed != nil {
		return j.failed
	}
	f.Seq = j.seq + 1
	line, err := lineOf(f)
	if err != nil {
		return err
	}
	_, err = j.file.WriteAt(line, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.file.Truncate(j.size)
		j.failed = fmt.Errorf("vault cannot be written, so nothing is answered; free disk space or replace the disk, then restart: %w", err)
		return j.failed
	}
	j.seq = f.Seq
	j.size += int64(len(line))
	return nil
}

func (j *journal) close() error { return j.file.Close() }
