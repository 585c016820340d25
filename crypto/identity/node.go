package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Files of an identity directory, beside those of keys.go.
const (
	nameFile         = "name"
	governanceFile   = "governance.pub"
	certificateFile  = "certificate.pem"
	authorityKeyFile = "authority.key" // the coordinator's only
	rostersDir       = "rosters"

	certificateBlock = "CERTIFICATE"
	publicBlock      = "PUBLIC KEY"
)

// Node is an enrolled member's identity directory. It is safe for concurrent
// use within one process.
type Node struct {
	dir        string
	name       string
	role       Role
	keys       *Keys
	governance ed25519.PublicKey
	rosters    *Chain
	authority  func() ed25519.PrivateKey // behind a function, as in Keys; nil unless this is the coordinator

	mu          sync.Mutex // orders writes
	certificate atomic.Pointer[tls.Certificate]
}

// OpenNode opens the directory of a member that has been enrolled.
func OpenNode(dir string) (*Node, error) {
	if !exists(filepath.Join(dir, certificateFile)) {
		return nil, fmt.Errorf("%s holds no enrolled identity: enrol first, with an invitation from the consortium", dir)
	}
	name, err := readFile(filepath.Join(dir, nameFile))
	if err != nil {
		return nil, err
	}
	governance, err := loadPublicKey(filepath.Join(dir, governanceFile))
	if err != nil {
		return nil, err
	}
	n := &Node{
		dir:        dir,
		name:       strings.TrimSuffix(string(name), "\n"),
		governance: governance,
		rosters:    NewChain(governance),
	}
	if err := loadRosters(dir, n.rosters); err != nil {
		return nil, err
	}
	listed, ok := lastListing(n.rosters, n.name)
	if !ok {
		return nil, fmt.Errorf("%s holds no roster that lists %q: enrol again", dir, n.name)
	}
	n.role = listed.Role
	if n.keys, err = loadKeys(dir, n.role); err != nil {
		return nil, err
	}
	if !bytes.Equal(n.keys.Public(), listed.SigningKey) || !bytes.Equal(n.keys.SealingPublic(), listed.SealingKey) {
		return nil, fmt.Errorf("the keys in %s are not those that the roster gives %q", dir, n.name)
	}
	if n.role == RoleCoordinator {
		key, err := loadSigningKey(filepath.Join(dir, authorityKeyFile))
		if err != nil {
			return nil, err
		}
		n.authority = func() ed25519.PrivateKey { return key }
	}
	text, err := readFile(filepath.Join(dir, certificateFile))
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != certificateBlock || len(rest) != 0 {
		return nil, fmt.Errorf("%s does not hold one certificate", certificateFile)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s does not hold a certificate", certificateFile)
	}
	n.use(leaf)
	return n, nil
}

// Name is the member's name.
func (n *Node) Name() string { return n.name }

// Role is the member's role on the last roster that lists it.
func (n *Node) Role() Role { return n.role }

// Keys are the member's private keys.
func (n *Node) Keys() *Keys { return n.keys }

// Rosters is the chain of verified rosters.
func (n *Node) Rosters() *Chain { return n.rosters }

// Governance is the public key that signs rosters.
func (n *Node) Governance() ed25519.PublicKey { return n.governance }

// Enrolment returns the envelope by which this member enrolled. Handing it in
// again gets a new certificate for as long as the keys are on the roster.
func (n *Node) Enrolment() ([]byte, error) {
	return readFile(filepath.Join(n.dir, enrolmentFile))
}

// AppendRoster verifies a roster, saves it and only then puts it in force. A
// roster that is known already changes nothing.
func (n *Node) AppendRoster(envelope []byte) error {
	return appendRoster(&n.mu, n.dir, n.rosters, envelope)
}

func appendRoster(mu *sync.Mutex, dir string, chain *Chain, envelope []byte) error {
	mu.Lock()
	defer mu.Unlock()
	chain.mu.RLock()
	next, known, err := chain.verify(envelope)
	chain.mu.RUnlock()
	if err != nil || known {
		return err
	}
	// Saved BEFORE it is used, and once: after a restart, or in another process,
	// nobody here accepts or signs another roster of this number.
	err = writeOnce(rosterFile(dir, next.Number), envelope)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another roster %d was saved in %s meanwhile, by another process: open the directory again", next.Number, dir)
	}
	if err != nil {
		return fmt.Errorf("roster %d is not in force, because it could not be saved: %w", next.Number, err)
	}
	return chain.Append(envelope)
}

// Certificate is the certificate in use.
func (n *Node) Certificate() *x509.Certificate { return n.certificate.Load().Leaf }

// SetCertificate saves a new certificate for this member's key and uses it for
// connections from now on.
func (n *Node) SetCertificate(der []byte) error {
	leaf, err := checkOwn(der, n.name, n.keys, n.rosters.Latest())
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := saveCertificate(n.dir, der); err != nil {
		return err
	}
	n.use(leaf)
	return nil
}

// NeedsRenewal reports whether less than a third of the certificate's lifetime
// is left, or none.
func (n *Node) NeedsRenewal(now time.Time) bool { return dueForRenewal(n.Certificate(), now) }

// CertificateRequest makes a request for a new certificate, PKCS #10 in DER.
func (n *Node) CertificateRequest() ([]byte, error) {
	return newCertificateRequest(n.name, n.keys.Signing())
}

// IssueCertificate is the coordinator's: it answers the request of a member on
// the roster in force. A ttl of 0 stands for DefaultCertificateTTL.
func (n *Node) IssueCertificate(request []byte, m Member, now time.Time, ttl time.Duration) ([]byte, error) {
	if n.authority == nil {
		return nil, errors.New("only the coordinator issues certificates")
	}
	if ttl == 0 {
		ttl = DefaultCertificateTTL
	}
	if ttl < 0 {
		return nil, errors.New("a certificate's lifetime is positive")
	}
	roster := n.rosters.Latest()
	listed, ok := roster.Member(m.Name)
	if !ok || !bytes.Equal(listed.SigningKey, m.SigningKey) {
		return nil, fmt.Errorf("%w: %q with this key is not on roster %d", ErrNotMember, m.Name, roster.Number)
	}
	if err := checkCertificateRequest(request, listed); err != nil {
		return nil, err
	}
	authority, err := roster.authority()
	if err != nil {
		return nil, err
	}
	return issueLeaf(authority, n.authority(), listed, roster.Consortium, now, ttl)
}

// RenewOwn is the coordinator's: it issues and uses a new certificate for
// itself.
func (n *Node) RenewOwn(now time.Time, ttl time.Duration) error {
	request, err := n.CertificateRequest()
	if err != nil {
		return err
	}
	self, _ := n.rosters.Latest().Member(n.name)
	der, err := n.IssueCertificate(request, self, now, ttl)
	if err != nil {
		return err
	}
	return n.SetCertificate(der)
}

func (n *Node) use(leaf *x509.Certificate) {
	n.certificate.Store(&tls.Certificate{
		Certificate: [][]byte{leaf.Raw},
		PrivateKey:  n.keys.Signing(),
		Leaf:        leaf,
	})
}

// ownCertificate refuses to show a certificate that the peer would refuse: the
// reason given here is clearer than the alert that would come back.
func (n *Node) ownCertificate(now time.Time) (*tls.Certificate, error) {
	current := n.certificate.Load()
	err := checkTime(current.Leaf, n.name, now)
	if errors.Is(err, ErrExpired) {
		return nil, fmt.Errorf("own %w: renew it by handing in the old enrolment again", err)
	}
	if err != nil {
		return nil, fmt.Errorf("own %w", err)
	}
	return current, nil
}

// checkOwn verifies that a certificate is for a member's own keys.
func checkOwn(der []byte, name string, keys *Keys, roster *Roster) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("certificate of %d bytes is too large", len(der))
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("the certificate is not X.509")
	}
	m, _, err := checkIssued(leaf, roster)
	if err != nil {
		return nil, err
	}
	if m.Name != name || !bytes.Equal(m.SigningKey, keys.Public()) {
		return nil, fmt.Errorf("%w: the certificate is for %q, not for %q", ErrSecurity, m.Name, name)
	}
	return leaf, nil
}

func saveCertificate(dir string, der []byte) error {
	return writeFile(filepath.Join(dir, certificateFile), pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}))
}

func rosterFile(dir string, number uint64) string {
	return filepath.Join(dir, rostersDir, fmt.Sprintf("%06d.json", number))
}

// loadRosters reads the saved rosters in order until a number is missing.
func loadRosters(dir string, chain *Chain) error {
	for number := uint64(1); ; number++ {
		envelope, err := readFile(rosterFile(dir, number))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := chain.Append(envelope); err != nil {
			return fmt.Errorf("%s: %w", rosterFile(dir, number), err)
		}
		if chain.Latest().Number != number {
			return fmt.Errorf("%w: %s holds another roster", ErrSecurity, rosterFile(dir, number))
		}
	}
}

// lastListing finds a member on the newest roster that lists it, for a removed
// member still has a name, a role and an outbox to show.
func lastListing(chain *Chain, name string) (Member, bool) {
	for i := len(chain.rosters) - 1; i >= 0; i-- {
		if m, ok := chain.rosters[i].Member(name); ok {
			return m, true
		}
	}
	return Member{}, false
}
