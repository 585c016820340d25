package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// problem is an error as a person reads it: what happened, why, and what to
// type next.
type problem struct {
	What     string `json:"what"`
	Why      string `json:"why,omitempty"`
	Next     string `json:"next,omitempty"`
	Code     string `json:"code,omitempty"`     // stable, from the coordinator
	Security bool   `json:"security,omitempty"` // someone broke a rule of the protocol; retrying is no remedy
	exit     int
	cause    error
}

func (p *problem) Error() string {
	if p.Why == "" {
		return p.What
	}
	return p.What + ": " + p.Why
}

func (p *problem) Unwrap() error { return p.cause }

// fail is a problem whose reason is another error.
func fail(what string, why error, next string) error {
	if why == nil {
		return &problem{What: what, Next: next, exit: exitFailed}
	}
	if p, ok := errors.AsType[*problem](why); ok {
		return p // it already says all three things, closer to the cause
	}
	return &problem{What: what, Why: reason(why), Next: next, exit: exitFailed, cause: why}
}

// usage is a command line that cannot be understood.
func usage(cmd *cobra.Command, what string) error {
	return &problem{What: what, Why: "usage: " + cmd.UseLine(), Next: cmd.CommandPath() + " --help", exit: exitUsage}
}

// reason words an error for the second line.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}

// refusedCall turns what a remote call returned into a problem. The coordinator
// words its own refusals; what is left is the network's.
func refusedCall(what string, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return fail(what, err, "")
	}
	for _, detail := range s.Details() {
		if e, ok := detail.(*consiliumv1.Error); ok {
			why := e.GetWhy()
			if why == "" {
				why = e.GetWhat()
			} else if e.GetWhat() != "" && e.GetWhat() != what {
				why = e.GetWhat() + ": " + why
			}
			return &problem{What: what, Why: why, Next: e.GetNext(), Code: e.GetCode(), Security: e.GetSecurity(), exit: exitFailed, cause: err}
		}
	}
	p := &problem{What: what, Why: s.Message(), exit: exitFailed, cause: err}
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

// report prints what a command returned and gives the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = &problem{What: err.Error(), exit: exitFailed}
		if errors.Is(err, context.Canceled) {
			p.What = "interrupted"
		}
	}
	if a.asJSON {
		line, _ := json.Marshal(map[string]*problem{"error": p})
		fmt.Fprintf(a.stderr, "%s\n", line)
		return p.exit
	}
	label := "error"
	if p.Security {
		label = "security violation"
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", label, p.What)
	if p.Why != "" {
		fmt.Fprintf(a.stderr, "  why:  %s\n", p.Why)
	}
	if p.Next != "" {
		fmt.Fprintf(a.stderr, "  next: %s\n", p.Next)
	}
	return p.exit
}
