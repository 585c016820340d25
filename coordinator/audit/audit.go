// Package audit proves a study from its evidence bundle alone: no network, no
// clock, no secret, no trust in the coordinator that made it.
//
// A bundle is a directory: the ledger's signed checkpoint and every leaf under
// it, the signed rosters, the study's protocol file, and every statement and
// opened sum that the leaves name. Verify reads it in one order and stops at
// the first thing that does not hold, because what comes later rests on what
// comes before:
//
//   - files: everything named is there and hashes to its name; nothing else is
//   - rosters: each is signed by the governance key and chained to the one before
//   - checkpoint and log: the coordinator signed exactly these leaves, in this order
//   - tiles and proofs: the log in the layout that other tools read
//   - witnesses: the hospitals saw this history, and how many of them
//   - signatures: every statement is signed by a member with the right role, on
//     the roster in force when it entered the log
//   - study, approvals, plans, openings: the protocol's order was kept
//   - shares and sums: with the ciphertexts at hand every sum is opened again
//     from them; without, the key shares are checked and the sums are taken as signed
//   - questions: none was opened over two sets of sites
//   - replay: the computation, fed with the sums, asks every question that was
//     asked and ends in the exact bytes of the model and the bias audit
//   - earlier results: what they leave of this one to show
//   - release gate: the study's criteria let the release pass, or an auditor overrode
//     them before it
//   - study end: a study that comes to no release says why, and goes no further
//   - release: it lists those rounds, that model and that audit, and the
//     hospitals' decisions about it are theirs
//   - model cards: those in the log are of this release
//   - entries: each says what its statement says, once, in an order that a study has
//   - attestation: the coordinator's in-toto statement says the same
//
// What it cannot prove: that a hospital's records are true, and that the
// governance key is the consortium's. The second is why the key has to come
// from somewhere else than the bundle.
package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Trust is what the auditor holds before opening the bundle.
type Trust struct {
	// Governance is the consortium's governance public key. Nil takes the key
	// from the bundle, which proves only that the bundle agrees with itself;
	// the findings say so.
	Governance ed25519.PublicKey
	// Fingerprint, if set, is the SHA-256 of the governance public key, for an
	// auditor who holds no more than that.
	Fingerprint []byte
	// Checkpoint is the last signed checkpoint of this consortium's ledger that
	// the auditor has seen, if any. A bundle of another history is refused.
	Checkpoint []byte
	// Witnesses is how many hospitals have to have cosigned the history of the
	// release. With 0, a bundle that fewer than half have cosigned still holds, and
	// the findings say that this was not checked.
	Witnesses int
}

// State says how a check came out.
type State string

const (
	OK         State = "ok"
	Failed     State = "failed"
	NotChecked State = "not-checked"
)

// Finding is the outcome of one check.
type Finding struct {
	Check  string `json:"check"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
}

// Findings is all that a verification found, in the order of the checks.
type Findings struct {
	Study  string `json:"study"` // digest of the protocol file, hex
	Name   string `json:"name,omitempty"`
	Title  string `json:"title,omitempty"`
	Status string `json:"status,omitempty"` // running | completed | diagnosed | failed

	Governance           string `json:"governance"` // SHA-256 of the governance key, hex
	GovernanceFromBundle bool   `json:"governance_from_bundle"`

	Entries int    `json:"entries"`           // leaves in the ledger
	Root    string `json:"root,omitempty"`    // Merkle root, hex
	Release string `json:"release,omitempty"` // digest of the release, hex

	Gate     string    `json:"gate,omitempty"`     // what the study's criteria make of the release
	Override *Override `json:"override,omitempty"` // under which a blocked release is offered

	Witnesses int      `json:"witnesses"` // hospitals that cosigned this history up to the release
	MadeBy    Software `json:"made_by"`   // as the coordinator says

	Checks []Finding `json:"checks"`
}

// Override is who had a blocked release offered, when by their own clock, and why.
type Override struct {
	Auditor string    `json:"auditor"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// Holds reports whether no check failed.
func (f *Findings) Holds() bool {
	_, failed := f.First(Failed)
	return !failed
}

// First returns the first finding in a state.
func (f *Findings) First(s State) (Finding, bool) {
	for _, finding := range f.Checks {
		if finding.State == s {
			return finding, true
		}
	}
	return Finding{}, false
}

// notChecked is what a check returns when it has nothing to go by.
type notChecked string

func (n notChecked) Error() string { return string(n) }

// Verify checks a bundle. The error is nil unless the bundle is no directory
// that can be listed; whatever does not hold is in the findings.
func Verify(bundle fs.FS, trust Trust) (*Findings, error) {
	if _, err := fs.ReadDir(bundle, "."); err != nil {
		return nil, fmt.Errorf("cannot list the bundle: %w", err)
	}
	v := &verifier{bundle: bundle, trust: trust}
	v.run(v.checks())
	return &v.findings, nil
}

// check is one step of a verification.
type check struct {
	name string
	run  func() (detail string, err error)
}

// checks are all steps, in their order.
func (v *verifier) checks() []check {
	return []check{
		{"files", v.checkFiles},
		{"rosters", v.checkRosters},
		{"checkpoint", v.checkCheckpoint},
		{"log", v.checkLog},
		{"tiles", v.checkTiles},
		{"witnesses", v.checkWitnesses},
		{"proofs", v.checkProofs},
		{"signatures", v.checkSignatures},
		{"study", v.checkStudy},
		{"approvals", v.checkApprovals},
		{"plans", v.checkPlans},
		{"openings", v.checkOpenings},
		{"round ends", v.checkRoundEnds},
		{"shares", v.checkShares},
		{"sums", v.checkSums},
		{"questions", v.checkQuestions},
		{"replay", v.checkReplay},
		{"earlier results", v.checkEarlier},
		{"bias audit", v.checkAudit},
		{"release gate", v.checkGate},
		{"study end", v.checkStudyEnd},
		{"release", v.checkRelease},
		{"release decisions", v.checkDecisions},
		{"model cards", v.checkCards},
		{"entries", v.checkEntries},
		{"attestation", v.checkAttestation},
	}
}

// run makes checks until one does not hold.
func (v *verifier) run(checks []check) {
	stopped := ""
	for _, check := range checks {
		if stopped != "" {
			v.findings.Checks = append(v.findings.Checks, Finding{check.name, NotChecked, stopped})
			continue
		}
		detail, err := check.run()
		finding := Finding{check.name, OK, detail}
		if err != nil {
			finding.State, finding.Detail = Failed, err.Error()
			if reason, ok := errors.AsType[notChecked](err); ok {
				finding.State, finding.Detail = NotChecked, string(reason)
			} else {
				stopped = fmt.Sprintf("rests on %q, which does not hold", check.name)
			}
		}
		v.findings.Checks = append(v.findings.Checks, finding)
	}
}
