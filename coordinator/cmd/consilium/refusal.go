package main

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// refusedCall turns what a remote call returned into a problem. The coordinator
// words its own refusals; what is left is the network's.
func refusedCall(what string, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return console.Fail(what, err, "")
	}
	for _, detail := range s.Details() {
		if e, ok := detail.(*consiliumv1.Error); ok {
			why := e.GetWhy()
			if why == "" {
				why = e.GetWhat()
			} else if e.GetWhat() != "" && e.GetWhat() != what {
				why = e.GetWhat() + ": " + why
			}
			return &console.Problem{What: what, Why: why, Next: e.GetNext(), Code: e.GetCode(), Security: e.GetSecurity(), Cause: err}
		}
	}
	p := &console.Problem{What: what, Why: s.Message(), Cause: err}
	switch s.Code() {
	case codes.Unavailable:
		p.Why = unreachable(s.Message())
		p.Next = "check the address and that the coordinator runs (coordinator serve), then repeat this command"
	case codes.DeadlineExceeded:
		p.Why = "the coordinator did not answer in time"
		p.Next = "repeat this command"
	case codes.Canceled:
		p.Why = "interrupted"
		p.Next = "repeat this command"
	case codes.Unimplemented:
		p.Why = "the coordinator does not offer this call; it may be older than this command"
		p.Next = "update the coordinator"
	}
	return p
}

// unreachable words a failed connection without the wrapping that gRPC puts
// around it.
func unreachable(message string) string {
	for _, wrapping := range []string{`connection error: desc = `, `transport: `} {
		if _, inner, found := strings.Cut(message, wrapping); found {
			message = strings.Trim(inner, `"`)
		}
	}
	for _, ours := range []string{"Error while dialing: ", "authentication handshake failed: "} {
		message = strings.TrimPrefix(message, ours)
	}
	return "the coordinator cannot be reached: " + message
}
