package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/crypto/memo"
)

const (
	// DefaultCertificateTTL is how long a member's certificate lives.
	DefaultCertificateTTL = 24 * time.Hour
	// backdate forgives clocks that are a little behind.
	backdate = 5 * time.Minute
	// authorityTTL is how long the authority named in the roster lives; a
	// roster can name another one at any time.
	authorityTTL = 10 * 365 * 24 * time.Hour
	// maxCertificate bounds certificates and requests before they are parsed.
	maxCertificate = 16 << 10
)

// newAuthority makes the coordinator's certificate authority.
func newAuthority(consortium string, now time.Time) (der []byte, key ed25519.PrivateKey, err error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{consortium}, CommonName: "certificate authority"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityTTL),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, public, key)
	return der, key, err
}

// issueLeaf certifies a member's key. Only the coordinator's certificate can be
// used by a server.
func issueLeaf(authority *x509.Certificate, key ed25519.PrivateKey, m Member, consortium string, now time.Time, ttl time.Duration) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if m.Role == RoleCoordinator {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{consortium}, CommonName: m.Name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(ttl),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usages,
	}, authority, ed25519.PublicKey(m.SigningKey), key)
}

func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] &= 0x7f // a serial number is positive
	b[0] |= 0x40
	return new(big.Int).SetBytes(b), nil
}

func newCertificateRequest(name string, key ed25519.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name},
	}, key)
}

// checkCertificateRequest verifies that a request is made and signed by a
// member's own key. Nothing else in a request is believed.
func checkCertificateRequest(der []byte, m Member) error {
	if len(der) > maxCertificate {
		return fmt.Errorf("certificate request of %d bytes is too large", len(der))
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return errors.New("certificate request is not PKCS #10")
	}
	key, ok := request.PublicKey.(ed25519.PublicKey)
	if !ok || !bytes.Equal(key, m.SigningKey) {
		return fmt.Errorf("%w: certificate request is for another key than the one of %q", ErrSecurity, m.Name)
	}
	if err := request.CheckSignature(); err != nil {
		return fmt.Errorf("%w: certificate request for %q is not signed by its key", ErrSecurity, m.Name)
	}
	if request.Subject.CommonName != m.Name {
		return fmt.Errorf("%w: certificate request of %q is in another name", ErrSecurity, m.Name)
	}
	return nil
}

// checkLeaf says which rostered member a certificate belongs to, and refuses it
// unless its key is on the roster, the roster's authority issued it for that
// use, and both are valid at now.
func checkLeaf(leaf *x509.Certificate, roster *Roster, use x509.ExtKeyUsage, now time.Time) (Member, error) {
	m, authority, err := checkIssued(leaf, roster)
	if err != nil {
		return Member{}, err
	}
	if !slices.Contains(leaf.ExtKeyUsage, use) {
		return Member{}, fmt.Errorf("%w: the certificate of %q was issued for the other side of a connection", ErrNotMember, m.Name)
	}
	if err := checkTime(leaf, m.Name, now); err != nil {
		return Member{}, err
	}
	if err := checkTime(authority, "the authority", now); err != nil {
		return Member{}, err
	}
	return m, nil
}

// checkIssued is checkLeaf without regard to time and use.
func checkIssued(leaf *x509.Certificate, roster *Roster) (m Member, authority *x509.Certificate, err error) {
	if roster == nil {
		return Member{}, nil, errors.New("there is no roster yet")
	}
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return Member{}, nil, fmt.Errorf("%w: the certificate's key is not Ed25519", ErrNotMember)
	}
	m, ok = roster.memberByKey(key)
	if !ok {
		return Member{}, nil, fmt.Errorf("%w: the certificate's key is not on roster %d", ErrNotMember, roster.Number)
	}
	if leaf.Subject.CommonName != m.Name {
		return Member{}, nil, fmt.Errorf("%w: the certificate is not in the name that roster %d gives its key", ErrNotMember, roster.Number)
	}
	authority, issued, err := issuedBy(leaf, roster)
	if err != nil {
		return Member{}, nil, err
	}
	if !issued || leaf.IsCA || len(leaf.UnhandledCriticalExtensions) != 0 {
		return Member{}, nil, fmt.Errorf("%w: the certificate of %q was not issued by this consortium's authority", ErrNotMember, m.Name)
	}
	return m, authority, nil
}

// issuances are the certificates that were found lately to be their authority's,
// by the digest of both. A member shows one with every call.
var issuances = memo.New[*x509.Certificate](1 << 20)

// issuedBy verifies an authority's signature on a certificate.
func issuedBy(leaf *x509.Certificate, roster *Roster) (authority *x509.Certificate, issued bool, err error) {
	both := sha256.New()
	fmt.Fprintf(both, "%d\n", len(leaf.Raw))
	both.Write(leaf.Raw)
	both.Write(roster.Authority)
	name := memo.Key(both.Sum(nil))
	if authority, known := issuances.Get(name); known {
		return authority, true, nil
	}
	if authority, err = roster.authority(); err != nil {
		return nil, false, err
	}
	if leaf.CheckSignatureFrom(authority) != nil {
		return nil, false, nil
	}
	issuances.Put(name, authority, len(leaf.Raw)+4*len(roster.Authority))
	return authority, true, nil
}

func checkTime(leaf *x509.Certificate, name string, now time.Time) error {
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%w (the certificate of %q is valid from %s, the clock here says %s)",
			ErrNotYetValid, name, stamp(leaf.NotBefore), stamp(now))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w: that of %q was valid until %s, the clock here says %s",
			ErrExpired, name, stamp(leaf.NotAfter), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// dueForRenewal: less than a third of the lifetime is left.
func dueForRenewal(leaf *x509.Certificate, now time.Time) bool {
	return leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/3
}
