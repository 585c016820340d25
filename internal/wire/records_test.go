package wire

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

// counted counts what reaches the network, and fails once it is told to.
type counted struct {
	net.Conn
	writes atomic.Int64
	failed atomic.Bool
}

var errCut = errors.New("the line is cut")

func (c *counted) Write(p []byte) (int, error) {
	if c.failed.Load() {
		return 0, errCut
	}
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// connected returns both ends of a connection, and what is below the client's.
func connected(t *testing.T) (client, server net.Conn, below *counted) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"server"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	self, err := x509.ParseCertificate(der)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(self)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	raw, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	accepted, err := listener.Accept()
	must(t, err)
	below = &counted{Conn: raw}

	var group sync.WaitGroup
	group.Go(func() {
		creds := Credentials(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}}))
		var err error
		server, _, err = creds.Clone().ServerHandshake(accepted)
		if err != nil {
			t.Error(err)
		}
	})
	creds := Credentials(credentials.NewTLS(&tls.Config{RootCAs: roots}))
	client, _, err = creds.Clone().ClientHandshake(context.Background(), "server", below)
	must(t, err)
	group.Wait()
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server, below
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsGivenAtOnceIsWrittenAtOnce(t *testing.T) {
	client, server, below := connected(t)
	for _, length := range []int{1, 300, record, record + 1, gathered, 5*gathered + 7} {
		sent := make([]byte, length)
		rand.Read(sent)
		var got []byte
		var group sync.WaitGroup
		group.Go(func() {
			got = make([]byte, length)
			if _, err := io.ReadFull(server, got); err != nil {
				t.Error(err)
			}
		})
		before := below.writes.Load()
		if n, err := client.Write(sent); n != length || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, length, err)
		}
		group.Wait()
		if !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came as others", length)
		}
		if writes := below.writes.Load() - before; writes != 1 {
			t.Errorf("%d bytes took %d writes", length, writes)
		}
	}
}

// Answers from both ends at the same time, and a close in between, come in order
// or not at all.
func TestBothEndsWriteAtOnce(t *testing.T) {
	client, server, _ := connected(t)
	var group sync.WaitGroup
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		group.Go(func() {
			for i := range 200 {
				if _, err := ends[0].Write(bytes.Repeat([]byte{byte(i)}, 1000+i*100)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		group.Go(func() {
			for i := range 200 {
				got := make([]byte, 1000+i*100)
				if _, err := io.ReadFull(ends[1], got); err != nil || got[0] != byte(i) || got[len(got)-1] != byte(i) {
					t.Errorf("message %d: %v, %d … %d", i, err, got[0], got[len(got)-1])
					return
				}
			}
		})
	}
	group.Wait()
	must(t, client.Close())
	if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end %d bytes and %v", n, err)
	}
}

// TLS believes that what waited was sent. So what was not sent is an error of the
// write, and nothing follows it.
func TestNothingFollowsWhatWasNotWritten(t *testing.T) {
	client, _, below := connected(t)
	below.failed.Store(true)
	if n, err := client.Write(make([]byte, gathered)); n != 0 || !errors.Is(err, errCut) {
		t.Errorf("%d bytes and %v", n, err)
	}
	below.failed.Store(false)
	before := below.writes.Load()
	if n, err := client.Write([]byte("more")); n != 0 || !errors.Is(err, errCut) {
		t.Errorf("then %d bytes and %v", n, err)
	}
	client.Close()
	if writes := below.writes.Load() - before; writes != 0 {
		t.Errorf("%d writes after a failed one", writes)
	}
}
