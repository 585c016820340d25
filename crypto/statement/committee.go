package statement

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// MaxCommittee is the most sites that hold key shares of a round: the shares
// cost every contributor as many messages as the committee has members. Where
// no more sites are invited, all of them are the committee; of more, so many
// are drawn.
const MaxCommittee = 20

// Draw says what a committee is drawn from: the checkpoint of the ledger whose
// last entry starts the study, and the last roster below it.
//
// Of what a checkpoint covers, the coordinator writes the order, the times and
// the entries that come with them: it could try heads until one drew its
// friends. So the checkpoint fixes which roster it is, and chance comes from
// what governance signed alone: the digest of the signed roster, which contains
// an Ed25519 signature that nobody without the governance key could foresee.
// Neither the study nor anybody's approval goes in: a researcher or a site in
// league with the coordinator could try many of those.
type Draw struct {
	Size   uint64 `json:"size"`   // of the tree, which ends with the study's start
	Root   Digest `json:"root"`   // of the tree
	Roster Digest `json:"roster"` // of the last signed roster's envelope below
}

// Committee draws, of the invited sites, the MaxCommittee that come first in
// the order of SHA-256(domain ‖ seed ‖ name), and lists them by name. Of no
// more than that many sites it draws all. The order does not depend on who is
// invited: whoever leaves makes room for the next and moves nobody else.
func Committee(seed Digest, invited []string) []string {
	drawn := slices.Clone(invited)
	if len(drawn) <= MaxCommittee {
		return drawn
	}
	ranks := make(map[string]Digest, len(drawn))
	for _, name := range drawn {
		ranks[name] = rank(seed, name)
	}
	slices.SortFunc(drawn, func(a, b string) int {
		x, y := ranks[a], ranks[b]
		return bytes.Compare(x[:], y[:])
	})
	drawn = drawn[:MaxCommittee:MaxCommittee]
	slices.Sort(drawn)
	return drawn
}

// committeeDomain keeps ranks apart from every other digest.
const committeeDomain = "consilium committee v1\n"

func rank(seed Digest, name string) Digest {
	b := make([]byte, 0, len(committeeDomain)+sha256.Size+len(name))
	b = append(b, committeeDomain...)
	b = append(b, seed[:]...)
	return DigestOf(append(b, name...)) // the seed's length is fixed, so the parts are
}

// Appointed is the committee that follows from whom the plan invites and from
// its draw: without one, everybody.
func (p *Plan) Appointed() []string {
	if p.Draw == nil {
		return slices.Clone(p.Invited)
	}
	return Committee(p.Draw.Roster, p.Invited)
}
