// Package identity says who is a member of a consortium and proves it.
//
// One governance key, kept away from the coordinator, signs the roster: the
// numbered, chained list of members with their keys. Everything else follows
// from it. A member's Ed25519 key signs its statements and is the key of its
// TLS certificate; a site's HPKE key is what key shares are sealed to. The
// coordinator runs a certificate authority, named in the roster, whose
// certificates live for a day: they bound how long a stolen key is useful but
// admit nobody, because a peer's key must also be on the newest roster.
//
// First contact is authenticated both ways by an invitation, a token that the
// governance key signs and that carries the coordinator's key.
//
// Promised: a coordinator cannot add, replace or remove a member, nor show two
// members different rosters without one of them noticing a fork; a removed
// member is refused on its next request; private keys have no printable form,
// never leave their directory and are refused when others may read them.
// Refused, as ErrSecurity: a roster that is unsigned, older than the newest one
// seen, forked, or that leaves a gap.
//
// A coordinator that steals an invitation from the newcomer who presents it can
// have its own keys admitted in the newcomer's name. The newcomer notices, for
// FinishEnrolment refuses a roster with keys that are not its own; to notice
// before, people compare Member.Fingerprint when they admit.
//
// Sealing is HPKE (RFC 9180) with MLKEM768-P256, HKDF-SHA256 and AES-256-GCM;
// TLS is 1.3 with Go's default, hybrid post-quantum, key exchange.
package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// ErrSecurity marks what only a deviating party causes. It is never retried,
// always recorded and always shown.
var ErrSecurity = statement.ErrSecurity

// Why a peer is refused. They are not security violations by themselves: a
// member may have been removed, or have been off for a day.
var (
	ErrNotMember   = errors.New("not a member")
	ErrExpired     = errors.New("certificate has expired")
	ErrNotYetValid = errors.New("certificate not yet valid: check the clock")
)

// Role is what a member may do.
type Role string

const (
	RoleCoordinator Role = "coordinator"
	RoleSite        Role = "site"
	RoleResearcher  Role = "researcher"
	RoleAuditor     Role = "auditor"
)

// governanceName is the key id of the governance key. No member has it.
const governanceName = "governance"

// CheckName says whether a name can be a member's: 1 to 64 letters and digits
// of any script, spaces, and . _ - ' ( ) , & +, with no space at either end.
// Accented letters are spelt in one way (Unicode NFC), so that two names that
// look the same are the same. No character of a name means anything to a path,
// a page or a shell's glob; who a member is, its key's fingerprint says.
func CheckName(name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > 64 {
		return fmt.Errorf("a name has 1 to 64 characters, this has %d", n)
	}
	for _, c := range name {
		if c == utf8.RuneError || !unicode.In(c, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune(" ._-'(),&+", c) {
			return errors.New("a name is made of letters, digits, space and . _ - ' ( ) , & +, this has another character")
		}
	}
	if !norm.NFC.IsNormalString(name) {
		return errors.New("a name is spelt in Unicode normal form C, this is not")
	}
	if name[0] == ' ' || name[len(name)-1] == ' ' {
		return errors.New("a name has no space at either end")
	}
	if strings.EqualFold(name, governanceName) {
		return fmt.Errorf("the name %q belongs to the governance key", governanceName)
	}
	if strings.Trim(name, ".") == "" {
		return errors.New("a name is not made of dots alone") // it would be a path
	}
	return nil
}

// Member is one line of the roster.
type Member struct {
	Name       string `json:"name"`
	Role       Role   `json:"role"`
	SigningKey []byte `json:"signing_key"`           // Ed25519 public key
	SealingKey []byte `json:"sealing_key,omitempty"` // HPKE MLKEM768-P256 public key, of sites only
}

// GovernanceFingerprint is what people publish and compare of a governance key:
// its SHA-256, in hex.
func GovernanceFingerprint(key ed25519.PublicKey) string {
	return statement.DigestOf(key).String()
}

// Fingerprint is short enough for two people to compare over the telephone:
// the first 80 bits of the SHA-256 of the member's line on the roster.
func (m Member) Fingerprint() string {
	line, err := statement.Encode(m)
	if err != nil {
		return ""
	}
	hex := statement.DigestOf(line).String()
	return strings.Join([]string{hex[0:4], hex[4:8], hex[8:12], hex[12:16], hex[16:20]}, "-")
}

func (m Member) check() error {
	if err := CheckName(m.Name); err != nil {
		return err
	}
	if len(m.SigningKey) != ed25519.PublicKeySize {
		return fmt.Errorf("signing key of %q is not an Ed25519 key", m.Name)
	}
	switch m.Role {
	case RoleSite:
		if _, err := kem.NewPublicKey(m.SealingKey); err != nil {
			return fmt.Errorf("sealing key of site %q is not an MLKEM768-P256 key", m.Name)
		}
	case RoleCoordinator, RoleResearcher, RoleAuditor:
		if len(m.SealingKey) != 0 {
			return fmt.Errorf("%q has a sealing key, but only sites have one", m.Name)
		}
	default:
		return fmt.Errorf("role of %q is not coordinator, site, researcher or auditor", m.Name)
	}
	return nil
}
