package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/statement"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// problem is an error as a person reads it: what happened, why, and what to
// type next.
type problem struct {
	What     string `json:"what"`
	Why      string `json:"why,omitempty"`
	Next     string `json:"next,omitempty"`
	Code     string `json:"code,omitempty"`     // stable, from the coordinator
	Security bool   `json:"security,omitempty"` // retrying is no remedy
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
	if p, ok := errors.AsType[*problem](why); ok {
		return p // it already says all three things, closer to the cause
	}
	p := &problem{What: what, Why: reason(why), Next: next, exit: exitFailed, cause: why, Security: errors.Is(why, statement.ErrSecurity)}
	if r, ok := siteagent.Explain(why); ok {
		p.Code, p.Security = r.Code, p.Security || r.Security
		if r.Next != "" {
			p.Next = r.Next
		}
	}
	return p
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
