package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// overrideJSON is an auditor's word that a blocked release be offered. The keys
// are stable.
type overrideJSON struct {
	Auditor string    `json:"auditor"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"` // by the auditor's clock
}

func overrideOf(o *consiliumv1.Override) *overrideJSON {
	if o == nil {
		return nil
	}
	return &overrideJSON{o.GetAuditor(), o.GetReason(), time.UnixMilli(o.GetUnixMs()).UTC()}
}

// checkGate decides anew, from the signed audit and the study, what the study's
// criteria make of the release, and takes that and the verified override in the
// place of what the coordinator says of them.
func (o *outcome) checkGate(c *connection, envelope []byte) error {
	if o.audit == nil || o.protocol == nil {
		return nil
	}
	const what = "the release does not follow the study's criteria"
	var report fairness.Audit
	if err := json.Unmarshal(o.audit, &report); err != nil {
		return console.Fail("the bias audit cannot be read", err, "update this command: it may be older than the coordinator")
	}
	gate, err := fairness.Decide(o.protocol, &report)
	if err != nil {
		return violation(what, err)
	}
	o.status.Gate, o.status.GateReasons, o.status.Override = gate.Outcome, nil, nil
	for _, r := range gate.Reasons {
		o.status.GateReasons = append(o.status.GateReasons, r.Text())
	}
	switch {
	case o.release == nil:
		return nil
	case gate.Outcome == fairness.Blocked && o.release.Override == nil:
		return violation(what, errors.New("it is blocked, and offered under no override"))
	case gate.Outcome != fairness.Blocked && o.release.Override != nil:
		return violation(what, errors.New("it carries an override and nothing blocks it"))
	case o.release.Override == nil:
		return nil
	}
	roster, known := c.node.Rosters().At(o.release.Roster)
	if !known {
		return violation(what, errors.New("it names a roster that this identity has not seen"))
	}
	var override statement.ReleaseOverride
	payload, err := statement.Open(envelope, statement.KindReleaseOverride, &override, roster.KeyOfRole(identity.RoleAuditor))
	if err != nil {
		return violation(what, fmt.Errorf("its override: %w", err))
	}
	if statement.DigestOf(payload) != *o.release.Override || override.Study != o.release.Study || override.Audit != o.release.Audit {
		return violation(what, errors.New("its override is of another release"))
	}
	o.status.Override, o.overrideEnvelope = &overrideJSON{override.Auditor, override.Reason, override.Time}, envelope
	return nil
}

// gateWord says in a word or two what a study's criteria make of its release.
func (s studyJSON) gateWord() string {
	if s.Override != nil {
		return "blocked, overridden"
	}
	return s.Gate
}

// gateText says what a study's criteria make of its release, unless they let it
// pass; "" if they do. It ends without a newline.
func (s studyJSON) gateText() string {
	var b strings.Builder
	switch {
	case s.Override != nil:
		fmt.Fprintf(&b, "OFFERED UNDER AN OVERRIDE: the study's own criteria block the release.\n%s overrode them on %s: %q", s.Override.Auditor, s.Override.Time.Format("2006-01-02"), s.Override.Reason)
	case s.Gate == fairness.Blocked:
		b.WriteString("BLOCKED by the study's own criteria: no hospital is offered the model.")
	case s.Gate == fairness.OfferedWithWarning:
		b.WriteString("OFFERED WITH A WARNING, by the study's own criteria.")
	default:
		return ""
	}
	for _, reason := range s.GateReasons {
		b.WriteString("\n  - " + reason)
	}
	if s.Gate == fairness.Blocked && s.Override == nil {
		fmt.Fprintf(&b, "\nAn auditor may have it offered all the same, signed and on record:\n  consilium release override %s --reason \"...\"", console.Short(s.Study))
	}
	return b.String()
}

func (a *app) showGate(s studyJSON) {
	if text := s.gateText(); text != "" {
		a.Printf("\n%s\n", text)
	}
}
