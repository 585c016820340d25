package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/internal/wire"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// Local is the code of what failed before anything left: the outbox, which cannot
// be written.
const Local = "local"

// Error is what the coordinator, or the way to it, answered: what happened,
// why, and what to do next.
type Error struct {
	Code            string
	What, Why, Next string
	// Security marks a violation: it is not tried again.
	Security bool
	// Temporary marks what trying again may mend.
	Temporary bool

	cause error
}

func (e *Error) Error() string {
	if e.Why == "" {
		return e.What
	}
	return e.What + ": " + e.Why
}

func (e *Error) Unwrap() error { return e.cause }

// translate makes an Error of what a call returned.
func (l *Link) translate(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrNotDescribed) {
		return err
	}
	s, isStatus := status.FromError(err)
	if !isStatus {
		return &Error{Code: Local, What: what + " failed", Why: err.Error(), cause: err}
	}
	for _, detail := range s.Details() {
		if d, ok := detail.(*consiliumv1.Error); ok {
			return &Error{
				Code: clean(d.Code), What: clean(d.What), Why: clean(d.Why), Next: clean(d.Next),
				Security: d.Security, Temporary: !d.Security && temporary(s.Code()), cause: err,
			}
		}
	}
	e := &Error{Code: strings.ToLower(s.Code().String()), What: what + " failed", Why: clean(s.Message()), Temporary: temporary(s.Code()), cause: err}
	if s.Code() != codes.Unavailable {
		return e
	}
	e.What, e.Next = "the coordinator cannot be reached", "run `site-agent doctor`; the agent keeps trying by itself"
	e.Why = unwrapped(e.Why)
	switch handshake := l.creds.failure(); {
	case cutOff(handshake):
		e.Why = "the connection was closed before it was secure: by a firewall or proxy on the way, or by a coordinator that starts again"
	case handshake != nil:
		e.Code, e.What, e.Why, e.cause = "untrusted-connection", "no trusted connection to the coordinator", clean(handshake.Error()), handshake
	case strings.Contains(e.Why, "remote error: tls:"):
		e.Code, e.What, e.Why = "certificate-refused", "the coordinator refuses this site's certificate", "it has expired, or this site is not on the roster any more"
		e.Next = "compare the clocks, and ask the consortium whether this site is still a member"
	}
	return e
}

// cutOff says whether a handshake ended without a word of the other side's, good or
// bad: that is of the network, and no server that cannot be trusted.
func cutOff(handshake error) bool {
	op, isOp := errors.AsType[*net.OpError](handshake)
	return errors.Is(handshake, io.EOF) || errors.Is(handshake, io.ErrUnexpectedEOF) || errors.Is(handshake, context.DeadlineExceeded) ||
		isOp && (op.Op == "read" || op.Op == "write")
}

// unwrapped drops what gRPC puts around the reason of a failed connection.
func unwrapped(message string) string {
	for _, wrapping := range []string{`rpc error: code = Unavailable desc = `, `error reading from server: `, `connection error: desc = `, `transport: `, `Error while dialing: `, `authentication handshake failed: `} {
		if _, inner, found := strings.Cut(message, wrapping); found {
			message = strings.Trim(inner, `"`)
		}
	}
	if message == io.EOF.Error() || message == io.ErrUnexpectedEOF.Error() {
		return "the connection was closed at the other end"
	}
	return message
}

func temporary(c codes.Code) bool {
	switch c {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted, codes.Internal, codes.Unknown, codes.Canceled:
		return true
	}
	return false
}

// clean makes a remote text harmless to a terminal and short.
func clean(s string) string {
	const longest = 500
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return s
}

// recordingCredentials remembers why the last TLS handshake failed, which gRPC
// otherwise turns into text.
type recordingCredentials struct {
	credentials.TransportCredentials
	last *lastFailure
}

type lastFailure struct {
	mu  sync.Mutex
	err error
}

func newRecordingCredentials(config *tls.Config) *recordingCredentials {
	return &recordingCredentials{wire.Credentials(credentials.NewTLS(config)), new(lastFailure)}
}

func (c *recordingCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	c.last.mu.Lock()
	defer c.last.mu.Unlock()
	c.last.err = err
	if err != nil {
		return nil, nil, fmt.Errorf("handshake: %w", err)
	}
	return secure, info, nil
}

func (c *recordingCredentials) Clone() credentials.TransportCredentials {
	return &recordingCredentials{c.TransportCredentials.Clone(), c.last}
}

func (c *recordingCredentials) failure() error {
	c.last.mu.Lock()
	defer c.last.mu.Unlock()
	return c.last.err
}
