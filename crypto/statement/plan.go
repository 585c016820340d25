package statement

import (
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// QuestionDigest names the question that a plan asks: SHA-256 over the
// canonical JSON of study, step, parameters, layout and epoch. Sites remember
// questions by it, because two opened answers to one question over different
// sets of sites would reveal their difference.
func (p *Plan) QuestionDigest() Digest {
	question, err := Encode(struct {
		Study      Digest         `json:"study"`
		Step       string         `json:"step"`
		Parameters Digest         `json:"parameters"`
		Layout     []secagg.Field `json:"layout"`
		Epoch      string         `json:"epoch"`
	}{p.Study, p.Step, p.Parameters, p.Layout, p.Epoch})
	if err != nil {
		// Only a bound that is no number cannot be encoded; the zero digest
		// matches no question and Validate refuses the layout.
		return Digest{}
	}
	return DigestOf(question)
}

// RoundSpec returns what the round's cryptography depends on. Its id is the
// digest of the plan's payload.
func (p *Plan) RoundSpec() secagg.RoundSpec {
	spec := secagg.RoundSpec{
		Suite:     p.Suite,
		Layout:    p.Layout,
		Invited:   len(p.Invited),
		Committee: len(p.Committee),
		Threshold: p.Threshold,
	}
	if payload, err := Encode(p); err == nil {
		spec.ID = DigestOf(payload)
	}
	return spec
}

// Validate checks everything that follows from the plan alone. What follows
// from the study (layout, minimum, threshold rule) and from the roster (who may
// be invited) is the participant's to check.
func (p *Plan) Validate() error {
	if p.Step == "" {
		return errors.New("plan names no step")
	}
	if nonce := p.Nonce; len(nonce) != 32 || !lowerHex(nonce) {
		return errors.New("plan's nonce is not 16 bytes in lower-case hex")
	}
	if err := ascending("invited sites", p.Invited); err != nil {
		return err
	}
	if err := ascending("committee", p.Committee); err != nil {
		return err
	}
	for _, member := range p.Committee {
		if _, invited := slices.BinarySearch(p.Invited, member); !invited {
			return fmt.Errorf("committee member %q is not invited", member)
		}
	}
	n, m := len(p.Invited), len(p.Committee)
	if n > MaxCommittee && p.Draw == nil {
		return fmt.Errorf("plan invites %d sites and does not say what its committee of %d is drawn from", n, MaxCommittee)
	}
	if n <= MaxCommittee && p.Draw != nil {
		return fmt.Errorf("plan draws a committee although all of the %d invited sites are on it", n)
	}
	// More than half, or two disjoint sets of members could open two sets.
	if 2*p.Threshold <= m || p.Threshold > m {
		return fmt.Errorf("threshold %d is not a majority of a committee of %d", p.Threshold, m)
	}
	if p.MinimumContributors < 2 || p.MinimumContributors > n {
		return fmt.Errorf("minimum of %d contributors: it is at least 2 and at most the %d invited", p.MinimumContributors, n)
	}
	layout := secagg.Layout(p.Layout)
	if err := layout.Validate(n); err != nil {
		return fmt.Errorf("plan's layout: %w", err)
	}
	suite, err := secagg.SelectSuite(layout, n, m, p.Threshold)
	if err != nil {
		return fmt.Errorf("plan's layout: %w", err)
	}
	if p.Suite != suite {
		return fmt.Errorf("plan names suite %q where its layout gives %q", p.Suite, suite)
	}
	if p.Question != p.QuestionDigest() {
		return errors.New("plan's question digest is not that of its study, step, parameters, layout and epoch")
	}
	if !p.Issued.Before(p.CollectUntil) || !p.CollectUntil.Before(p.OpenUntil) {
		return errors.New("plan's times are out of order: it is issued before collecting ends, and collecting ends before opening does")
	}
	return nil
}

func ascending(what string, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("plan has no %s", what)
	}
	for i, name := range names {
		if name == "" || i > 0 && names[i-1] >= name {
			return fmt.Errorf("plan's %s are not distinct names in ascending order", what)
		}
	}
	return nil
}

func lowerHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
