package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/consilium-fl/consilium/crypto/memo"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Types of entries.
const (
	TypeRoster          = "roster"
	TypeProposal        = "proposal"
	TypeApproval        = "approval"
	TypeStart           = "start"
	TypePlan            = "plan"
	TypeContribution    = "contribution"
	TypeDecline         = "decline"
	TypeOpeningRequest  = "opening-request"
	TypeOpeningShare    = "opening-share"
	TypeOpeningFault    = "opening-fault"
	TypeRoundEnd        = "round-end"
	TypeStudyEnd        = "study-end" // without a release
	TypeResult          = "result"
	TypeMonitorReport   = "monitor-report" // what a study that watches a release has shown so far
	TypeAudit           = "audit"
	TypeRelease         = "release"
	TypeReleaseOverride = "release-override"
	TypeReleaseDecision = "release-decision"
	TypeCard            = "card" // of a release
)

var knownTypes = map[string]bool{
	TypeRoster: true, TypeProposal: true, TypeApproval: true, TypeStart: true, TypePlan: true,
	TypeContribution: true, TypeDecline: true, TypeStudyEnd: true, TypeOpeningRequest: true, TypeOpeningShare: true, TypeOpeningFault: true,
	TypeRoundEnd: true, TypeResult: true, TypeMonitorReport: true, TypeAudit: true, TypeRelease: true, TypeReleaseOverride: true, TypeReleaseDecision: true, TypeCard: true,
}

// maxEntry bounds a leaf in bytes before it is parsed.
const maxEntry = 4096

// Entry is one line of the ledger. It says that something was done; what, is in
// the statement or blob that Subject names.
type Entry struct {
	Time    time.Time        `json:"time"` // by the coordinator's clock
	Type    string           `json:"type"`
	Study   string           `json:"study,omitempty"` // digest of the protocol file, hex
	Round   string           `json:"round,omitempty"` // round id, hex
	Subject statement.Digest `json:"subject"`         // SHA-256 of the envelope, or of the blob
	Actor   string           `json:"actor"`           // the member, or governance, whose act it is
}

// Leaf encodes an entry as the leaf that it is in the log.
func (e Entry) Leaf() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return statement.Encode(e)
}

// entries are those that were read lately, by the digest of their leaf: all of a
// study of six hundred rounds among twenty hospitals, which verification reads
// again and again.
var entries = memo.New[Entry](48 << 20)

// ParseEntry reads a leaf and refuses any but the one spelling of an entry.
func ParseEntry(leaf []byte) (Entry, error) {
	var e Entry
	if len(leaf) > maxEntry {
		return Entry{}, fmt.Errorf("ledger entry of %d bytes is too large", len(leaf))
	}
	name := memo.Key(statement.DigestOf(leaf))
	if known, ok := entries.Get(name); ok {
		return known, nil
	}
	if err := statement.Decode(leaf, &e); err != nil {
		return Entry{}, fmt.Errorf("ledger entry: %w", err)
	}
	if err := e.check(); err != nil {
		return e, err
	}
	entries.Put(name, e, 2*len(leaf))
	return e, nil
}

func (e Entry) check() error {
	if !knownTypes[e.Type] {
		return errors.New("ledger entry is of no known type")
	}
	for _, digest := range []string{e.Study, e.Round} {
		if digest == "" {
			continue
		}
		if _, err := statement.ParseDigest(digest); err != nil {
			return fmt.Errorf("ledger entry's study or round: %w", err)
		}
	}
	if e.Subject.IsZero() {
		return errors.New("ledger entry names no subject")
	}
	if len(e.Actor) < 1 || len(e.Actor) > 64 {
		return errors.New("ledger entry names no actor")
	}
	return nil
}
