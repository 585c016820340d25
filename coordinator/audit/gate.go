package audit

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// checkGate decides anew, from the figures of the bias audit, what the study's
// criteria make of the release, and holds the release and the override of an
// auditor against that: what the criteria block is released after such an
// override, under it, or not at all. Who signed the override was checked with the
// signatures.
func (v *verifier) checkGate() (string, error) {
	if len(v.overrides) > 1 {
		return "", fmt.Errorf("%s overrides the release a second time", v.overrides[1])
	}
	if len(v.audits) == 0 {
		if len(v.overrides) > 0 {
			return "", fmt.Errorf("%s overrides the release of a study that has no bias audit", v.overrides[0])
		}
		return "", notChecked("the study has no bias audit")
	}
	at := v.audits[0]
	var report fairness.Audit
	if err := json.Unmarshal(at.payload, &report); err != nil {
		return "", fmt.Errorf("%s cannot be read", at)
	}
	decision, err := fairness.Decide(v.study, &report)
	if err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	v.findings.Gate = decision.Outcome
	if err := v.checkOverride(decision); err != nil {
		return "", err
	}
	for _, r := range v.releases {
		if err := v.checkReleaseGate(r, decision); err != nil {
			return "", err
		}
	}
	return v.gateDetail(decision), nil
}

// checkOverride holds that an override is of the decision that the audit gives,
// and that a release follows it.
func (v *verifier) checkOverride(decision fairness.Decision) error {
	if len(v.overrides) == 0 {
		return nil
	}
	at := v.overrides[0]
	o := at.fact.(*statement.ReleaseOverride)
	switch {
	case o.Study != v.digest:
		return fmt.Errorf("%s is of another study", at)
	case o.Audit != v.audits[0].digest:
		return fmt.Errorf("%s overrides the decision of another bias audit than the one in the log", at)
	case decision.Outcome != fairness.Blocked:
		return fmt.Errorf("%s overrides a release that nothing blocks", at)
	case o.Gate != decision.Outcome:
		return fmt.Errorf("%s overrides the decision %q, where the audit gives %q", at, o.Gate, decision.Outcome)
	case strings.TrimSpace(o.Reason) == "":
		return fmt.Errorf("%s gives no reason", at)
	case at.index < v.audits[0].index:
		return fmt.Errorf("%s comes before the bias audit", at)
	case len(v.releases) == 0:
		return fmt.Errorf("%s is followed by no release", at)
	}
	v.findings.Override = &Override{Auditor: o.Auditor, Reason: o.Reason, Time: o.Time}
	return nil
}

// checkReleaseGate holds that a release says of itself what the audit gives, and
// that one which is blocked stands under the override in the log.
func (v *verifier) checkReleaseGate(at *record, decision fairness.Decision) error {
	release := at.fact.(*statement.Release)
	want := decision.Outcome
	if len(v.study.Fairness.Criteria) == 0 {
		want = "" // nothing was declared, so nothing is said of it
	}
	if release.Gate != want {
		return fmt.Errorf("%s says that the study's criteria make it %q, where the audit gives %q", at, release.Gate, want)
	}
	switch blocked := decision.Outcome == fairness.Blocked; {
	case !blocked && release.Override != nil:
		return fmt.Errorf("%s names an override and nothing blocks it", at)
	case !blocked:
		return nil
	case release.Override == nil:
		return fmt.Errorf("%s offers a model that the study's criteria block, under no override", at)
	case len(v.overrides) == 0:
		return fmt.Errorf("%s names an override that is not in the log", at)
	case *release.Override != v.overrides[0].digest:
		return fmt.Errorf("%s names another override than %s", at, v.overrides[0])
	case at.index < v.overrides[0].index:
		return fmt.Errorf("%s comes before %s, which it names", at, v.overrides[0])
	}
	return nil
}

func (v *verifier) gateDetail(decision fairness.Decision) string {
	if len(v.study.Fairness.Criteria) == 0 {
		return "the study declares no criterion, so nothing stands in the way of a release"
	}
	detail := fmt.Sprintf("by the figures of the bias audit the release is %s", decision.Outcome)
	if len(decision.Reasons) > 0 {
		var reasons []string
		for _, r := range decision.Reasons {
			reasons = append(reasons, fmt.Sprintf("%s of %s: %s", r.Metric, r.Attribute, r.Verdict))
		}
		detail += " (" + strings.Join(reasons, "; ") + ")"
	}
	switch o := v.findings.Override; {
	case o != nil:
		detail += fmt.Sprintf(", and offered under the override of %s: %q", o.Auditor, o.Reason)
	case decision.Outcome == fairness.Blocked:
		detail += ", and there is none"
	}
	return detail
}

// checkCards holds that each model card in the log is of this release, by the
// researcher of the study. What a card says is the researcher's word.
func (v *verifier) checkCards() (string, error) {
	if len(v.cards) == 0 {
		return "none has been published", nil
	}
	var formats []string
	for _, at := range v.cards {
		card := at.fact.(*statement.Card)
		switch {
		case len(v.releases) == 0:
			return "", fmt.Errorf("%s is the card of a release that is not in the log", at)
		case card.Study != v.digest || card.Release != v.releases[0].digest:
			return "", fmt.Errorf("%s is the card of another release", at)
		case at.index < v.releases[0].index:
			return "", fmt.Errorf("%s comes before the release", at)
		case card.Researcher != v.proposal.fact.(*statement.Proposal).Researcher:
			return "", fmt.Errorf("%s: %q publishes the card of what %q proposed", at, card.Researcher, v.proposal.fact.(*statement.Proposal).Researcher)
		}
		formats = append(formats, card.Format)
	}
	return "published by the study's researcher: " + strings.Join(formats, ", "), nil
}
