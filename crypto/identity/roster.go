package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Roster is the signed list of members. It is not changed after it is made.
type Roster struct {
	Consortium  string           `json:"consortium"`
	Number      uint64           `json:"number"`   // from 1, without gaps
	Previous    statement.Digest `json:"previous"` // of the previous roster's payload; zero for the first
	Issued      time.Time        `json:"issued"`
	Coordinator string           `json:"coordinator"` // address, host:port
	Authority   []byte           `json:"authority"`   // certificate of the coordinator's certificate authority, DER
	Members     []Member         `json:"members"`     // by name
}

// Digest names the roster: SHA-256 of its payload.
func (r *Roster) Digest() statement.Digest {
	payload, err := statement.Encode(r)
	if err != nil {
		return statement.Digest{}
	}
	return statement.DigestOf(payload)
}

// Member returns the member of that name.
func (r *Roster) Member(name string) (Member, bool) {
	for _, m := range r.Members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Sites returns the members that are sites, by name.
func (r *Roster) Sites() []Member {
	var sites []Member
	for _, m := range r.Members {
		if m.Role == RoleSite {
			sites = append(sites, m)
		}
	}
	return sites
}

// CoordinatorMember returns the one member that is the coordinator.
func (r *Roster) CoordinatorMember() Member {
	for _, m := range r.Members {
		if m.Role == RoleCoordinator {
			return m
		}
	}
	return Member{}
}

// KeyOf returns the key that the named member signs with. It fits
// statement.Open for statements that name their signer.
func (r *Roster) KeyOf(name string) (ed25519.PublicKey, error) {
	m, ok := r.Member(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q is not on roster %d", ErrNotMember, name, r.Number)
	}
	return m.SigningKey, nil
}

// KeyOfRole is KeyOf for statements that only one role may sign, such as the
// coordinator's plans: every other member is refused.
func (r *Roster) KeyOfRole(role Role) func(name string) (ed25519.PublicKey, error) {
	return func(name string) (ed25519.PublicKey, error) {
		m, ok := r.Member(name)
		if !ok {
			return nil, fmt.Errorf("%w: %q is not on roster %d", ErrNotMember, name, r.Number)
		}
		if m.Role != role {
			return nil, fmt.Errorf("%w: %q signs as %s but is %s", ErrSecurity, name, role, m.Role)
		}
		return m.SigningKey, nil
	}
}

func (r *Roster) memberByKey(key ed25519.PublicKey) (Member, bool) {
	for _, m := range r.Members {
		if key.Equal(ed25519.PublicKey(m.SigningKey)) {
			return m, true
		}
	}
	return Member{}, false
}

func (r *Roster) authority() (*x509.Certificate, error) {
	ca, err := x509.ParseCertificate(r.Authority)
	if err != nil || !ca.IsCA {
		return nil, errors.New("roster's authority is not a certificate authority's certificate")
	}
	return ca, nil
}

// check says whether a roster is one that the governance key should have
// signed, whatever came before it.
func (r *Roster) check(governance ed25519.PublicKey) error {
	if err := CheckName(r.Consortium); err != nil {
		return fmt.Errorf("consortium: %w", err)
	}
	if r.Number == 0 {
		return errors.New("rosters are numbered from 1")
	}
	if (r.Number == 1) != r.Previous.IsZero() {
		return errors.New("the first roster, and no other, has no previous one")
	}
	if host, port, err := net.SplitHostPort(r.Coordinator); err != nil || host == "" || port == "" {
		return errors.New("the coordinator's address is not host:port")
	}
	if _, err := r.authority(); err != nil {
		return err
	}
	coordinators := 0
	names := make(map[string]bool)
	keys := map[string]bool{string(governance): true} // no member has the governance key
	for i, m := range r.Members {
		if err := m.check(); err != nil {
			return err
		}
		if i > 0 && r.Members[i-1].Name >= m.Name {
			return errors.New("members are not in ascending order of their names")
		}
		if folded := strings.ToLower(m.Name); names[folded] {
			return fmt.Errorf("two members are called %q, letter case aside", m.Name)
		} else {
			names[folded] = true
		}
		for _, key := range [][]byte{m.SigningKey, m.SealingKey} {
			if len(key) > 0 && keys[string(key)] {
				return fmt.Errorf("%q has another member's key", m.Name)
			}
			keys[string(key)] = true
		}
		if m.Role == RoleCoordinator {
			coordinators++
		}
	}
	if coordinators != 1 {
		return fmt.Errorf("a consortium has one coordinator, this roster has %d", coordinators)
	}
	return nil
}
