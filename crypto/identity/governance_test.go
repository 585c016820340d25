package identity

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// A coordinator cannot bring in members of its own.
func TestGovernanceAdmitsOnlyWhomItInvited(t *testing.T) {
	c := begin(t, "north")
	coordinatorsToken, err := newToken(Invitation{
		Consortium: "north", Name: "sybil", Role: RoleSite, Expires: epoch.Add(time.Hour),
		Governance: c.coordinator.Keys().Public(), Coordinator: "127.0.0.1:7000", CoordinatorKey: c.coordinator.Keys().Public(),
	}, c.coordinator.Keys().Signing())
	if err != nil {
		t.Fatal(err)
	}
	sybil, err := NewEnrolment(coordinatorsToken, c.memberDir("sybil"))
	if err != nil {
		t.Fatal(err)
	}
	number := c.governance.Rosters().Latest().Number
	if _, err := c.governance.Admit([][]byte{sybil}, epoch); !errors.Is(err, ErrSecurity) {
		t.Errorf("uninvited: %v", err)
	}
	token, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	mercy, err := NewEnrolment(token, c.memberDir("mercy"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.governance.Admit([][]byte{mercy, sybil}, epoch); !errors.Is(err, ErrSecurity) {
		t.Errorf("one invited, one not: %v", err)
	}
	if _, err := c.governance.Admit([][]byte{mercy}, epoch.Add(time.Hour+time.Second)); err == nil {
		t.Error("admitted after the invitation expired")
	}
	if _, err := c.governance.Admit([][]byte{mercy, mercy}, epoch); err == nil {
		t.Error("admitted twice in one roster")
	}
	if _, err := c.governance.Admit(nil, epoch); err == nil {
		t.Error("admitted nobody")
	}
	// The invitation is for a site called mercy, not for an auditor or for luke.
	keys, _ := GenerateKeys(RoleAuditor)
	for _, who := range []Member{{Name: "mercy", Role: RoleAuditor}, {Name: "luke", Role: RoleAuditor}} {
		request, _ := newCertificateRequest(who.Name, keys.Signing())
		e := statement.Enrolment{TokenDigest: c.parse(token).Digest(), Name: who.Name, Role: string(who.Role), SigningKey: keys.Public(), CertificateRequest: request}
		envelope, err := statement.Sign(statement.KindEnrolment, e, who.Name, keys.Signing())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.governance.Admit([][]byte{envelope}, epoch); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s as %s: %v", who.Name, who.Role, err)
		}
	}
	if got := c.governance.Rosters().Latest().Number; got != number {
		t.Errorf("refusals made roster %d", got)
	}
	if _, err := c.governance.Admit([][]byte{mercy}, epoch); err != nil {
		t.Errorf("the invited one: %v", err)
	}
	if _, err := c.governance.Admit([][]byte{mercy}, epoch); err == nil {
		t.Error("admitted a member again")
	}
}

func TestAnInvitationIsSpentAndVoided(t *testing.T) {
	c := begin(t, "north")
	old, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	oldEnrolment, err := NewEnrolment(old, c.memberDir("old"))
	if err != nil {
		t.Fatal(err)
	}
	token, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if _, err := c.governance.Admit([][]byte{oldEnrolment}, epoch); !errors.Is(err, ErrSecurity) {
		t.Errorf("under an invitation that a newer one voided: %v", err)
	}
	enrolment, err := NewEnrolment(token, c.memberDir("mercy"))
	if err != nil {
		t.Fatal(err)
	}
	c.publish(c.governance.Admit([][]byte{enrolment}, epoch))
	if _, err := c.governance.Invite("Mercy", RoleSite, time.Hour, epoch); err == nil {
		t.Error("invited a member's name again")
	}
	c.publish(c.governance.Remove("mercy", epoch))
	if _, err := c.governance.Admit([][]byte{enrolment}, epoch); !errors.Is(err, ErrSecurity) {
		t.Errorf("a removed member under its spent invitation: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(c.dir, "governance", "invitations")); err != nil || len(left) != 0 {
		t.Errorf("%d invitations left, %v", len(left), err)
	}
	// The name can come back, with new keys.
	if again := c.enrolIn("mercy", "mercy again"); again.Rosters().Latest().Number != 4 {
		t.Error("did not come back")
	}
}

// enrolIn is enrol in a directory of another name.
func (c *consortium) enrolIn(name, dir string) *Node {
	c.t.Helper()
	token, err := c.governance.Invite(name, RoleSite, time.Hour, epoch)
	if err != nil {
		c.t.Fatal(err)
	}
	envelope, err := NewEnrolment(token, c.memberDir(dir))
	if err != nil {
		c.t.Fatal(err)
	}
	c.publish(c.governance.Admit([][]byte{envelope}, epoch))
	if err := FinishEnrolment(c.memberDir(dir), c.parse(token), c.admission(envelope, epoch), c.coordinator.Rosters().Envelopes()); err != nil {
		c.t.Fatal(err)
	}
	node, err := OpenNode(c.memberDir(dir))
	if err != nil {
		c.t.Fatal(err)
	}
	return node
}

func TestInviteAndRemoveRefuse(t *testing.T) {
	c := begin(t, "north")
	for name, err := range map[string]error{
		"a bad name":           second(c.governance.Invite("a/b", RoleSite, time.Hour, epoch)),
		"governance":           second(c.governance.Invite("governance", RoleSite, time.Hour, epoch)),
		"a second coordinator": second(c.governance.Invite("second", RoleCoordinator, time.Hour, epoch)),
		"the coordinator":      second(c.governance.Invite("coordinator", RoleSite, time.Hour, epoch)),
		"an unknown role":      second(c.governance.Invite("x", "root", time.Hour, epoch)),
		"no lifetime":          second(c.governance.Invite("x", RoleSite, 0, epoch)),
	} {
		if err == nil {
			t.Errorf("invited %s", name)
		}
	}
	if _, err := c.governance.Remove("coordinator", epoch); err == nil {
		t.Error("removed the coordinator")
	}
	if _, err := c.governance.Remove("nobody", epoch); !errors.Is(err, ErrNotMember) {
		t.Errorf("removed nobody: %v", err)
	}
	if c.governance.Rosters().Latest().Number != 1 {
		t.Error("a refusal made a roster")
	}
}

func second[T any](_ T, err error) error { return err }

// Two processes at the governance directory do not sign two rosters of a number.
func TestGovernanceSignsEachNumberOnce(t *testing.T) {
	c := begin(t, "north")
	c.enrol("mercy", RoleSite)
	c.enrol("luke", RoleSite)
	other, err := OpenGovernance(filepath.Join(c.dir, "governance"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.governance.Remove("mercy", epoch); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Remove("luke", epoch); err == nil {
		t.Error("two different rosters of one number were signed")
	}
	again, err := OpenGovernance(filepath.Join(c.dir, "governance"))
	if err != nil || again.Rosters().Latest().Number != 4 {
		t.Errorf("after a restart: %v", err)
	}
}

func TestAConsortiumBeginsOnce(t *testing.T) {
	c := begin(t, "north")
	spec := InitSpec{Consortium: "south", CoordinatorAddress: "127.0.0.1:1", Now: epoch}
	for name, dirs := range map[string][2]string{
		"governance exists":  {"governance", "new"},
		"coordinator exists": {"new", "coordinator"},
		"one directory":      {"same", "same"},
	} {
		spec.GovernanceDir, spec.CoordinatorDir = filepath.Join(c.dir, dirs[0]), filepath.Join(c.dir, dirs[1])
		if err := InitConsortium(spec); err == nil {
			t.Errorf("%s: began", name)
		}
	}
	for name, spoil := range map[string]func(*InitSpec){
		"no name":    func(s *InitSpec) { s.Consortium = "" },
		"no address": func(s *InitSpec) { s.CoordinatorAddress = "here" },
		"no time":    func(s *InitSpec) { s.Now = time.Time{} },
	} {
		bad := spec
		bad.GovernanceDir, bad.CoordinatorDir = filepath.Join(c.dir, "g2"), filepath.Join(c.dir, "c2")
		spoil(&bad)
		if err := InitConsortium(bad); err == nil || exists(bad.GovernanceDir) || exists(bad.CoordinatorDir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if reopened, err := OpenGovernance(filepath.Join(c.dir, "governance")); err != nil || reopened.Rosters().Latest().Consortium != "north" {
		t.Errorf("the first consortium: %v", err)
	}
	if _, err := OpenGovernance(filepath.Join(c.dir, "coordinator")); err == nil {
		t.Error("opened a directory without the governance key")
	}
}
