package rpc

import (
	"errors"
	"io"
	"net"

	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"

	"github.com/consilium-fl/consilium/crypto/identity"
)

// handshakes records connections that were refused, which no call ever shows:
// a removed member or a stranger that tries to get in.
type handshakes struct {
	credentials.TransportCredentials
	log *zap.Logger
}

func (h handshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := h.TransportCredentials.ServerHandshake(conn)
	switch {
	case err == nil, errors.Is(err, io.EOF): // somebody looked whether the port is open
	case errors.Is(err, identity.ErrSecurity), errors.Is(err, identity.ErrNotMember):
		h.log.Warn("connection refused", zap.Stringer("from", conn.RemoteAddr()), zap.Error(err))
	default:
		h.log.Info("connection refused", zap.Stringer("from", conn.RemoteAddr()), zap.Error(err))
	}
	return secured, info, err
}

func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{h.TransportCredentials.Clone(), h.log}
}
