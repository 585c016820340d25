package main

import (
	"errors"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// fail is a problem whose reason is another error. What the agent or the
// coordinator said about the reason goes into it.
func fail(what string, why error, next string) error {
	known, explained := siteagent.Explain(why)
	if known.Next != "" {
		next = known.Next
	}
	err := console.Fail(what, why, next)
	if p, ok := errors.AsType[*console.Problem](err); ok && explained {
		p.Code, p.Security = known.Code, p.Security || known.Security
	}
	return err
}
