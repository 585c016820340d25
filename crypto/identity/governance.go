package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

const (
	governanceKeyFile = "governance.key"
	invitationsDir    = "invitations"
	coordinatorName   = "coordinator"
)

// InitSpec says how a consortium begins.
type InitSpec struct {
	Consortium         string
	CoordinatorAddress string // host:port
	GovernanceDir      string // kept by the consortium, away from the coordinator
	CoordinatorDir     string // the coordinator's identity directory
	Now                time.Time
}

// InitConsortium makes the governance key, the coordinator's identity with its
// certificate authority, and the first roster, which lists the coordinator.
func InitConsortium(spec InitSpec) error {
	for _, path := range []string{filepath.Join(spec.GovernanceDir, governanceKeyFile), filepath.Join(spec.CoordinatorDir, nameFile)} {
		if exists(path) {
			return fmt.Errorf("%s exists: a consortium has begun here; nothing was changed", path)
		}
	}
	if spec.Now.IsZero() {
		return errors.New("a consortium begins at some time: InitSpec.Now is not set")
	}
	if filepath.Clean(spec.GovernanceDir) == filepath.Clean(spec.CoordinatorDir) {
		return errors.New("the governance key is kept apart from the coordinator: give two directories")
	}
	public, governance, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	keys, err := GenerateKeys(RoleCoordinator)
	if err != nil {
		return err
	}
	authority, authorityKey, err := newAuthority(spec.Consortium, spec.Now)
	if err != nil {
		return err
	}
	coordinator := Member{Name: coordinatorName, Role: RoleCoordinator, SigningKey: keys.Public()}
	first := &Roster{
		Consortium:  spec.Consortium,
		Number:      1,
		Issued:      spec.Now,
		Coordinator: spec.CoordinatorAddress,
		Authority:   authority,
		Members:     []Member{coordinator},
	}
	if err := first.check(public); err != nil {
		return err
	}
	envelope, err := statement.Sign(statement.KindRoster, first, governanceName, governance)
	if err != nil {
		return err
	}
	ca, err := first.authority()
	if err != nil {
		return err
	}
	certificate, err := issueLeaf(ca, authorityKey, coordinator, spec.Consortium, spec.Now, DefaultCertificateTTL)
	if err != nil {
		return err
	}
	// What marks each directory as complete is written last.
	return inOrder(
		func() error { return keys.save(spec.CoordinatorDir) },
		func() error {
			return saveSigningKey(filepath.Join(spec.CoordinatorDir, authorityKeyFile), authorityKey)
		},
		func() error { return savePublicKey(filepath.Join(spec.CoordinatorDir, governanceFile), public) },
		func() error { return writeFile(rosterFile(spec.CoordinatorDir, 1), envelope) },
		func() error { return saveCertificate(spec.CoordinatorDir, certificate) },
		func() error { return writeFile(rosterFile(spec.GovernanceDir, 1), envelope) },
		func() error {
			return saveSigningKey(filepath.Join(spec.GovernanceDir, governanceKeyFile), governance)
		},
		func() error {
			return writeFile(filepath.Join(spec.CoordinatorDir, nameFile), []byte(coordinatorName+"\n"))
		},
	)
}

func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Governance is the directory of the governance key. It is safe for concurrent
// use within one process.
type Governance struct {
	key     func() ed25519.PrivateKey // behind a function, as in Keys
	dir     string
	rosters *Chain
	mu      *sync.Mutex
}

// Format prints a redaction whatever the verb.
func (Governance) Format(f fmt.State, _ rune) { io.WriteString(f, "[governance key]") }

// MarshalText keeps the key out of every text encoding.
func (Governance) MarshalText() ([]byte, error) {
	return nil, errors.New("a governance key is not encoded")
}

// MarshalJSON keeps the key out of JSON.
func (g Governance) MarshalJSON() ([]byte, error) { return g.MarshalText() }

// OpenGovernance opens the directory that InitConsortium made.
func OpenGovernance(dir string) (*Governance, error) {
	key, err := loadSigningKey(filepath.Join(dir, governanceKeyFile))
	if err != nil {
		return nil, err
	}
	g := &Governance{key: func() ed25519.PrivateKey { return key }, dir: dir, mu: new(sync.Mutex)}
	g.rosters = NewChain(g.Public())
	if err := loadRosters(dir, g.rosters); err != nil {
		return nil, err
	}
	if g.rosters.Latest() == nil {
		return nil, fmt.Errorf("%s holds no roster", dir)
	}
	return g, nil
}

// Public is the governance key's public half.
func (g *Governance) Public() ed25519.PublicKey {
	return g.key().Public().(ed25519.PublicKey)
}

// Rosters are the rosters signed here. One that was signed and not published,
// after an interruption, is published by sending them again.
func (g *Governance) Rosters() *Chain { return g.rosters }

// ClientTLS connects to the coordinator as the governance key.
func (g *Governance) ClientTLS(now func() time.Time) *tls.Config {
	cfg := coordinatorTLS(g.rosters, now)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return selfSigned(g.key(), now())
	}
	return cfg
}

// issued is what the governance directory remembers of an invitation.
type issued struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Expires time.Time `json:"expires"`
}

// Invite makes a token for a newcomer. It voids earlier ones for that name.
func (g *Governance) Invite(name string, role Role, ttl time.Duration, now time.Time) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	roster := g.rosters.Latest()
	for _, m := range roster.Members {
		if strings.EqualFold(m.Name, name) {
			return "", fmt.Errorf("%q is a member already: remove it first, or choose another name", m.Name)
		}
	}
	if ttl < time.Second {
		return "", errors.New("an invitation lasts at least a second")
	}
	expires := now.Add(ttl).UTC().Truncate(time.Second)
	token, err := newToken(Invitation{
		Consortium:     roster.Consortium,
		Name:           name,
		Role:           role,
		Expires:        expires,
		Governance:     g.Public(),
		Coordinator:    roster.Coordinator,
		CoordinatorKey: roster.CoordinatorMember().SigningKey,
	}, g.key())
	if err != nil {
		return "", err
	}
	if err := g.forget(name); err != nil {
		return "", err
	}
	record, err := statement.Encode(issued{name, role, expires})
	if err != nil {
		return "", err
	}
	if err := writeFile(g.invitation(statement.DigestOf([]byte(token))), record); err != nil {
		return "", err
	}
	return token, nil
}

// Admit signs the next roster, with the enrolled newcomers on it. It admits
// only under invitations made here, unspent and unexpired, so a coordinator
// cannot bring in members of its own. The roster is saved before it is
// returned: no other of its number will be signed.
func (g *Governance) Admit(enrolments [][]byte, now time.Time) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	roster := g.rosters.Latest()
	members := slices.Clone(roster.Members)
	admitted := 0
	for _, envelope := range enrolments {
		e, err := OpenEnrolment(envelope)
		if err != nil {
			return nil, err
		}
		newcomer := EnrolledMember(e)
		if listed, ok := roster.Member(e.Name); ok && bytes.Equal(listed.SigningKey, newcomer.SigningKey) && bytes.Equal(listed.SealingKey, newcomer.SealingKey) {
			continue // admitted before
		}
		if err := g.invited(e, now); err != nil {
			return nil, err
		}
		members = append(members, newcomer)
		admitted++
	}
	if admitted == 0 {
		return nil, errors.New("there is nobody to admit: every enrolment given is of a member")
	}
	envelope, err := g.publish(members, now)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if _, before := roster.Member(m.Name); !before {
			if err := g.forget(m.Name); err != nil {
				return nil, err
			}
		}
	}
	return envelope, nil
}

// Remove signs the next roster, without a member. Its certificate is refused as
// soon as the roster is published, and its invitations are void.
func (g *Governance) Remove(name string, now time.Time) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	roster := g.rosters.Latest()
	m, ok := roster.Member(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q is not on roster %d", ErrNotMember, name, roster.Number)
	}
	if m.Role == RoleCoordinator {
		return nil, errors.New("a consortium has a coordinator: it cannot be removed")
	}
	if err := g.forget(name); err != nil {
		return nil, err
	}
	return g.publish(slices.DeleteFunc(slices.Clone(roster.Members), func(m Member) bool { return m.Name == name }), now)
}

// publish signs and saves the roster that follows the latest.
func (g *Governance) publish(members []Member, now time.Time) ([]byte, error) {
	next := *g.rosters.Latest()
	next.Previous = next.Digest()
	next.Number++
	if now.After(next.Issued) {
		next.Issued = now
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	next.Members = members
	if err := next.check(g.Public()); err != nil {
		return nil, err
	}
	envelope, err := statement.Sign(statement.KindRoster, next, governanceName, g.key())
	if err != nil {
		return nil, err
	}
	var unshared sync.Mutex // g.mu is held
	return envelope, appendRoster(&unshared, g.dir, g.rosters, envelope)
}

// invited checks that an enrolment is under an invitation made here.
func (g *Governance) invited(e *statement.Enrolment, now time.Time) error {
	record, err := readFile(g.invitation(e.TokenDigest))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q enrols under an invitation that was not made here, is void or is spent", ErrSecurity, e.Name)
	}
	if err != nil {
		return err
	}
	var inv issued
	if err := statement.Decode(record, &inv); err != nil {
		return err
	}
	if inv.Name != e.Name || string(inv.Role) != e.Role {
		return fmt.Errorf("%w: %q enrols under an invitation for another name or role", ErrSecurity, e.Name)
	}
	if now.After(inv.Expires) {
		return fmt.Errorf("the invitation of %q expired at %s before it was admitted: make another", e.Name, stamp(inv.Expires))
	}
	return nil
}

// forget voids the invitations for a name.
func (g *Governance) forget(name string) error {
	dir := filepath.Join(g.dir, invitationsDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		record, err := readFile(path)
		if err != nil {
			return err
		}
		var inv issued
		if err := statement.Decode(record, &inv); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if strings.EqualFold(inv.Name, name) {
			if err := removeFile(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *Governance) invitation(token statement.Digest) string {
	return filepath.Join(g.dir, invitationsDir, token.String()+".json")
}
