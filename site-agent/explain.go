package siteagent

import (
	"errors"

	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// Explanation is what an error says to a person beyond its text.
type Explanation struct {
	Code     string // stable
	Next     string // what to do, where the coordinator said
	Security bool
}

// Explain finds an error's explanation.
func Explain(err error) (Explanation, bool) {
	if remote, ok := errors.AsType[*uplink.Error](err); ok {
		return Explanation{remote.Code, remote.Next, remote.Security}, true
	}
	if refusal, ok := errors.AsType[*participant.Refusal](err); ok {
		return Explanation{Code: refusal.Code, Security: refusal.Security}, true
	}
	return Explanation{}, false
}
