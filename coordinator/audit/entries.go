package audit

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// ofRounds are the types of entries that belong to a round.
var ofRounds = map[string]bool{
	ledger.TypePlan: true, ledger.TypeContribution: true, ledger.TypeDecline: true, ledger.TypeOpeningRequest: true,
	ledger.TypeOpeningShare: true, ledger.TypeOpeningFault: true, ledger.TypeRoundEnd: true,
}

// checkEntries holds what no statement says of itself, and whoever writes the log
// could make up: that an entry says of its statement what that says, that nobody's
// word counts a second time, and that the study came in its order. Order and
// repetition matter where nobody signs them: a hospital's approval that is entered
// anew after it was withdrawn is an approval that it does not give.
func (v *verifier) checkEntries() (string, error) {
	for _, r := range v.records {
		if r.entry.Type == ledger.TypeRoster && (r.entry.Study != "" || r.entry.Round != "" || r.entry.Actor != "governance") {
			return "", fmt.Errorf("%s is not entered as governance's, of no study and no round", r)
		}
	}
	ours := v.ours()
	if first := ours[0]; first != v.proposal {
		return "", fmt.Errorf("%s comes before the study was proposed", first)
	}
	entered := make(map[ledger.Entry]*record)
	for _, r := range ours {
		if err := v.checkEntry(r); err != nil {
			return "", err
		}
		said := ledger.Entry{Type: r.entry.Type, Subject: r.entry.Subject}
		if before := entered[said]; before != nil {
			return "", fmt.Errorf("%s enters a second time what %s entered", r, before)
		}
		entered[said] = r
	}
	for i, round := range v.rounds {
		if i > 0 && (v.rounds[i-1].End() == nil || v.rounds[i-1].ends[0].index > round.plan.index) {
			return "", fmt.Errorf("%s plans a round before the end of %s", round.plan, v.rounds[i-1])
		}
	}
	if err := v.checkConclusion(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of this study, each once and in its place", len(ours)), nil
}

func (v *verifier) checkEntry(r *record) error {
	if r.entry.Round != "" && !ofRounds[r.entry.Type] {
		return fmt.Errorf("%s is entered under a round, and belongs to none", r)
	}
	switch fact := r.fact.(type) {
	case nil: // unsigned, so that nothing but the entry says whose it is
		if coordinator := r.roster.CoordinatorMember().Name; r.entry.Actor != coordinator {
			return fmt.Errorf("%s is entered under %q, and is %s's", r, r.entry.Actor, coordinator)
		}
	case *statement.Approval:
		if fact.Study != v.digest {
			return fmt.Errorf("%s is about another study", r)
		}
	}
	return nil
}

// checkConclusion holds that a study concludes in one go: its result, the bias audit
// that is part of it, and the release, unless the study's criteria block it.
func (v *verifier) checkConclusion() error {
	if len(v.results) > 1 {
		return fmt.Errorf("%s is a second result", v.results[1])
	}
	for _, r := range v.results {
		if n := len(v.reports); n > 0 && v.reports[n-1].index > r.index {
			return fmt.Errorf("%s reports windows after %s", v.reports[n-1], r)
		}
		if n := len(v.rounds); n > 0 && (v.rounds[n-1].End() == nil || v.rounds[n-1].ends[0].index > r.index) {
			return fmt.Errorf("%s comes before the end of %s", r, v.rounds[n-1])
		}
	}
	if len(v.audits) == 0 {
		return nil
	}
	audit := v.audits[0]
	if len(v.results) == 0 || v.results[0].index > audit.index {
		return fmt.Errorf("%s is not preceded by the result that it is part of", audit)
	}
	if len(v.releases) == 0 && v.findings.Gate != fairness.Blocked {
		return fmt.Errorf("%s lets the release pass, and none follows", audit)
	}
	return nil
}

// blamed are the senders whose key shares did not open, as far as that is proven: so
// many of the committee say so that the others cannot open the round. A single liar
// can neither end a round nor frame a hospital.
func (r *round) blamed() []string {
	enough := len(r.Plan().Committee) - r.Plan().Threshold + 1
	if len(r.faults) < enough {
		return nil
	}
	by := make(map[string]int)
	for _, f := range r.faults {
		named := slices.Sorted(slices.Values(f.fact.(*statement.OpeningFault).Senders))
		for _, sender := range slices.Compact(named) {
			by[sender]++
		}
	}
	var senders []string
	for sender, n := range by {
		if n >= enough {
			senders = append(senders, sender)
		}
	}
	slices.Sort(senders)
	return senders
}

// checkFaults holds that those who could not open what they were sent are of the
// committee, answer the request, gave no share, and name contributors.
func (r *round) checkFaults() error {
	seen := make(map[string]bool)
	for _, share := range r.shares {
		seen[share.fact.(*statement.OpeningShare).Member] = true
	}
	for _, f := range r.faults {
		fault := f.fact.(*statement.OpeningFault)
		switch at := r.requests; {
		case len(at) == 0 || f.index < at[0].index || fault.Request != at[0].digest:
			return fmt.Errorf("%s answers no opening request before it", f)
		case !slices.Contains(r.Plan().Committee, fault.Member):
			return fmt.Errorf("%s: %q is not on the committee", f, fault.Member)
		case seen[fault.Member]:
			return fmt.Errorf("%s: %q has answered the request already", f, fault.Member)
		case len(fault.Senders) == 0:
			return fmt.Errorf("%s names nobody", f)
		}
		seen[fault.Member] = true
		for _, sender := range fault.Senders {
			if !slices.Contains(r.Request().Contributors, sender) {
				return fmt.Errorf("%s names %q, whose contribution was not opened", f, sender)
			}
		}
	}
	return nil
}
