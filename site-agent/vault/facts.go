package vault

import (
	"bytes"
	"fmt"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// RememberPlan records that a plan was accepted. Once it returns, the question
// counts as asked.
func (v *Vault) RememberPlan(p Plan) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[p.Round]; r != nil && r.Plan != nil {
		// The round's id is a digest of the whole plan; the question says enough.
		if r.Plan.Question != p.Question {
			return fmt.Errorf("%w: another plan of round %s", ErrOnce, p.Round)
		}
		return nil
	}
	return v.record(fact{Plan: &p})
}

// RememberReceipt records that the coordinator counts the contribution.
func (v *Vault) RememberReceipt(round statement.Digest, envelope []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.Receipt != nil {
		return nil
	}
	return v.record(fact{Receipt: &receipt{round, envelope}})
}

// RememberDecline records that the site said it will not contribute.
func (v *Vault) RememberDecline(round statement.Digest) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.Declined {
		return nil
	}
	return v.record(fact{Declined: &round})
}

// RememberAnswer records the answer to an opening request. It must return
// BEFORE the answer leaves. There is one per round: a different one, even for
// the same request, is refused.
func (v *Vault) RememberAnswer(a Answer) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[a.Round]; r != nil && r.Answer != nil {
		if r.End != nil {
			return fmt.Errorf("%w: round %s was answered and is over", ErrOnce, a.Round)
		}
		if r.Answer.Request != a.Request || !bytes.Equal(r.Answer.Statement, a.Statement) || !bytes.Equal(r.Answer.Share, a.Share) {
			return fmt.Errorf("%w: another opening of round %s was answered", ErrOnce, a.Round)
		}
		return nil
	}
	return v.record(fact{Answer: &a})
}

// RememberFault records which senders' shares did not open.
func (v *Vault) RememberFault(f Fault) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[f.Round]; r != nil && r.Fault != nil {
		if r.Fault.Request != f.Request || !bytes.Equal(r.Fault.Statement, f.Statement) {
			return fmt.Errorf("%w: another fault of round %s was reported", ErrOnce, f.Round)
		}
		return nil
	}
	return v.record(fact{Fault: &f})
}

// RememberEnd records how a round ended.
func (v *Vault) RememberEnd(end statement.RoundEnd) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[end.Round]; r != nil && r.End != nil {
		before, _ := statement.Encode(r.End)
		if after, err := statement.Encode(end); err != nil || !bytes.Equal(before, after) {
			return fmt.Errorf("%w: round %s ended otherwise", ErrOnce, end.Round)
		}
		return nil
	}
	return v.record(fact{End: &end})
}

// Forget records that the ledger shows this site in a round of which the vault
// knows nothing: the state was restored from an older copy.
func (v *Vault) Forget(round statement.Digest) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.Forgotten {
		return nil
	}
	return v.record(fact{Forgotten: &round})
}

// DecideStudy records a decision about a study. A later one replaces it.
func (v *Vault) DecideStudy(d Decision) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.record(fact{Study: &d})
}

// DecideRelease records a decision about a release. A later one replaces it.
func (v *Vault) DecideRelease(d Decision) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.record(fact{Release: &d})
}

// RecordViolation keeps a security violation for people to see, the same one
// once; again where people have acknowledged the one before, which is among the
// first that many.
func (v *Vault) RecordViolation(n Violation, acknowledged int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, seen := range v.violations[min(acknowledged, len(v.violations)):] {
		if seen.Code == n.Code && seen.Sentence == n.Sentence {
			return nil
		}
	}
	return v.record(fact{Violation: &n})
}
