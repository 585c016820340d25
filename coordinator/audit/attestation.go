package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// KindAttestation is the payload type that in-toto gives its statements.
const KindAttestation statement.Kind = "application/vnd.in-toto+json"

// Types of the attestation, as in-toto names types.
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://github.com/consilium-fl/consilium/attestation/v1"
)

// Attestation is an in-toto Statement v1 (github.com/in-toto/attestation): the
// coordinator says of a model, its report and their study, by digest, from which
// rounds of which ledger they come. Tools that know nothing of this consortium
// read it; everything in it follows from the rest of the bundle, but for the
// software that made it.
type Attestation struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is one thing that an attestation is about.
type Subject struct {
	Name   string    `json:"name"`
	Digest DigestSet `json:"digest"`
}

// DigestSet names bytes.
type DigestSet struct {
	SHA256 statement.Digest `json:"sha256"`
}

// Predicate is what an attestation says. Leaves of the ledger are named by their
// index.
type Predicate struct {
	Ledger   Head            `json:"ledger"`
	Proposal *int            `json:"proposal,omitempty"`
	Start    *int            `json:"start,omitempty"`
	Rounds   []AttestedRound `json:"rounds"` // whose sums were published
	Audit    *int            `json:"audit,omitempty"`
	Gate     string          `json:"gate,omitempty"`     // what the study's criteria make of the release
	Override *int            `json:"override,omitempty"` // under which a blocked release is offered
	Release  *int            `json:"release,omitempty"`
	End      *int            `json:"end,omitempty"` // without a release
	Software Software        `json:"software"`
}

// Head is a checkpoint of the ledger.
type Head struct {
	Origin string           `json:"origin"`
	Size   uint64           `json:"size"`
	Root   statement.Digest `json:"root"`
}

// AttestedRound is where the ledger has a round, and what it gave.
type AttestedRound struct {
	Round         statement.Digest `json:"round"`
	Step          string           `json:"step"`
	Contributors  []string         `json:"contributors"`
	Sum           statement.Digest `json:"sum"`
	Plan          int              `json:"plan"`
	Contributions []int            `json:"contributions"`
	Request       int              `json:"request"`
	Shares        []int            `json:"shares"`
	End           int              `json:"end"`
}

// Software is which program made something. A replay is byte for byte the same only
// with the same arithmetic, so the kind of machine belongs to it.
type Software struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ThisSoftware is the running program.
func ThisSoftware() Software {
	s := Software{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		s.Version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				s.Revision = setting.Value
			}
		}
	}
	return s
}

func (s Software) String() string {
	if s.Revision != "" {
		return fmt.Sprintf("%s (%.12s, %s, %s)", s.Version, s.Revision, s.Go, s.Platform)
	}
	return fmt.Sprintf("%s (%s, %s)", s.Version, s.Go, s.Platform)
}

// Attest says what follows from a study's entries in a ledger and the statements
// that they name, which blob gives.
func Attest(study statement.Digest, head ledger.Checkpoint, leaves [][]byte, blob func(statement.Digest) ([]byte, error), by Software) (*Attestation, error) {
	a := &Attestation{
		Type: statementType, PredicateType: predicateType,
		Subject: []Subject{{"study", DigestSet{study}}},
		Predicate: Predicate{
			Ledger: Head{head.Origin, head.Size, head.Root}, Rounds: []AttestedRound{}, Software: by,
		},
	}
	running := make(map[string]*AttestedRound)
	for i, leaf := range leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, err
		}
		if e.Study != study.String() {
			continue
		}
		if err := a.add(i, e, running, blob); err != nil {
			return nil, fmt.Errorf("entry %d (%s): %w", i, e.Type, err)
		}
	}
	return a, nil
}

// add takes one entry of the study in.
func (a *Attestation) add(i int, e ledger.Entry, running map[string]*AttestedRound, blob func(statement.Digest) ([]byte, error)) error {
	inside := func(v any) (statement.Digest, error) {
		envelope, err := blob(e.Subject)
		if err != nil {
			return statement.Digest{}, err
		}
		_, payload, err := statement.Payload(envelope)
		if err != nil || v == nil {
			return statement.DigestOf(payload), err
		}
		return statement.DigestOf(payload), statement.Decode(payload, v)
	}
	round := running[e.Round]
	if round == nil {
		round = &AttestedRound{Contributions: []int{}, Shares: []int{}}
	}
	switch e.Type {
	case ledger.TypeProposal:
		a.Predicate.Proposal = &i
	case ledger.TypeStart:
		a.Predicate.Start = &i
	case ledger.TypePlan:
		var plan statement.Plan
		id, err := inside(&plan)
		if err != nil {
			return err
		}
		round.Round, round.Step, round.Plan = id, plan.Step, i
		running[e.Round] = round
	case ledger.TypeContribution:
		round.Contributions = append(round.Contributions, i)
	case ledger.TypeOpeningRequest:
		round.Request = i
	case ledger.TypeOpeningShare:
		round.Shares = append(round.Shares, i)
	case ledger.TypeRoundEnd:
		var end statement.RoundEnd
		if _, err := inside(&end); err != nil {
			return err
		}
		if end.Sum != nil {
			round.End, round.Sum, round.Contributors = i, *end.Sum, end.Contributors
			a.Predicate.Rounds = append(a.Predicate.Rounds, *round)
		}
	case ledger.TypeStudyEnd:
		a.Predicate.End = &i
	case ledger.TypeAudit:
		report, err := inside(nil)
		if err != nil {
			return err
		}
		a.Subject = append(a.Subject, Subject{"audit", DigestSet{report}})
		a.Predicate.Audit = &i
	case ledger.TypeRelease:
		var release statement.Release
		id, err := inside(&release)
		if err != nil {
			return err
		}
		a.Subject = append(a.Subject, Subject{"model", DigestSet{release.Model}}, Subject{"release", DigestSet{id}})
		a.Predicate.Release, a.Predicate.Gate = &i, release.Gate
	case ledger.TypeReleaseOverride:
		a.Predicate.Override = &i
	case ledger.TypeCard:
		var card statement.Card
		if _, err := inside(&card); err != nil {
			return err
		}
		// A card takes the place of the one before it in that format.
		name := "card " + card.Format
		a.Subject = slices.DeleteFunc(a.Subject, func(s Subject) bool { return s.Name == name })
		a.Subject = append(a.Subject, Subject{name, DigestSet{card.Card}})
	}
	return nil
}

// readAttestation reads which software made the bundle, before anything is
// verified: if the rest does not hold, that may be why.
func (v *verifier) readAttestation() error {
	envelope, err := fs.ReadFile(v.bundle, attestationFile)
	if err != nil {
		return fmt.Errorf("%s cannot be read", attestationFile)
	}
	kind, payload, err := statement.Payload(envelope)
	if err != nil || kind != KindAttestation {
		return fmt.Errorf("%s is no signed in-toto statement", attestationFile)
	}
	v.attestation = new(Attestation)
	if err := statement.Decode(payload, v.attestation); err != nil {
		return fmt.Errorf("%s cannot be read: %w", attestationFile, err)
	}
	v.attested, v.findings.MadeBy = envelope, v.attestation.Predicate.Software
	return nil
}

// checkAttestation compares the attestation with what the rest of the bundle
// gives.
func (v *verifier) checkAttestation() (string, error) {
	var claimed Attestation
	payload, err := statement.Open(v.attested, KindAttestation, &claimed, v.rosters.Latest().KeyOfRole(identity.RoleCoordinator))
	if err != nil {
		return "", fmt.Errorf("%s: %w", attestationFile, err)
	}
	derived, err := Attest(v.digest, *v.checkpoint, v.leaves, v.blob, claimed.Predicate.Software)
	if err != nil {
		return "", err
	}
	want, err := statement.Encode(derived)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(want, payload) {
		if _, err = agree("what it says", want, payload); err == nil {
			err = errors.New("a number in it differs")
		}
		return "", fmt.Errorf("%s: %w", attestationFile, err)
	}
	detail := fmt.Sprintf("signed by the coordinator; it says what the bundle shows of %d subjects and %d rounds; made by %s", len(claimed.Subject), len(claimed.Predicate.Rounds), claimed.Predicate.Software)
	if by := ThisSoftware(); by != claimed.Predicate.Software {
		detail += ", where this is " + by.String()
	}
	return detail, nil
}
