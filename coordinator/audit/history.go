package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// rule says what an entry's statement is and whose signature it needs.
type rule struct {
	kind statement.Kind
	role identity.Role
	fact func() any
}

// rules has every type of entry that a study leaves, except result, which is
// derived and carries no signature of its own.
var rules = map[string]rule{
	ledger.TypeProposal:        {statement.KindProposal, identity.RoleResearcher, func() any { return new(statement.Proposal) }},
	ledger.TypeStart:           {statement.KindStart, identity.RoleResearcher, func() any { return new(statement.Start) }},
	ledger.TypeApproval:        {statement.KindApproval, identity.RoleSite, func() any { return new(statement.Approval) }},
	ledger.TypePlan:            {statement.KindPlan, identity.RoleCoordinator, func() any { return new(statement.Plan) }},
	ledger.TypeContribution:    {statement.KindContributionHeader, identity.RoleSite, func() any { return new(statement.ContributionHeader) }},
	ledger.TypeDecline:         {statement.KindDecline, identity.RoleSite, func() any { return new(statement.Decline) }},
	ledger.TypeStudyEnd:        {statement.KindStudyEnd, identity.RoleCoordinator, func() any { return new(statement.StudyEnd) }},
	ledger.TypeOpeningRequest:  {statement.KindOpeningRequest, identity.RoleCoordinator, func() any { return new(statement.OpeningRequest) }},
	ledger.TypeOpeningShare:    {statement.KindOpeningShare, identity.RoleSite, func() any { return new(statement.OpeningShare) }},
	ledger.TypeOpeningFault:    {statement.KindOpeningFault, identity.RoleSite, func() any { return new(statement.OpeningFault) }},
	ledger.TypeRoundEnd:        {statement.KindRoundEnd, identity.RoleCoordinator, func() any { return new(statement.RoundEnd) }},
	ledger.TypeAudit:           {statement.KindAudit, identity.RoleCoordinator, func() any { return new(json.RawMessage) }},
	ledger.TypeRelease:         {statement.KindRelease, identity.RoleCoordinator, func() any { return new(statement.Release) }},
	ledger.TypeReleaseOverride: {statement.KindReleaseOverride, identity.RoleAuditor, func() any { return new(statement.ReleaseOverride) }},
	ledger.TypeCard:            {statement.KindCard, identity.RoleResearcher, func() any { return new(statement.Card) }},
	ledger.TypeReleaseDecision: {statement.KindReleaseDecision, identity.RoleSite, func() any { return new(statement.ReleaseDecision) }},
}

// checkRosters verifies the chain of rosters from the governance key on.
func (v *verifier) checkRosters() (string, error) {
	data, err := fs.ReadFile(v.bundle, governanceFile)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read", governanceFile)
	}
	fromBundle, err := identity.ParsePublicKey(data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", governanceFile, err)
	}
	// PEM has other spellings of the same key.
	if again, err := identity.FormatPublicKey(fromBundle); err != nil || !bytes.Equal(again, data) {
		return "", fmt.Errorf("%s is not spelt as a consortium's key is", governanceFile)
	}
	v.governance = fromBundle
	v.findings.Governance = identity.GovernanceFingerprint(fromBundle)
	source := "the governance key is the one you trust"
	switch {
	case v.trust.Governance != nil && !bytes.Equal(v.trust.Governance, fromBundle):
		return "", fmt.Errorf("%s: the bundle was made under another governance key (%.16s) than the one you trust (%.16s)", governanceFile, identity.GovernanceFingerprint(fromBundle), identity.GovernanceFingerprint(v.trust.Governance))
	case v.trust.Fingerprint != nil && hex.EncodeToString(v.trust.Fingerprint) != identity.GovernanceFingerprint(fromBundle):
		return "", fmt.Errorf("%s: the bundle was made under another governance key (%.16s) than the one you trust (%.16x)", governanceFile, identity.GovernanceFingerprint(fromBundle), v.trust.Fingerprint)
	case v.trust.Governance == nil && v.trust.Fingerprint == nil:
		v.findings.GovernanceFromBundle = true
		source = "THE GOVERNANCE KEY WAS TAKEN FROM THE BUNDLE: compare its fingerprint with the consortium's"
	}
	v.rosters = identity.NewChain(v.governance)
	rosters := 0
	for _, r := range v.records {
		if r.entry.Type != ledger.TypeRoster {
			continue
		}
		rosters++
		if err := v.rosters.Append(r.envelope); err != nil {
			return "", fmt.Errorf("%s does not continue the chain: %w", rosterFile(rosters), err)
		}
		if number := v.rosters.Latest().Number; number != uint64(rosters) {
			return "", fmt.Errorf("%s holds roster %d", rosterFile(rosters), number)
		}
	}
	if rosters == 0 {
		return "", fmt.Errorf("the ledger holds no roster")
	}
	return fmt.Sprintf("%d, signed and chained; %s", rosters, source), nil
}

// checkCheckpoint verifies that the coordinator signed this size and root.
func (v *verifier) checkCheckpoint() (string, error) {
	data, err := fs.ReadFile(v.bundle, checkpointFile)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read", checkpointFile)
	}
	latest := v.rosters.Latest()
	key := ed25519.PublicKey(latest.CoordinatorMember().SigningKey)
	checkpoint, err := ledger.VerifyCheckpoint(data, ledger.Origin(latest.Consortium), key)
	if err != nil {
		return "", fmt.Errorf("the checkpoint is not signed by the rostered coordinator: %w", err)
	}
	v.checkpoint = checkpoint
	return fmt.Sprintf("%s, %d entries, signed by the rostered coordinator", checkpoint.Origin, checkpoint.Size), nil
}

// checkLog recomputes the Merkle root over the leaves.
func (v *verifier) checkLog() (string, error) {
	if uint64(len(v.leaves)) != v.checkpoint.Size {
		return "", fmt.Errorf("the checkpoint is over %d entries, %s has %d", v.checkpoint.Size, entriesFile, len(v.leaves))
	}
	root, err := ledger.RootOf(v.leaves)
	if err != nil {
		return "", err
	}
	if root != v.checkpoint.Root {
		return "", fmt.Errorf("the root over the %d entries is not the one in the checkpoint: an entry was changed, moved or replaced", len(v.leaves))
	}
	v.findings.Root = hex.EncodeToString(root[:])
	detail := fmt.Sprintf("root %.16x over %d entries", root, len(v.leaves))
	if v.trust.Checkpoint == nil {
		return detail, nil
	}
	return v.compareHistory(detail)
}

// compareHistory holds the log against the last checkpoint the auditor saw.
func (v *verifier) compareHistory(detail string) (string, error) {
	seen, err := ledger.ParseCheckpoint(v.trust.Checkpoint)
	if err != nil {
		return "", fmt.Errorf("the checkpoint that you keep cannot be read: %w", err)
	}
	if seen.Origin != v.checkpoint.Origin {
		return "", fmt.Errorf("the bundle is of the ledger %q, the checkpoint that you keep of %q", v.checkpoint.Origin, seen.Origin)
	}
	if seen.Size > uint64(len(v.leaves)) {
		return detail + fmt.Sprintf("; older than the checkpoint that you keep (%d entries), so not held against it", seen.Size), nil
	}
	root, err := ledger.RootOf(v.leaves[:seen.Size])
	if err != nil {
		return "", err
	}
	if root != seen.Root {
		return "", fmt.Errorf("the ledger does not extend the checkpoint that you keep (%d entries): the coordinator has shown two histories", seen.Size)
	}
	return detail + fmt.Sprintf("; it extends the checkpoint that you keep (%d entries)", seen.Size), nil
}

// checkSignatures verifies every statement of the study against the roster
// that was in force when it entered the log.
func (v *verifier) checkSignatures() (string, error) {
	var inForce *identity.Roster
	var signed []*record
	for _, r := range v.records {
		if r.entry.Type == ledger.TypeRoster {
			inForce = r.fact.(*identity.Roster)
			continue
		}
		r.roster = inForce
		if _, has := rules[r.entry.Type]; r.fact == nil || !has {
			continue
		}
		if inForce == nil {
			return "", fmt.Errorf("%s comes before the first roster", r)
		}
		signed = append(signed, r)
	}
	if err := inParallel(len(signed), func(i int) error { return signed[i].verify(rules[signed[i].entry.Type], signed[i].roster) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d statements, each by a member with the right role on the roster in force", len(signed)), nil
}

func (r *record) verify(rule rule, roster *identity.Roster) error {
	var signer string
	_, err := statement.Open(r.envelope, rule.kind, r.fact, func(name string) (ed25519.PublicKey, error) {
		signer = name
		return roster.KeyOfRole(rule.role)(name)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	if r.entry.Actor != signer {
		return fmt.Errorf("%s is entered under %q and signed by %q", r, r.entry.Actor, signer)
	}
	return nil
}
