// Package participant decides what a hospital does with what a coordinator
// asks of it. It is the protocol's site half without the machinery: signed
// bytes, what the site remembers and the time go in; an accepted round or a
// named refusal comes out. It opens no connection, reads no file and knows no
// clock, so that every rule can be tested by name.
//
// The coordinator is not trusted with privacy. Everything in a plan that
// follows from something else is computed again and compared: the layout from
// the study, the suite from the layout, the committee from a draw that the site
// has seen in the ledger itself, the threshold from the study and the committee. What does not follow from anything is bounded: the number of
// contributors by the site's own floor, the deadlines by the study, the number
// of questions by the study's steps. What cannot be checked against anything
// is checked against the past: the same question is not answered twice, and a
// round is opened for one set of sites.
//
// The rules are those of the project's secure-sum specification, section "A
// round, message by message"; each refusal has a name in refusal.go and a test.
package participant

import (
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

const (
	// DefaultFloor is the least number of contributors of a sum where the
	// site's policy names none.
	DefaultFloor = 3
	// LeastFloor is below what no policy can go: a sum over one site is that
	// site's data.
	LeastFloor = 2
	// DefaultSkew is how far two clocks may differ.
	DefaultSkew = 2 * time.Minute
)

// Rosters are the verified rosters a site keeps; identity.Chain is one.
type Rosters interface {
	Latest() *identity.Roster
	At(statement.Digest) (*identity.Roster, bool)
	// Signed finds a roster by the digest of its signed envelope.
	Signed(envelope statement.Digest) (*identity.Roster, bool)
}

// Ledger is what a site has read in the ledger itself, all of it verified
// against the checkpoints it keeps; the agent's witness is one.
type Ledger interface {
	// Draw is what the committees of a study are drawn from, false where the
	// ledger does not show that the study was started.
	Draw(study statement.Digest) (statement.Draw, bool)
}

// Memory is what a site remembers durably; the vault is one.
type Memory interface {
	// Study returns a study that this site has approved.
	Study(statement.Digest) (*study.Study, bool)
	// Asked lists the rounds in which a question was put to this site.
	Asked(question statement.Digest) []Asked
	// Questions counts the different questions of a step accepted so far.
	Questions(study statement.Digest, step string) int
	// Epoch is that of the study's first accepted plan.
	Epoch(study statement.Digest) (string, bool)
	// Header is the digest of the header that this site signed in a round.
	Header(round statement.Digest) (statement.Digest, bool)
	// Answered is the digest of the opening request that this site answered.
	Answered(round statement.Digest) (statement.Digest, bool)
	// Forgotten reports that the ledger shows this site taking part in a round
	// of which the memory holds nothing.
	Forgotten(round statement.Digest) bool
	// End is how a round ended, once the site was told.
	End(round statement.Digest) (*statement.RoundEnd, bool)
}

// Asked is an earlier round of a question.
type Asked struct {
	Round      statement.Digest
	Committee  []string // of the round's plan, with its threshold
	Threshold  int
	ShareGiven bool                // this site answered the round's opening request
	AtFault    []string            // sites whose sealed share did not open here
	End        *statement.RoundEnd // nil while the site was not told
}

// Site is who decides: a member's name, what it knows and what it allows.
type Site struct {
	Name    string
	Rosters Rosters
	Memory  Memory
	// Ledger is asked only about plans that draw their committee.
	Ledger Ledger
	// Floor is the least number of contributors this site allows;
	// 0 is DefaultFloor.
	Floor int
	// Skew is how far the coordinator's clock may differ from this site's;
	// 0 is DefaultSkew.
	Skew time.Duration
}

func (s *Site) floor() int {
	if s.Floor == 0 {
		return DefaultFloor
	}
	return max(s.Floor, LeastFloor)
}

func (s *Site) skew() time.Duration {
	if s.Skew == 0 {
		return DefaultSkew
	}
	return s.Skew
}

// keyOf gives the key of a signer only if the roster lists it in the role.
func keyOf(roster *identity.Roster, role identity.Role) func(string) (ed25519.PublicKey, error) {
	if roster == nil {
		return func(string) (ed25519.PublicKey, error) { return nil, errors.New("no roster is known") }
	}
	return roster.KeyOfRole(role)
}

// coordinator gives the key of whom the latest roster lists as coordinator: one
// that was replaced asks for nothing more.
func (s *Site) coordinator() func(string) (ed25519.PublicKey, error) {
	return keyOf(s.Rosters.Latest(), identity.RoleCoordinator)
}

// AcceptStudy checks a proposed study and returns it, parsed, with its
// proposal. Whether the site takes part is a person's or a policy's decision.
func (s *Site) AcceptStudy(protocol, proposal []byte) (*study.Study, *statement.Proposal, error) {
	var p statement.Proposal
	if _, err := statement.Open(proposal, statement.KindProposal, &p, keyOf(s.Rosters.Latest(), identity.RoleResearcher)); err != nil {
		return nil, nil, ErrProposal.because("%v", err)
	}
	if statement.DigestOf(protocol) != p.Study {
		return nil, nil, ErrProtocol
	}
	parsed, err := study.Parse(protocol)
	if err != nil {
		return nil, nil, ErrStudy.because("%v", err)
	}
	return parsed, &p, nil
}
