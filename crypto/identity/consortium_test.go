package identity

import (
	"crypto/ed25519"
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// epoch is when every consortium of these tests begins.
var epoch = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

// consortium is a real one, in temporary directories.
type consortium struct {
	t           testing.TB
	dir         string
	governance  *Governance
	coordinator *Node
}

func begin(t testing.TB, name string) *consortium {
	t.Helper()
	dir := t.TempDir()
	spec := InitSpec{
		Consortium:         name,
		CoordinatorAddress: "127.0.0.1:7000",
		GovernanceDir:      filepath.Join(dir, "governance"),
		CoordinatorDir:     filepath.Join(dir, "coordinator"),
		Now:                epoch,
	}
	if err := InitConsortium(spec); err != nil {
		t.Fatal(err)
	}
	c := &consortium{t: t, dir: dir}
	var err error
	if c.governance, err = OpenGovernance(spec.GovernanceDir); err != nil {
		t.Fatal(err)
	}
	if c.coordinator, err = OpenNode(spec.CoordinatorDir); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *consortium) memberDir(name string) string { return filepath.Join(c.dir, "members", name) }

// enrol takes a newcomer the whole way: token, enrolment, roster, certificate.
func (c *consortium) enrol(name string, role Role) *Node {
	c.t.Helper()
	token, err := c.governance.Invite(name, role, time.Hour, epoch)
	if err != nil {
		c.t.Fatal(err)
	}
	envelope, err := NewEnrolment(token, c.memberDir(name))
	if err != nil {
		c.t.Fatal(err)
	}
	c.publish(c.governance.Admit([][]byte{envelope}, epoch))
	if err := FinishEnrolment(c.memberDir(name), c.parse(token), c.admission(envelope, epoch), c.coordinator.Rosters().Envelopes()); err != nil {
		c.t.Fatal(err)
	}
	node, err := OpenNode(c.memberDir(name))
	if err != nil {
		c.t.Fatal(err)
	}
	return node
}

func (c *consortium) parse(token string) *Invitation {
	c.t.Helper()
	inv, err := ParseToken(token)
	if err != nil {
		c.t.Fatal(err)
	}
	return inv
}

// admission is what the coordinator does with an enrolment.
func (c *consortium) admission(envelope []byte, now time.Time) []byte {
	c.t.Helper()
	e, err := OpenEnrolment(envelope)
	if err != nil {
		c.t.Fatal(err)
	}
	der, err := c.coordinator.IssueCertificate(e.CertificateRequest, EnrolledMember(e), now, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	return der
}

// publish puts a roster in force at the coordinator.
func (c *consortium) publish(envelope []byte, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.coordinator.AppendRoster(envelope); err != nil {
		c.t.Fatal(err)
	}
}

// signRoster signs any roster with any key, as an attacker would.
func signRoster(t testing.TB, r Roster, keyid string, key ed25519.PrivateKey) []byte {
	t.Helper()
	envelope, err := statement.Sign(statement.KindRoster, r, keyid, key)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// handshake connects the two sides over loopback and exchanges a byte, so that
// the server's verdict on the client is seen by both. It returns the server's
// view of the connection.
func handshake(t testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(5 * time.Second))
		conn := tls.Server(raw, server)
		if err = conn.Handshake(); err == nil {
			state = conn.ConnectionState()
			_, err = conn.Write([]byte{1})
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(5 * time.Second))
	conn := tls.Client(raw, client)
	if clientErr = conn.Handshake(); clientErr == nil {
		_, clientErr = conn.Read(make([]byte, 1))
	}
	raw.Close()
	return state, <-done, clientErr
}
