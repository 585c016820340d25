package vault

import (
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

// Study returns a study that this site has approved.
func (v *Vault) Study(id statement.Digest) (*study.Study, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.studies[id]; s != nil && s.study != nil {
		return s.study, true
	}
	return nil, false
}

// Asked lists the accepted rounds of a question, the oldest first.
func (v *Vault) Asked(question statement.Digest) []participant.Asked {
	v.mu.Lock()
	defer v.mu.Unlock()
	var asked []participant.Asked
	for _, id := range v.asked[question] {
		r := v.rounds[id]
		a := participant.Asked{Round: id, Committee: r.Plan.Committee, Threshold: r.Plan.Threshold, ShareGiven: r.Answer != nil, End: r.End}
		if r.Fault != nil {
			a.AtFault = r.Fault.Senders
		}
		asked = append(asked, a)
	}
	return asked
}

// Questions counts the different questions of a step accepted so far.
func (v *Vault) Questions(study statement.Digest, name string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.questions[step{study, name}]
}

// Epoch is that of the study's first accepted plan.
func (v *Vault) Epoch(study statement.Digest) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	epoch, known := v.epochs[study]
	return epoch, known
}

// Header is the digest of the header that this site signed in a round.
func (v *Vault) Header(round statement.Digest) (statement.Digest, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.Header != nil {
		return *r.Header, true
	}
	return statement.Digest{}, false
}

// Answered is the digest of the opening request that this site answered, with
// a share or with a report of faults.
func (v *Vault) Answered(round statement.Digest) (statement.Digest, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch r := v.rounds[round]; {
	case r == nil:
	case r.Answer != nil:
		return r.Answer.Request, true
	case r.Fault != nil:
		return r.Fault.Request, true
	}
	return statement.Digest{}, false
}

// Forgotten reports that the site took part in a round that it has forgotten.
func (v *Vault) Forgotten(round statement.Digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.rounds[round]
	return r != nil && r.Forgotten
}

// End is how a round ended.
func (v *Vault) End(round statement.Digest) (*statement.RoundEnd, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.End != nil {
		return r.End, true
	}
	return nil, false
}

var _ participant.Memory = (*Vault)(nil)
