package uplink

import (
	"github.com/consilium-fl/consilium/crypto/ledger"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// News is everything the coordinator wants of this site now, and the public
// facts that came with it. Nothing in it has been verified.
type News struct {
	Revision    string
	Rosters     [][]byte
	Checkpoint  []byte
	Consistency [][32]byte

	Ended      []RoundEnded
	Studies    []ReviewStudy
	Contribute []Contribute
	Open       []Open
	Releases   []ReviewRelease

	Entries [][]byte // of the ledger, after those that the site has read
}

// RoundEnded says how a round ended.
type RoundEnded struct {
	Round string // hex
	End   []byte // envelope of statement.RoundEnd
}

// ReviewStudy asks for a decision about a study.
type ReviewStudy struct{ Protocol, Proposal []byte }

// Contribute asks for a contribution.
type Contribute struct {
	Plan, Parameters []byte
	LedgerIndex      uint64
	Inclusion        [][32]byte
}

// Open asks for an opening share.
type Open struct {
	Plan, Request []byte
	Headers       [][]byte
	SealedShares  [][]byte
	LedgerIndex   uint64
	Inclusion     [][32]byte
}

// ReviewRelease asks for a decision about a release.
type ReviewRelease struct {
	Release, Audit, Protocol []byte
	Override                 []byte // nil unless the study's criteria block the release
}

func newsOf(r *consiliumv1.PollResponse) (*News, error) {
	consistency, err := proofOf(r.Consistency)
	if err != nil {
		return nil, err
	}
	n := &News{Revision: r.Revision, Rosters: r.Rosters, Checkpoint: r.Checkpoint, Consistency: consistency, Entries: r.Entries}
	for _, a := range r.Assignments {
		switch work := a.Work.(type) {
		case *consiliumv1.Assignment_RoundEnded:
			n.Ended = append(n.Ended, RoundEnded{work.RoundEnded.Round, work.RoundEnded.End})
		case *consiliumv1.Assignment_ReviewStudy:
			n.Studies = append(n.Studies, ReviewStudy{work.ReviewStudy.Protocol, work.ReviewStudy.Proposal})
		case *consiliumv1.Assignment_Contribute:
			w := work.Contribute
			inclusion, err := proofOf(w.Inclusion)
			if err != nil {
				return nil, err
			}
			n.Contribute = append(n.Contribute, Contribute{w.Plan, w.Parameters, w.LedgerIndex, inclusion})
		case *consiliumv1.Assignment_Open:
			w := work.Open
			inclusion, err := proofOf(w.Inclusion)
			if err != nil {
				return nil, err
			}
			n.Open = append(n.Open, Open{w.Plan, w.Request, w.Headers, w.SealedShares, w.LedgerIndex, inclusion})
		case *consiliumv1.Assignment_ReviewRelease:
			w := work.ReviewRelease
			n.Releases = append(n.Releases, ReviewRelease{w.Release, w.Audit, w.Protocol, w.Override})
		}
		// A kind of work that this version does not know is not done: a newer
		// coordinator waits for it until the site is updated.
	}
	return n, nil
}

func proofOf(wire [][]byte) ([][32]byte, error) {
	proof, err := ledger.ParseProof(wire)
	if err != nil {
		return nil, &Error{Code: "malformed-proof", What: "the coordinator's answer is malformed", Why: err.Error(), Next: "update the older of the two programs", Security: true, cause: err}
	}
	return proof, nil
}
