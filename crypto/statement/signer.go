package statement

import "fmt"

// Named is a statement that names the member who signs it. Sign and Open
// refuse it from anyone else. Plans, receipts, opening requests, round ends,
// releases and audits name nobody: only the coordinator signs them, which the
// reader enforces by the keys it offers to Open.
type Named interface{ Signer() string }

func (s Enrolment) Signer() string          { return s.Name }
func (s Proposal) Signer() string           { return s.Researcher }
func (s Start) Signer() string              { return s.Researcher }
func (s Approval) Signer() string           { return s.Site }
func (s Decline) Signer() string            { return s.Site }
func (s ContributionHeader) Signer() string { return s.Site }
func (s OpeningShare) Signer() string       { return s.Member }
func (s OpeningFault) Signer() string       { return s.Member }
func (s ReleaseOverride) Signer() string    { return s.Auditor }
func (s ReleaseDecision) Signer() string    { return s.Site }
func (s Card) Signer() string               { return s.Researcher }

func checkSigner(v any, name string) error {
	if n, ok := v.(Named); ok && n.Signer() != name {
		return fmt.Errorf("%w: a %T is signed in another member's name", ErrSecurity, v)
	}
	return nil
}
