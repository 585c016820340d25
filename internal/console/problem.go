package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Exit codes. They are part of every command's interface.
const (
	ExitOK     = 0
	ExitFailed = 1 // it was asked properly and did not work, or did not hold
	ExitUsage  = 2 // it was not asked properly
)

// Problem is an error as a person reads it: what happened, why, and what to
// type next.
type Problem struct {
	What     string `json:"what"`
	Why      string `json:"why,omitempty"`
	Next     string `json:"next,omitempty"`
	Code     string `json:"code,omitempty"`     // stable, from the coordinator
	Security bool   `json:"security,omitempty"` // someone broke a rule of the protocol; retrying is no remedy
	Exit     int    `json:"-"`                  // exit code; 0 stands for ExitFailed
	Cause    error  `json:"-"`
}

func (p *Problem) Error() string {
	if p.Why == "" {
		return p.What
	}
	return p.What + ": " + p.Why
}

func (p *Problem) Unwrap() error { return p.Cause }

// Fail is a problem whose reason is another error. A reason that already says
// all three things is closer to the cause and is kept as it is.
func Fail(what string, why error, next string) error {
	if why == nil {
		return &Problem{What: what, Next: next}
	}
	if p, ok := errors.AsType[*Problem](why); ok {
		return p
	}
	return &Problem{What: what, Why: Reason(why), Next: next, Security: errors.Is(why, statement.ErrSecurity), Cause: why}
}

// Usage is a command line that cannot be understood.
func Usage(cmd *cobra.Command, what string) error {
	usage := cmd.UseLine()
	if cmd.HasSubCommands() {
		usage = cmd.CommandPath() + " [command]"
	}
	return &Problem{What: what, Why: "usage: " + usage, Next: cmd.CommandPath() + " --help", Exit: ExitUsage}
}

// Reason words an error for the second line. Of a failed file operation it keeps
// the path and what is the matter with it.
func Reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Path + ": " + path.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}

// Report prints what a command returned and gives the exit code.
func (c *Console) Report(err error) int {
	if err == nil {
		return ExitOK
	}
	p, ok := errors.AsType[*Problem](err)
	switch {
	case ok:
	case errors.Is(err, context.Canceled):
		p = &Problem{What: "interrupted"}
	default:
		p = &Problem{What: err.Error()}
	}
	c.print(p)
	if p.Exit == 0 {
		return ExitFailed
	}
	return p.Exit
}

func (c *Console) print(p *Problem) {
	if c.JSON {
		line, _ := json.Marshal(map[string]*Problem{"error": p}) // strings and a truth value: it cannot fail
		fmt.Fprintf(c.Stderr, "%s\n", line)
		return
	}
	label := "error"
	if p.Security {
		label = "security violation"
	}
	fmt.Fprintf(c.Stderr, "%s: %s\n", label, p.What)
	if p.Why != "" {
		fmt.Fprintf(c.Stderr, "  why:  %s\n", p.Why)
	}
	if p.Next != "" {
		fmt.Fprintf(c.Stderr, "  next: %s\n", p.Next)
	}
}
