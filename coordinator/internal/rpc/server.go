// Package rpc puts the coordinator on the network: gRPC over TLS 1.3 with
// client certificates.
//
// Who may call what is one table, applied to every call against the roster in
// force at that moment; a method without a rule is refused to everybody.
// Messages are turned into the driver's own types here and nowhere else, and
// errors into a code, what happened, why, and what to do next. Anything that is
// not meant for the caller stays in the log.
package rpc

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/internal/wire"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

const (
	// maxMessage bounds a message before it is read. The largest is a header
	// with its sealed shares; a chunk has at most 217,088 bytes.
	maxMessage = 64 << 20
	// maxStreams bounds the calls under way on one connection.
	maxStreams = 64
	// window is the flow control window of a stream and of a connection: what a
	// site may have sent that was not read yet, which is the coordinator's memory
	// for each site that uploads, and the most that travels in a round trip. Both
	// are set, because setting one alone leaves the other at 64 KB.
	window = 1 << 20
)

// NewServer returns a server that serves every service of the wire contract.
// When ctx ends, calls that wait are sent home, so that a graceful stop need not
// wait for them.
func NewServer(ctx context.Context, d *driver.Driver, log *zap.Logger, now func() time.Time) *grpc.Server {
	g := &gate{serving: ctx, driver: d, log: log, now: now}
	s := grpc.NewServer(append(wire.Server(),
		grpc.Creds(handshakes{wire.Credentials(credentials.NewTLS(d.Node.ServerTLS(now))), log}),
		grpc.UnaryInterceptor(g.unary),
		grpc.StreamInterceptor(g.stream),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		// Firewalls forget idle connections after a minute or more.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(20*time.Second),
	)...)
	consiliumv1.RegisterEnrollmentServiceServer(s, &enrollment{driver: d})
	consiliumv1.RegisterMembershipServiceServer(s, &membership{driver: d})
	consiliumv1.RegisterSiteServiceServer(s, &site{driver: d})
	consiliumv1.RegisterStudyServiceServer(s, &study{driver: d})
	consiliumv1.RegisterLedgerServiceServer(s, &ledger{driver: d})
	return s
}
