package round

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Record is a fact about a round. The records of a round, in order, are its
// recovery log and its transcript.
type Record interface{ kind() string }

// Planned is the first record of a round.
type Planned struct {
	Round statement.Digest `json:"round"`
	Plan  statement.Plan   `json:"plan"`
	// Exact says that the round repeats a question whose sum may be known, so
	// that it counts only with every invited site.
	Exact bool      `json:"exact,omitempty"`
	At    time.Time `json:"at"`
}

// Announced says that the signed plan is in the ledger.
type Announced struct {
	Envelope statement.Digest `json:"envelope"` // of the signed plan
	Leaf     uint64           `json:"leaf"`     // its index in the ledger
	At       time.Time        `json:"at"`
}

// Begun says which contribution a site announced.
type Begun struct {
	Site     string           `json:"site"`
	Header   statement.Digest `json:"header"`   // of the header's payload
	Envelope statement.Digest `json:"envelope"` // of the signed header
	At       time.Time        `json:"at"`
}

// Contributed says that a site's contribution is complete and counts.
type Contributed struct {
	Site   string           `json:"site"`
	Header statement.Digest `json:"header"`
	Bytes  int64            `json:"bytes"` // ciphertext and sealed shares
	At     time.Time        `json:"at"`
}

// Declined says that an invited site will not contribute.
type Declined struct {
	Site   string    `json:"site"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// SetFixed names the one set of contributors that may be opened.
type SetFixed struct {
	Contributors []string  `json:"contributors"` // ascending
	At           time.Time `json:"at"`
}

// Requested says that the signed opening request is in the ledger.
type Requested struct {
	Request  statement.Digest `json:"request"`  // of the request's payload
	Envelope statement.Digest `json:"envelope"` // of the signed request
	Leaf     uint64           `json:"leaf"`     // its index in the ledger
	// First names the members who are asked at once, ascending; none where all
	// are. The others are asked at AllAt unless enough shares have come.
	First []string  `json:"first,omitempty"`
	AllAt time.Time `json:"all_at,omitzero"`
	At    time.Time `json:"at"`
}

// AllAsked says that every member is asked from now on.
type AllAsked struct {
	At time.Time `json:"at"`
}

// Doubted says that the sum was not sound that the members asked first opened.
// All are asked, and the sum is opened again with what they answer.
type Doubted struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// ShareGiven says that a committee member answered the opening request.
type ShareGiven struct {
	Member   string           `json:"member"`
	Share    statement.Digest `json:"share"`    // of the share's bytes
	Envelope statement.Digest `json:"envelope"` // of the signed statement
	Bytes    int64            `json:"bytes"`
	At       time.Time        `json:"at"`
}

// FaultReported says whose sealed shares a committee member could not open.
type FaultReported struct {
	Member   string           `json:"member"`
	Senders  []string         `json:"senders"` // ascending
	Envelope statement.Digest `json:"envelope"`
	At       time.Time        `json:"at"`
}

// SharesClosed names the members whose shares open the sum.
type SharesClosed struct {
	Openers []string  `json:"openers"` // ascending
	At      time.Time `json:"at"`
}

// Ended is the last record of a round.
type Ended struct {
	State   State             `json:"state"`
	Cause   Cause             `json:"cause,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Missing []string          `json:"missing,omitempty"`
	AtFault []string          `json:"at_fault,omitempty"`
	Sum     *statement.Digest `json:"sum,omitempty"`
	At      time.Time         `json:"at"`
}

func (Planned) kind() string       { return "planned" }
func (Announced) kind() string     { return "announced" }
func (Begun) kind() string         { return "begun" }
func (Contributed) kind() string   { return "contributed" }
func (Declined) kind() string      { return "declined" }
func (SetFixed) kind() string      { return "set-fixed" }
func (Requested) kind() string     { return "requested" }
func (AllAsked) kind() string      { return "all-asked" }
func (Doubted) kind() string       { return "doubted" }
func (ShareGiven) kind() string    { return "share-given" }
func (FaultReported) kind() string { return "fault-reported" }
func (SharesClosed) kind() string  { return "shares-closed" }
func (Ended) kind() string         { return "ended" }

// tagged is the encoding of a record: its kind and its fields.
type tagged struct {
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// Encode returns the canonical JSON of a record.
func Encode(r Record) ([]byte, error) {
	body, err := plain(r)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a %s record: %w", r.kind(), err)
	}
	return plain(tagged{r.kind(), body})
}

// Decode reads a record and refuses every spelling but Encode's.
func Decode(data []byte) (Record, error) {
	var t tagged
	if err := strict(data, &t); err != nil {
		return nil, fmt.Errorf("not a round record: %w", err)
	}
	var r Record
	var err error
	switch t.Kind {
	case "planned":
		r, err = body[Planned](t.Body)
	case "announced":
		r, err = body[Announced](t.Body)
	case "begun":
		r, err = body[Begun](t.Body)
	case "contributed":
		r, err = body[Contributed](t.Body)
	case "declined":
		r, err = body[Declined](t.Body)
	case "set-fixed":
		r, err = body[SetFixed](t.Body)
	case "requested":
		r, err = body[Requested](t.Body)
	case "all-asked":
		r, err = body[AllAsked](t.Body)
	case "doubted":
		r, err = body[Doubted](t.Body)
	case "share-given":
		r, err = body[ShareGiven](t.Body)
	case "fault-reported":
		r, err = body[FaultReported](t.Body)
	case "shares-closed":
		r, err = body[SharesClosed](t.Body)
	case "ended":
		r, err = body[Ended](t.Body)
	default:
		return nil, fmt.Errorf("round record of unknown kind %q: it was written by a newer version", t.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("not a %s record: %w", t.Kind, err)
	}
	again, err := Encode(r)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("a %s record is not in its canonical encoding", t.Kind)
	}
	return r, nil
}

func body[R Record](data []byte) (R, error) {
	var r R
	return r, strict(data, &r)
}

func plain(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func strict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("data after its end")
	}
	return nil
}
