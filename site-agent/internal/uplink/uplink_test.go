package uplink

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

// server counts what reaches it.
type server struct {
	consiliumv1.UnimplementedSiteServiceServer
	calls  atomic.Int64
	chunks atomic.Int64
	answer func() error
}

func (s *server) Poll(context.Context, *consiliumv1.PollRequest) (*consiliumv1.PollResponse, error) {
	s.calls.Add(1)
	if s.answer != nil {
		return nil, s.answer()
	}
	return &consiliumv1.PollResponse{Revision: "1"}, nil
}

func (s *server) DeclineRound(context.Context, *consiliumv1.DeclineRoundRequest) (*consiliumv1.DeclineRoundResponse, error) {
	s.calls.Add(1)
	return &consiliumv1.DeclineRoundResponse{}, nil
}

func (s *server) UploadChunks(stream grpc.ClientStreamingServer[consiliumv1.UploadChunksRequest, consiliumv1.UploadChunksResponse]) error {
	s.calls.Add(1)
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(&consiliumv1.UploadChunksResponse{})
		} else if err != nil {
			return err
		}
		s.chunks.Add(1)
	}
}

// start runs a server with a certificate of its own and returns its address
// and a configuration that trusts it.
func start(t *testing.T, s *server) (address string, trusts *tls.Config) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"coordinator"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})))
	consiliumv1.RegisterSiteServiceServer(g, s)
	done := make(chan struct{})
	go func() {
		g.Serve(listener)
		close(done)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, VerifyConnection: func(state tls.ConnectionState) error {
		if !state.PeerCertificates[0].PublicKey.(ed25519.PublicKey).Equal(public) {
			return statement.ErrSecurity
		}
		return nil
	}}
}

func connect(t *testing.T, s *server, proxy string) (*Link, string) {
	t.Helper()
	l, path, _ := connectWith(t, s, proxy)
	return l, path
}

func connectWith(t *testing.T, s *server, proxy string) (*Link, string, *outbox.Outbox) {
	t.Helper()
	address, trusts := start(t, s)
	path := filepath.Join(t.TempDir(), "outbox.jsonl")
	box, err := outbox.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Connect(Options{Address: address, Proxy: proxy, TLS: trusts, Outbox: box})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		box.Close()
	})
	return l, path, box
}

func TestNothingLeavesWithoutALine(t *testing.T) {
	s := &server{}
	l, path := connect(t, s, "")
	if _, err := l.site.Poll(t.Context(), &consiliumv1.PollRequest{}); !errors.Is(err, ErrNotDescribed) {
		t.Fatalf("a call without a description: %v", err)
	}
	if _, err := l.site.UploadChunks(t.Context()); !errors.Is(err, ErrNotDescribed) {
		t.Fatalf("a stream without a description: %v", err)
	}
	// The disk fails: nothing leaves.
	os.Remove(path)
	l2, _, box := connectWith(t, s, "")
	box.Close()
	if err := l2.DeclineRound(t.Context(), Subject{}, []byte("x")); err == nil || !strings.Contains(err.Error(), "nothing is sent") {
		t.Fatalf("with an outbox that cannot be written: %v", err)
	}
	if _, err := l2.Poll(t.Context(), Seen{}); err == nil {
		t.Fatal("a poll left without a line")
	}
	if n := s.calls.Load(); n != 0 {
		t.Fatalf("%d calls reached the server", n)
	}
}

func TestAStreamCarriesNoMoreThanItsLineSays(t *testing.T) {
	s := &server{}
	l, path := connect(t, s, "")
	ctx, cancel := context.WithCancel(describe(t.Context(), outbox.Entry{Kind: outbox.Contribution, Bytes: 50}))
	defer cancel()
	stream, err := l.site.UploadChunks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&consiliumv1.UploadChunksRequest{Chunk: make([]byte, 40)}); err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&consiliumv1.UploadChunksRequest{Chunk: make([]byte, 40)}); !errors.Is(err, ErrNotDescribed) {
		t.Fatalf("more bytes than described: %v", err)
	}
	if entries, err := outbox.Read(path); err != nil || len(entries) != 1 || entries[0].Bytes != 50 {
		t.Fatalf("outbox %+v, %v", entries, err)
	}
}

// parts is ciphertext that is in memory.
type parts [][]byte

func (p parts) Chunks() int                 { return len(p) }
func (p parts) ChunkBytes(i int) int        { return len(p[i]) }
func (p parts) Chunk(i int) ([]byte, error) { return p[i], nil }

func TestAnUploadSendsWhatIsMissingAndSaysSo(t *testing.T) {
	s := &server{}
	l, path := connect(t, s, "")
	chunks := parts{make([]byte, 100), make([]byte, 100), make([]byte, 100)}
	var told []int64
	subject := Subject{Study: "s", Step: "glm/gram", Round: "r", Fields: []outbox.Field{{Name: "gram", Length: 6}}}
	if err := l.UploadChunks(t.Context(), subject, []byte("header"), chunks, []uint32{0, 2}, func(sent int64) { told = append(told, sent) }); err != nil {
		t.Fatal(err)
	}
	entries, err := outbox.Read(path)
	if err != nil || s.chunks.Load() != 2 || len(told) != 2 || told[1] != 200 {
		t.Fatalf("chunks %d, told %v, %v", s.chunks.Load(), told, err)
	}
	e := entries[0]
	var size int
	for _, i := range []uint32{0, 2} {
		size += proto.Size(&consiliumv1.UploadChunksRequest{Round: "r", Index: i, Chunk: chunks[i]})
	}
	if e.Bytes != int64(size) {
		t.Errorf("the line says %d bytes, %d left", e.Bytes, size)
	}
	if e.Outcome != "acknowledged" || e.Bytes < 200 || e.Step != "glm/gram" || e.Fields[0].Length != 6 || e.Digest != statement.DigestOf([]byte("header")).String() {
		t.Fatalf("line %+v", e)
	}
	if err := l.UploadChunks(t.Context(), subject, nil, chunks, []uint32{3}, nil); err == nil {
		t.Fatal("a chunk that does not exist was asked for and sent")
	}
}

func TestTheCoordinatorsWordsAreCleaned(t *testing.T) {
	s := &server{answer: func() error {
		e, err := status.New(codes.FailedPrecondition, "x").WithDetails(&consiliumv1.Error{Code: "late", What: "too \x1b[31mlate", Why: "a\nb\u202e", Next: strings.Repeat("n", 1000), Security: true})
		if err != nil {
			return err
		}
		return e.Err()
	}}
	l, _ := connect(t, s, "")
	_, err := l.Poll(t.Context(), Seen{})
	remote, ok := errors.AsType[*Error](err)
	if !ok || remote.What != "too [31mlate" || remote.Why != "a b" || len([]rune(remote.Next)) > 501 || !remote.Security || remote.Temporary {
		t.Fatalf("%+v", remote)
	}
}

func TestAForeignServerIsASecurityViolation(t *testing.T) {
	_, trusts := start(t, &server{})
	address, _ := start(t, &server{})
	box, err := outbox.Open(filepath.Join(t.TempDir(), "o"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	l, err := Connect(Options{Address: address, TLS: trusts, Outbox: box})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Poll(t.Context(), Seen{}); !errors.Is(err, statement.ErrSecurity) {
		t.Fatalf("%v, want a security violation", err)
	}
}

func TestWhyAConnectionFailedIsSaidPlainly(t *testing.T) {
	for message, want := range map[string]string{
		"rpc error: code = Unavailable desc = error reading from server: EOF":                                          "the connection was closed at the other end",
		"error reading from server: unexpected EOF":                                                                    "the connection was closed at the other end",
		`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`: "dial tcp 127.0.0.1:1: connect: connection refused",
		"error reading from server: read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer":                 "read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer",
	} {
		if got := unwrapped(message); got != want {
			t.Errorf("%s\nis said as %s\nwant %s", message, got, want)
		}
	}
}

// A firewall that ends the connection is no server that cannot be trusted, and
// nobody should be told so at night.
func TestAConnectionCutOffInTheHandshakeIsNoViolation(t *testing.T) {
	_, trusts := start(t, &server{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1)) // of the client's first words
			conn.Close()
		}
	}()
	box, err := outbox.Open(filepath.Join(t.TempDir(), "o"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	l, err := Connect(Options{Address: listener.Addr().String(), TLS: trusts, Outbox: box})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = l.Poll(t.Context(), Seen{})
	remote, ok := errors.AsType[*Error](err)
	if !ok || remote.Code != "unavailable" || remote.Security || !remote.Temporary || !strings.Contains(remote.Why, "firewall or proxy") {
		t.Fatalf("%+v", remote)
	}
}

// proxyServer answers CONNECT. It returns its address.
func proxyServer(t *testing.T, handle func(request *http.Request, conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					handle(request, conn)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func TestThroughAProxy(t *testing.T) {
	var header atomic.Value
	proxy := proxyServer(t, func(request *http.Request, conn net.Conn) {
		header.Store(request.Header.Get("Proxy-Authorization"))
		onward, err := net.Dial("tcp", request.Host)
		if err != nil {
			return
		}
		defer onward.Close()
		io.WriteString(conn, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
		go io.Copy(onward, conn)
		io.Copy(conn, onward)
	})
	s := &server{}
	l, _ := connect(t, s, "http://user:secret@"+proxy)
	if news, err := l.Poll(t.Context(), Seen{}); err != nil || news.Revision != "1" {
		t.Fatal(err)
	}
	if header.Load() != "Basic dXNlcjpzZWNyZXQ=" {
		t.Fatalf("authorisation %v", header.Load())
	}
}

func TestAProxyThatRefusesIsNamed(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n": "user name and password",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n":                     "status 403",
		"SSH-2.0-OpenSSH\r\n\r\n":                                                 "not HTTP",
	} {
		proxy := proxyServer(t, func(_ *http.Request, conn net.Conn) { io.WriteString(conn, answer) })
		err := Reach(t.Context(), "coordinator.example:7443", "http://user:secret@"+proxy)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", answer, err)
		}
	}
	for _, proxy := range []string{"proxy.example:3128", "socks5://user:secret@x:1", "http://"} {
		if _, err := Connect(Options{Address: "a:1", Proxy: proxy}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("proxy %q: %v", proxy, err)
		}
	}
}
