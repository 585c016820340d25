// Package outbox is the hospital's own record of everything that left it.
//
// Every request that the agent sends to the coordinator has a line here, and
// the line is on the disk BEFORE the first byte leaves; how the request ended
// is a second line, written after. A line says when, for which study, step and
// round, which fields of which length, how many bytes, and the digest of what
// left, so that a person can hold the file against the network's own logs.
// What a line never says is anything derived from a record: fields are named
// by the study's protocol, and outcomes are fixed words.
//
// Polls, which carry three numbers and no study, are counted: one line for
// each hour in which there were any, written before the first of them leaves.
//
// The file is JSON, one object per line. Several processes may append (the
// running agent and, say, doctor); each append holds a file lock. A line cut
// short by a crash is one that was being written before anything was sent, and
// is removed; damage elsewhere is refused, because this file is evidence.
package outbox

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/consilium-fl/consilium/internal/durable"
)

// Kind says what a request was for.
type Kind string

const (
	Poll            Kind = "poll"             // asks what there is to do
	Ledger          Kind = "ledger"           // asks for entries or proofs of the public log
	Membership      Kind = "membership"       // rosters and certificates: public keys only
	StudyDecision   Kind = "study-decision"   // a signed approval or refusal
	Decline         Kind = "decline"          // a signed fixed sentence
	Header          Kind = "header"           // digests of ciphertext, and sealed key shares
	Contribution    Kind = "contribution"     // ciphertext
	Commit          Kind = "commit"           // asks for a contribution to be counted
	OpeningShare    Kind = "opening-share"    // the sum of key shares
	OpeningFault    Kind = "opening-fault"    // names of senders whose share does not open
	ReleaseDecision Kind = "release-decision" // a signed acceptance or refusal
)

// Field is a field of a contribution: its name and how many numbers it has.
type Field struct {
	Name   string `json:"name"`
	Length int    `json:"length"`
}

// Entry describes one request, or the polls of one hour.
type Entry struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Kind     Kind      `json:"kind"`
	Call     string    `json:"call"` // the remote procedure, such as SiteService/Poll
	Study    string    `json:"study,omitempty"`
	Step     string    `json:"step,omitempty"`
	Question string    `json:"question,omitempty"`
	Round    string    `json:"round,omitempty"`
	Fields   []Field   `json:"fields,omitempty"`
	Digest   string    `json:"digest,omitempty"` // SHA-256 of what left
	Bytes    int64     `json:"bytes"`            // of the encoded message
	Count    int64     `json:"count,omitempty"`  // how many polls
	// Outcome is empty where the agent stopped before it knew.
	Outcome string    `json:"outcome,omitempty"`
	Ended   time.Time `json:"ended,omitzero"`
}

// ending is the second line of an entry.
type ending struct {
	ID      string    `json:"id"`
	Outcome string    `json:"outcome"`
	Ended   time.Time `json:"ended"`
	Bytes   int64     `json:"bytes,omitempty"` // of polls, summed
	Count   int64     `json:"count,omitempty"`
}

// Outbox appends to the record. It is safe for concurrent use.
type Outbox struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	lock *durable.Lock // taken for each append, because other processes append too
	file *os.File
	poll *Entry // the current hour's polls
	told int64  // polls of it already written
}

// Open opens the record at path, creating it if need be.
func Open(path string, now func() time.Time) (*Outbox, error) {
	if now == nil {
		now = time.Now
	}
	if _, err := Read(path); err != nil {
		return nil, err
	}
	lock, err := durable.OpenLock(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	o := &Outbox{path: path, now: now, lock: lock, file: file}
	if err := o.cutTornLine(); err != nil {
		return nil, errors.Join(err, file.Close(), lock.Close())
	}
	return o, nil
}

// Begin records a request that is about to leave. When it returns without
// error the line is on the disk; on an error the request must not be sent.
func (o *Outbox) Begin(e Entry) (id string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begin(&e)
}

func (o *Outbox) begin(e *Entry) (string, error) {
	var nonce [8]byte
	rand.Read(nonce[:])
	e.ID, e.Time = hex.EncodeToString(nonce[:]), o.now().UTC().Truncate(time.Millisecond)
	e.Outcome, e.Ended = "", time.Time{}
	if err := o.append(e, true); err != nil {
		return "", err
	}
	return e.ID, nil
}

// End records how a request ended, in a fixed word. It is not synced: what a
// power cut takes is the outcome, never the line.
func (o *Outbox) End(id, outcome string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.append(ending{ID: id, Outcome: outcome, Ended: o.now().UTC().Truncate(time.Millisecond)}, false)
}

// pollLine is how many polls may leave between two updates of their count.
const pollLine = 100

// Polled counts a poll that is about to leave.
func (o *Outbox) Polled(call string, size int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	hour := o.now().UTC().Truncate(time.Hour)
	if o.poll != nil && !o.poll.Time.UTC().Truncate(time.Hour).Equal(hour) {
		if err := o.closePolls(); err != nil {
			return err
		}
	}
	if o.poll == nil {
		e := Entry{Kind: Poll, Call: call, Bytes: size}
		if _, err := o.begin(&e); err != nil {
			return err
		}
		e.Bytes = 0
		o.poll, o.told = &e, 0
	}
	o.poll.Count++
	o.poll.Bytes += size
	if o.poll.Count-o.told >= pollLine {
		return o.tellPolls("continuing")
	}
	return nil
}

func (o *Outbox) tellPolls(outcome string) error {
	o.told = o.poll.Count
	return o.append(ending{ID: o.poll.ID, Outcome: outcome, Ended: o.now().UTC().Truncate(time.Millisecond), Bytes: o.poll.Bytes, Count: o.poll.Count}, false)
}

func (o *Outbox) closePolls() error {
	err := o.tellPolls("done")
	o.poll = nil
	return err
}

// Close writes the count of polls and closes the record.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if o.poll != nil {
		err = o.closePolls()
	}
	return errors.Join(err, o.file.Close(), o.lock.Close())
}

func (o *Outbox) append(v any, sync bool) error {
	line, err := json.Marshal(v)
	if err == nil {
		err = o.write(append(line, '\n'), sync)
	}
	if err != nil {
		return fmt.Errorf("outbox cannot be written, so nothing is sent: %w", err)
	}
	return nil
}

func (o *Outbox) write(line []byte, sync bool) error {
	if err := o.lock.Take(); err != nil {
		return err
	}
	defer o.lock.Give()
	n, err := o.file.Write(line)
	if err == nil && sync {
		err = o.file.Sync()
	}
	if err == nil {
		return nil
	}
	if end, unknown := o.file.Seek(0, io.SeekEnd); unknown == nil {
		o.file.Truncate(end - int64(n)) // a part of a line would look like damage
	}
	return err
}

func (o *Outbox) cutTornLine() error {
	if err := o.lock.Take(); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	defer o.lock.Give()
	data, err := os.ReadFile(o.path)
	if err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(data, '\n') + 1; whole < len(data) {
		return o.file.Truncate(int64(whole))
	}
	return nil
}

// Read returns every entry of the record at path with its outcome, the oldest
// first. A record that does not exist yet is empty.
func Read(path string) ([]Entry, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []Entry
	byID := make(map[string]int)
	for number := 1; len(data) > 0; number++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			break // being written, or cut short before anything was sent
		}
		data = rest
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.ID == "" {
			return nil, fmt.Errorf("outbox %s is damaged at line %d: restore it from a backup or move it away for inspection", path, number)
		}
		at, begun := byID[e.ID]
		if !begun {
			byID[e.ID] = len(entries)
			entries = append(entries, e)
			continue
		}
		first := &entries[at]
		first.Outcome, first.Ended = e.Outcome, e.Ended
		if e.Count > 0 {
			first.Count, first.Bytes = e.Count, e.Bytes
		}
	}
	return entries, nil
}
