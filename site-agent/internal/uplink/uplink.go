// Package uplink is the one way out of a hospital. It is the only package of
// the site agent that opens a connection, and it opens one kind: to the
// coordinator, over TLS 1.3 with client certificates, straight or through an
// HTTP proxy that the configuration names. Nothing ever connects inwards.
//
// Every request passes a gate (gate.go). The gate refuses a request that its
// caller has not described for the outbox, writes the description to the
// outbox, synced, BEFORE the first byte leaves, and refuses more bytes than
// were described. How the request ended is written after.
//
// Messages are protobuf here and plain Go values everywhere else. What comes
// back is bytes and text from a party that is not trusted: this package bounds
// their size and strips what could drive a terminal; deciding what they mean
// is the participant's business.
package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/wire"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

const (
	// window is both static flow-control windows; gRPC's own guess is too small
	// for a long fat pipe.
	window = 8 << 20
	// maxAnswer bounds what one answer may make the agent allocate.
	maxAnswer = 64 << 20
	// callTimeout bounds a call that has no reason to wait.
	callTimeout = 30 * time.Second
	// pollTimeout leaves room for the coordinator's 25 seconds.
	pollTimeout = 60 * time.Second
)

// Options say whom to reach and how.
type Options struct {
	Address string // host:port
	Proxy   string // URL of an HTTP proxy; empty for a direct connection
	TLS     *tls.Config
	Outbox  *outbox.Outbox
}

// Link is a connection to the coordinator that reconnects by itself. It is
// safe for concurrent use.
type Link struct {
	conn       *grpc.ClientConn
	creds      *recordingCredentials
	site       consiliumv1.SiteServiceClient
	ledger     consiliumv1.LedgerServiceClient
	membership consiliumv1.MembershipServiceClient
	enrollment consiliumv1.EnrollmentServiceClient
}

// Connect prepares a link; the first call opens the connection.
func Connect(o Options) (*Link, error) {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return nil, fmt.Errorf("the coordinator's address must be host:port: %w", err)
	}
	dial, err := dialer(o.Proxy)
	if err != nil {
		return nil, err
	}
	creds := newRecordingCredentials(o.TLS)
	g := gate{o.Outbox}
	conn, err := grpc.NewClient("passthrough:///"+o.Address, append(wire.Client(), // the proxy resolves names, if there is one
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(dial),
		grpc.WithNoProxy(), // the environment's proxy settings are not ours
		grpc.WithUnaryInterceptor(g.unary),
		grpc.WithStreamInterceptor(g.stream),
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithDisableRetry(), // the protocol resumes; a blind retry would send unrecorded bytes
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 30 * time.Second},
			MinConnectTimeout: 20 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	)...)
	if err != nil {
		return nil, err
	}
	return &Link{
		conn: conn, creds: creds,
		site:       consiliumv1.NewSiteServiceClient(conn),
		ledger:     consiliumv1.NewLedgerServiceClient(conn),
		membership: consiliumv1.NewMembershipServiceClient(conn),
		enrollment: consiliumv1.NewEnrollmentServiceClient(conn),
	}, nil
}

// Reconnect ends the wait between two attempts to connect.
func (l *Link) Reconnect() { l.conn.ResetConnectBackoff() }

// Close closes the connection.
func (l *Link) Close() error { return l.conn.Close() }

// Address is where a member's coordinator is, unless the configuration says
// otherwise.
func Address(configured string, roster *identity.Roster) string {
	if configured != "" || roster == nil {
		return configured
	}
	return roster.Coordinator
}

func dialer(proxy string) (func(context.Context, string) (net.Conn, error), error) {
	if proxy == "" {
		return func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}, nil
	}
	through, err := proxyURL(proxy)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return connectThrough(ctx, through, address)
	}, nil
}

func proxyURL(proxy string) (*url.URL, error) {
	through, err := url.Parse(proxy)
	if err != nil || (through.Scheme != "http" && through.Scheme != "https") || through.Host == "" {
		// The URL may hold a password, so it is not repeated.
		return nil, errors.New("the proxy setting is not a URL such as http://proxy.example:3128")
	}
	return through, nil
}
