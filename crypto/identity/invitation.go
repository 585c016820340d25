package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

const (
	tokenPrefix = "consilium1."
	// tokenDomain separates signatures on invitations from those on envelopes.
	tokenDomain = "consilium invitation v1\x00"
	maxToken    = 4096
)

// Invitation is what a token carries to a newcomer: who invites it, as what,
// and the keys by which it knows the coordinator and every roster to come. A
// token is spent by the first enrolment under it; the coordinator records its
// nonce, the governance directory its digest.
type Invitation struct {
	Consortium     string    `json:"consortium"`
	Name           string    `json:"name"`
	Role           Role      `json:"role"`
	Expires        time.Time `json:"expires"`
	Nonce          string    `json:"nonce"`           // 16 random bytes, hex
	Governance     []byte    `json:"governance"`      // Ed25519 public key
	Coordinator    string    `json:"coordinator"`     // address, host:port
	CoordinatorKey []byte    `json:"coordinator_key"` // Ed25519 public key

	token string
}

// ParseToken reads a token and verifies that the governance key it carries
// signed it. For a newcomer that key is what it will trust; a coordinator must
// ask Check whether it is its own consortium's.
func ParseToken(token string) (*Invitation, error) {
	token = strings.TrimSpace(token)
	if len(token) > maxToken {
		return nil, errors.New("invitation is too long: paste exactly what was printed")
	}
	body, found := strings.CutPrefix(token, tokenPrefix)
	payload64, signature64, dotted := strings.Cut(body, ".")
	if !found || !dotted {
		return nil, errors.New("invitation does not look like " + tokenPrefix + "…: paste exactly what was printed")
	}
	payload, err := decodeURL(payload64)
	if err != nil {
		return nil, err
	}
	signature, err := decodeURL(signature64)
	if err != nil {
		return nil, err
	}
	var inv Invitation
	if err := statement.Decode(payload, &inv); err != nil {
		return nil, fmt.Errorf("invitation: %w", err)
	}
	if len(inv.Governance) != ed25519.PublicKeySize || len(inv.CoordinatorKey) != ed25519.PublicKeySize {
		return nil, errors.New("invitation does not carry the keys of governance and coordinator")
	}
	if !ed25519.Verify(inv.Governance, tokenMessage(payload), signature) {
		return nil, fmt.Errorf("%w: invitation is not signed by the governance key it carries", ErrSecurity)
	}
	if err := inv.check(); err != nil {
		return nil, err
	}
	inv.token = token
	return &inv, nil
}

// decodeURL accepts one spelling of base64, so that a token has one digest.
func decodeURL(text string) ([]byte, error) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != text {
		return nil, errors.New("invitation is damaged: paste exactly what was printed")
	}
	return decoded, nil
}

func tokenMessage(payload []byte) []byte { return append([]byte(tokenDomain), payload...) }

func (inv *Invitation) check() error {
	if err := CheckName(inv.Consortium); err != nil {
		return fmt.Errorf("invitation's consortium: %w", err)
	}
	if err := CheckName(inv.Name); err != nil {
		return fmt.Errorf("invitation: %w", err)
	}
	switch inv.Role {
	case RoleSite, RoleResearcher, RoleAuditor:
	default:
		return errors.New("an invitation is for a site, a researcher or an auditor")
	}
	if nonce, err := hex.DecodeString(inv.Nonce); err != nil || len(nonce) != 16 {
		return errors.New("invitation has no nonce of 16 bytes")
	}
	return nil
}

// newToken signs an invitation.
func newToken(inv Invitation, key ed25519.PrivateKey) (string, error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	inv.Nonce = hex.EncodeToString(nonce)
	if err := inv.check(); err != nil {
		return "", err
	}
	payload, err := statement.Encode(inv)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return tokenPrefix + encode(payload) + "." + encode(ed25519.Sign(key, tokenMessage(payload))), nil
}

// Token is the text the invitation was parsed from.
func (inv *Invitation) Token() string { return inv.token }

// Digest names the token, and is what an enrolment under it carries.
func (inv *Invitation) Digest() statement.Digest { return statement.DigestOf([]byte(inv.token)) }

// Check is the coordinator's question: is this invitation of our consortium,
// and not expired? Whether it is spent, the coordinator knows.
func (inv *Invitation) Check(governance ed25519.PublicKey, consortium string, now time.Time) error {
	if !bytes.Equal(inv.Governance, governance) || inv.Consortium != consortium {
		return fmt.Errorf("%w: the invitation is of another consortium", ErrSecurity)
	}
	if now.After(inv.Expires) {
		return fmt.Errorf("the invitation of %q expired at %s: ask the consortium for another", inv.Name, stamp(inv.Expires))
	}
	return nil
}

// Covers says whether an enrolment is the one that the invitation is for.
func (inv *Invitation) Covers(e *statement.Enrolment) error {
	if e.TokenDigest != inv.Digest() || e.Name != inv.Name || e.Role != string(inv.Role) {
		return fmt.Errorf("%w: the enrolment is not the one the invitation is for", ErrSecurity)
	}
	return nil
}
