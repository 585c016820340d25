package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"
)

// PeerMember says which member is at the other end of a server's connection.
// The certificate's key must be on the given roster, so a caller that asks for
// every request with the newest roster refuses a removed member on a connection
// that is already open; a certificate that has expired since is refused too.
func PeerMember(state tls.ConnectionState, roster *Roster, now time.Time) (Member, error) {
	if len(state.PeerCertificates) == 0 {
		return Member{}, fmt.Errorf("%w: the peer shows no certificate", ErrNotMember)
	}
	return checkLeaf(state.PeerCertificates[0], roster, x509.ExtKeyUsageClientAuth, now)
}

// PeerGovernance reports whether the governance key itself is at the other end
// of a connection.
func PeerGovernance(state tls.ConnectionState, governance ed25519.PublicKey, now time.Time) bool {
	if len(state.PeerCertificates) == 0 {
		return false
	}
	leaf := state.PeerCertificates[0]
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	return ok && len(governance) == ed25519.PublicKeySize && key.Equal(governance) &&
		leaf.Subject.CommonName == governanceName && checkTime(leaf, governanceName, now) == nil
}

// ServerTLS is the coordinator's side: TLS 1.3, a client certificate asked for
// and, if one is shown, valid, unexpired and of a member of the roster in force
// when the connection is made, or of the governance key. A client without one
// gets through, for enrolment needs no certificate: every other request must be
// refused with PeerMember.
func (n *Node) ServerTLS(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       now,
		ClientAuth: tls.RequestClientCert,
		// A resumed session would be a member's word from before a removal.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return n.ownCertificate(now())
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || PeerGovernance(state, n.governance, now()) {
				return nil
			}
			_, err := PeerMember(state, n.rosters.Latest(), now())
			return err
		},
	}
}

// ClientTLS is a member's side: TLS 1.3 with its own certificate, to the
// coordinator whose key is on the newest roster that the member has seen.
func (n *Node) ClientTLS(now func() time.Time) *tls.Config {
	cfg := n.RenewalTLS(now)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return n.ownCertificate(now())
	}
	return cfg
}

// RenewalTLS is ClientTLS without the member's certificate. Only enrolment can
// be called over it: a member whose certificate expired while it was off gets a
// new one there, by its old enrolment.
func (n *Node) RenewalTLS(now func() time.Time) *tls.Config {
	return coordinatorTLS(n.rosters, now)
}

// coordinatorTLS accepts a server whose key is the rostered coordinator's.
func coordinatorTLS(rosters *Chain, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       now,
		// The peer is known by its rostered key, checked below on every
		// connection, and not by a host name.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the server shows no certificate")
			}
			m, err := checkLeaf(state.PeerCertificates[0], rosters.Latest(), x509.ExtKeyUsageServerAuth, now())
			if errors.Is(err, ErrNotMember) {
				return fmt.Errorf("%w: the server at this address is not the consortium's coordinator: %w", ErrSecurity, err)
			}
			if err == nil && m.Role != RoleCoordinator {
				return fmt.Errorf("%w: member %q answers in the coordinator's place", ErrSecurity, m.Name)
			}
			return err
		},
	}
}

// EnrolmentTLS is a newcomer's side: TLS 1.3 to the coordinator whose key the
// invitation carries. The newcomer shows no certificate; it has none.
func EnrolmentTLS(invitation *Invitation) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // the invitation names the key; checked below
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the server shows no certificate")
			}
			key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || !key.Equal(ed25519.PublicKey(invitation.CoordinatorKey)) {
				return fmt.Errorf("%w: the server at this address does not have the key that the invitation names", ErrSecurity)
			}
			return nil
		},
	}
}

// selfSigned is the governance key's client certificate, made anew for each
// connection. It proves possession of the key and nothing else.
func selfSigned(key ed25519.PrivateKey, now time.Time) (*tls.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: governanceName},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
