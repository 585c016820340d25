package participant

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// Release is a release whose signature and parts are in order.
type Release struct {
	Digest  statement.Digest // of the release's payload
	Release *statement.Release
	Study   *study.Study
	Audit   []byte // payload of the audit's envelope
	// Gate is what the study's criteria make of the release, decided here from the
	// audit. One that they block has an Override.
	Gate     fairness.Decision
	Override *statement.ReleaseOverride // nil for none
}

// ReleaseRequest is what a coordinator offers, and what an installed release
// keeps.
type ReleaseRequest struct {
	Release  []byte // envelope of statement.Release
	Audit    []byte // envelope of the audit report
	Protocol []byte
	Override []byte // envelope of statement.ReleaseOverride; nil for none
}

// OpenRelease checks that the coordinator of the release's own roster signed
// it and its audit, that its parts are those it names, and that the study's
// criteria let it pass or an auditor overrode them. It is asked again before every
// use of an installed release, also years later and off line.
func OpenRelease(rosters Rosters, in ReleaseRequest) (*Release, error) {
	// The roster is named inside: it is read before the signature is verified,
	// and believed only because this site has verified that roster itself.
	var roster *identity.Roster
	release, payload, err := statement.OpenClaiming(in.Release, statement.KindRelease, func(claimed *statement.Release, keyid string) (ed25519.PublicKey, error) {
		var known bool
		if roster, known = rosters.At(claimed.Roster); !known {
			return nil, errors.New("it names a roster this site has not seen")
		}
		return keyOf(roster, identity.RoleCoordinator)(keyid)
	})
	if err != nil {
		return nil, ErrReleaseSignature.because("%v", err)
	}
	if statement.DigestOf(in.Protocol) != release.Study {
		return nil, ErrReleaseStudy
	}
	parsed, err := study.Parse(in.Protocol)
	if err != nil {
		return nil, ErrStudy.because("%v", err)
	}
	if statement.DigestOf(release.Body) != release.Model {
		return nil, ErrReleaseModel
	}
	// Whatever the report's own shape is: that is the fairness package's.
	var report json.RawMessage
	audit, err := statement.Open(in.Audit, statement.KindAudit, &report, keyOf(roster, identity.RoleCoordinator))
	if err != nil {
		return nil, ErrReleaseAudit.because("%v", err)
	}
	if statement.DigestOf(audit) != release.Audit {
		return nil, ErrReleaseAudit
	}
	opened := &Release{Digest: statement.DigestOf(payload), Release: release, Study: parsed, Audit: audit}
	if err := opened.checkGate(roster, in.Override); err != nil {
		return nil, err
	}
	return opened, nil
}

// AcceptRelease checks an offered release, also against what this site knows
// of its rounds: it lists this site's contributions as this site made them, and
// sums as this site was told. Whether the model is any good for this hospital's
// patients is decided after that, on those patients.
func (s *Site) AcceptRelease(in ReleaseRequest) (*Release, error) {
	release, err := OpenRelease(s.Rosters, in)
	if err != nil {
		return nil, err
	}
	rounds := release.Release.Rounds
	if len(rounds) == 0 {
		return nil, ErrReleaseRounds.because("there are none")
	}
	seen := make(map[statement.Digest]bool)
	for _, round := range rounds {
		if seen[round.Round] || len(round.Headers) != len(round.Contributors) || !slices.IsSorted(round.Contributors) {
			return nil, ErrReleaseRounds
		}
		seen[round.Round] = true
		if err := s.checkReleasedRound(round); err != nil {
			return nil, err
		}
	}
	return release, nil
}

func (s *Site) checkReleasedRound(round statement.ReleasedRound) error {
	if i := slices.Index(round.Contributors, s.Name); i >= 0 && !s.Memory.Forgotten(round.Round) {
		if own, ok := s.Memory.Header(round.Round); !ok || own != round.Headers[i] {
			return ErrReleaseReceipt.because("round %s", round.Round)
		}
	}
	if end, ok := s.Memory.End(round.Round); ok {
		if end.State != Published || end.Sum == nil || *end.Sum != round.Sum || !slices.Equal(end.Contributors, round.Contributors) {
			return ErrReleaseSum.because("round %s", round.Round)
		}
	}
	return nil
}
