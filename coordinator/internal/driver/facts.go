package driver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// A fact is a round.Record in the stream of its round, or one of the types
// below. Envelopes and bulk are blobs; facts name them by digest.

// rostered: a roster is in force and in the ledger.
type rostered struct {
	Number   uint64           `json:"number"`
	Envelope statement.Digest `json:"envelope"`
}

// enrolled: a newcomer handed in its keys under a token, which is now spent.
type enrolled struct {
	Token    statement.Digest `json:"token"`
	Name     string           `json:"name"`
	Envelope statement.Digest `json:"envelope"`
	At       time.Time        `json:"at"`
}

type proposed struct {
	Protocol   statement.Digest `json:"protocol"` // the study's name
	Researcher string           `json:"researcher"`
	Envelope   statement.Digest `json:"envelope"`
	At         time.Time        `json:"at"`
}

type decided struct {
	Site     string           `json:"site"`
	Approved bool             `json:"approved"`
	Reason   string           `json:"reason,omitempty"`
	Envelope statement.Digest `json:"envelope"`
	At       time.Time        `json:"at"`
}

type started struct {
	Sites    []string         `json:"sites"` // that had approved
	Envelope statement.Digest `json:"envelope"`
	At       time.Time        `json:"at"`
}

// missed: a window of a study that watches a release goes without figures,
// because this question is not asked again.
type missed struct {
	Question statement.Digest `json:"question"`
}

// told: so many windows of a study that watches a release were reported.
type told struct {
	Windows int               `json:"windows"`
	Report  *statement.Digest `json:"report,omitempty"` // result so far
}

// roundEnded goes with round.Ended and names the signed account of it.
type roundEnded struct {
	Round    statement.Digest `json:"round"`
	Envelope statement.Digest `json:"envelope"`
}

// ended: no more rounds are asked for the study.
type ended struct {
	State   string            `json:"state"` // completed | diagnosed | failed
	Reason  string            `json:"reason,omitempty"`
	Result  *statement.Digest `json:"result,omitempty"`
	Audit   *statement.Digest `json:"audit,omitempty"`   // envelope
	Release *statement.Digest `json:"release,omitempty"` // envelope
	Offered *statement.Digest `json:"offered,omitempty"` // payload of the release: its name
	// What the study's criteria make of the release, nil where it declares none,
	// and the model that they block.
	Gate  *fairness.Decision `json:"gate,omitempty"`
	Model *statement.Digest  `json:"model,omitempty"`
	At    time.Time          `json:"at"`
}

// overridden: an auditor had a blocked release offered.
type overridden struct {
	Auditor  string           `json:"auditor"`
	Reason   string           `json:"reason"`
	Time     time.Time        `json:"time"` // by the auditor's clock
	Envelope statement.Digest `json:"envelope"`
	Release  statement.Digest `json:"release"` // envelope
	Offered  statement.Digest `json:"offered"` // payload of the release: its name
	At       time.Time        `json:"at"`
}

// carded: a model card was put beside its release.
type carded struct {
	Format   string           `json:"format"`
	Card     statement.Digest `json:"card"`
	Envelope statement.Digest `json:"envelope"`
	At       time.Time        `json:"at"`
}

type releaseDecided struct {
	Site     string           `json:"site"`
	Accepted bool             `json:"accepted"`
	Reason   string           `json:"reason,omitempty"`
	Envelope statement.Digest `json:"envelope"`
	At       time.Time        `json:"at"`
}

// fact is one of the types above or a round.Record.
type fact any

const membersStream = "members"

func studyStream(id statement.Digest) string { return "study/" + id.String() }
func roundStream(id statement.Digest) string { return "round/" + id.String() }

// kinds names the driver's own facts in the store.
var kinds = map[string]func([]byte) (fact, error){
	"rostered":        read[rostered],
	"enrolled":        read[enrolled],
	"proposed":        read[proposed],
	"decided":         read[decided],
	"started":         read[started],
	"missed":          read[missed],
	"told":            read[told],
	"round-ended":     read[roundEnded],
	"ended":           read[ended],
	"overridden":      read[overridden],
	"carded":          read[carded],
	"release-decided": read[releaseDecided],
}

func kindOf(f fact) string {
	switch f.(type) {
	case rostered:
		return "rostered"
	case enrolled:
		return "enrolled"
	case proposed:
		return "proposed"
	case decided:
		return "decided"
	case started:
		return "started"
	case missed:
		return "missed"
	case told:
		return "told"
	case roundEnded:
		return "round-ended"
	case ended:
		return "ended"
	case overridden:
		return "overridden"
	case carded:
		return "carded"
	case releaseDecided:
		return "release-decided"
	}
	return ""
}

func read[F any](body []byte) (fact, error) {
	var f F
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("data after its end")
	}
	return f, nil
}

type tagged struct {
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

func encodeFact(stream string, f fact) (store.Fact, error) {
	if r, ok := f.(round.Record); ok {
		body, err := round.Encode(r)
		return store.Fact{Stream: stream, Body: body}, err
	}
	kind := kindOf(f)
	if kind == "" {
		return store.Fact{}, fmt.Errorf("%T is not a fact", f)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return store.Fact{}, fmt.Errorf("cannot encode a %s fact: %w", kind, err)
	}
	body, err = json.Marshal(tagged{kind, body})
	return store.Fact{Stream: stream, Body: body}, err
}

func decodeFact(s store.Fact) (fact, error) {
	if strings.HasPrefix(s.Stream, "round/") {
		return round.Decode(s.Body)
	}
	var t tagged
	if err := json.Unmarshal(s.Body, &t); err != nil {
		return nil, fmt.Errorf("a fact of stream %q is unreadable: %w", s.Stream, err)
	}
	decode, ok := kinds[t.Kind]
	if !ok {
		return nil, fmt.Errorf("a fact of stream %q is of unknown kind %q: it was written by a newer version", s.Stream, t.Kind)
	}
	f, err := decode(t.Body)
	if err != nil {
		return nil, fmt.Errorf("a %s fact is unreadable: %w", t.Kind, err)
	}
	return f, nil
}
