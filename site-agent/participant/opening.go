package participant

import (
	"slices"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Opening is a request to open one set of contributions that this site, as a
// member of the committee, accepts.
type Opening struct {
	Round        *Round
	Request      statement.Digest // of the request's payload
	Contributors []string
	SealedShares [][]byte // sealed to this member, in the contributors' order
	// Replay says that this very request was answered before: the same bytes
	// go out again and nothing is computed.
	Replay bool
}

// OpeningRequest is what a coordinator sends to ask for an opening share.
type OpeningRequest struct {
	Plan         []byte   // envelope of statement.Plan
	Request      []byte   // envelope of statement.OpeningRequest
	Headers      [][]byte // envelopes of statement.ContributionHeader
	SealedShares [][]byte
	Logged       Logged // of the request
}

// AcceptOpening decides whether this site helps to open a set. The caller must
// make the answer durable BEFORE it leaves, and give the same bytes for the
// same request until the round has ended.
func (s *Site) AcceptOpening(now time.Time, in OpeningRequest) (*Opening, error) {
	round, err := s.readPlan(now, in.Plan)
	if err != nil {
		return nil, err
	}
	plan := round.Plan
	member := slices.Index(plan.Committee, s.Name)
	if member < 0 {
		return nil, ErrNotMember
	}
	var request statement.OpeningRequest
	payload, err := statement.Open(in.Request, statement.KindOpeningRequest, &request, s.coordinator())
	if err != nil {
		return nil, ErrRequestSignature.because("%v", err)
	}
	if request.Round != round.ID {
		return nil, ErrRequestPlan
	}
	opening := &Opening{Round: round, Request: statement.DigestOf(payload), Contributors: request.Contributors, SealedShares: in.SealedShares}
	if answered, ok := s.Memory.Answered(round.ID); ok {
		if answered != opening.Request {
			return nil, ErrSecondSet
		}
		if _, ended := s.Memory.End(round.ID); ended {
			return nil, ErrRoundEnded // nobody needs the answer any more
		}
		opening.Replay = true
		return opening, nil
	}
	if err := in.Logged.check(ledger.TypeOpeningRequest, round.ID, in.Request); err != nil {
		return nil, err
	}
	if err := s.checkTimes(now, round); err != nil {
		return nil, err
	}
	if now.After(plan.OpenUntil.Add(s.skew())) {
		return nil, ErrTooLate
	}
	if err := s.checkQuestion(round); err != nil {
		return nil, err
	}
	if err := s.checkSet(round, &request, in, member); err != nil {
		return nil, err
	}
	return opening, nil
}

func (s *Site) checkSet(round *Round, request *statement.OpeningRequest, in OpeningRequest, member int) error {
	plan, set := round.Plan, request.Contributors
	if len(request.Headers) != len(set) || len(in.Headers) != len(set) || len(in.SealedShares) != len(set) {
		return ErrSetSize
	}
	if least := max(plan.MinimumContributors, round.Study.MinimumContributors(), s.floor()); len(set) < least {
		return ErrSetFloor.because("%d where at least %d are needed", len(set), least)
	}
	for i, name := range set {
		if i > 0 && set[i-1] >= name {
			return ErrSetOrder
		}
		if !slices.Contains(plan.Invited, name) {
			return ErrSetStranger.because("%q", name)
		}
		header, digest, err := s.readHeader(round, name, in.Headers[i])
		if err != nil {
			return err
		}
		if digest != request.Headers[i] {
			return ErrHeaderDigest.because("%q", name)
		}
		if statement.DigestOf(in.SealedShares[i]) != header.Shares[member] {
			return ErrShareDigest.because("%q", name)
		}
		if name == s.Name {
			own, ok := s.Memory.Header(round.ID)
			if !ok {
				// Nobody else has this site's key: it was this site, before
				// its memory was restored from an older copy.
				return ErrForgotten
			}
			if own != digest {
				return ErrOwnHeader
			}
		}
	}
	return nil
}

// readHeader checks a contribution's header by the plan's roster, which is the
// one that its author was a member of.
func (s *Site) readHeader(round *Round, name string, envelope []byte) (*statement.ContributionHeader, statement.Digest, error) {
	var header statement.ContributionHeader
	payload, err := statement.Open(envelope, statement.KindContributionHeader, &header, keyOf(round.Roster, identity.RoleSite))
	if err != nil {
		return nil, statement.Digest{}, ErrHeader.because("%q: %v", name, err)
	}
	if header.Round != round.ID || header.Site != name {
		return nil, statement.Digest{}, ErrHeaderRound.because("%q", name)
	}
	if len(header.Chunks) != round.Secagg.Chunks() || len(header.Shares) != len(round.Plan.Committee) {
		return nil, statement.Digest{}, ErrHeaderShape.because("%q", name)
	}
	return &header, statement.DigestOf(payload), nil
}
