package round

import (
	"fmt"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Input is something that happened: a verified message, work done, or time.
type Input interface{ input() }

// PlanLedgered says that the signed plan is about to be in the ledger, in the
// same transaction as the records it gives rise to.
type PlanLedgered struct {
	Envelope statement.Digest
	Leaf     uint64
}

// Withdraw says that a plan that nobody has seen is out of date, such as by a
// new roster.
type Withdraw struct {
	Reason string
}

// Begin is a site's announcement of a contribution whose header verified.
type Begin struct {
	Site             string
	Header, Envelope statement.Digest
}

// Commit says that everything a site's header names is stored.
type Commit struct {
	Site   string
	Header statement.Digest
	Bytes  int64
}

// Whole is Begin and Commit in one: a contribution that came with everything
// that its header names, all of it stored.
type Whole struct {
	Begin
	Bytes int64
}

// Decline is a site's verified refusal to contribute.
type Decline struct {
	Site, Reason string
}

// RequestLedgered is PlanLedgered for the opening request. Where First names
// members, the others are not asked before Patience is over.
type RequestLedgered struct {
	Request, Envelope statement.Digest
	Leaf              uint64
	First             []string // ascending
	Patience          time.Duration
}

// Share is a committee member's verified opening share, stored.
type Share struct {
	Member                   string
	Request, Share, Envelope statement.Digest
	Bytes                    int64
}

// Fault is a committee member's verified report.
type Fault struct {
	Member            string
	Request, Envelope statement.Digest
	Senders           []string
}

// Opened is the result of the Sum job.
type Opened struct {
	Sum statement.Digest
}

// Violated is the Sum job's finding that the round cannot be trusted.
type Violated struct {
	Reason  string
	AtFault []string // provably
	Shares  bool     // the opening shares may be what is wrong
}

// Tick is time passing. Present says which sites have been heard from within
// the presence window. A coordinator that has just started is Settling: who is
// silent may not have had the time to call.
type Tick struct {
	Present  func(site string) bool
	Settling bool
}

// Away says that the coordinator was not there for a while. What time ran out
// for meanwhile is nobody's fault, and as long as no share was given the
// question may be asked again of everybody.
type Away struct{}

func (PlanLedgered) input()    {}
func (Withdraw) input()        {}
func (Begin) input()           {}
func (Commit) input()          {}
func (Whole) input()           {}
func (Decline) input()         {}
func (RequestLedgered) input() {}
func (Share) input()           {}
func (Fault) input()           {}
func (Opened) input()          {}
func (Violated) input()        {}
func (Tick) input()            {}
func (Away) input()            {}

// Refusal says why an input does not count. It changes nothing.
type Refusal struct {
	Code     string // stable
	Message  string
	Security bool // only a deviating party causes it
}

func (r *Refusal) Error() string { return r.Message }

// Codes of refusals.
const (
	CodeNotInvited      = "not-invited"
	CodeNotOnCommittee  = "not-on-committee"
	CodeNotOpenYet      = "round-not-announced"
	CodeTooLate         = "round-moved-on"
	CodeOtherHeader     = "other-contribution-announced"
	CodeNotBegun        = "contribution-not-begun"
	CodeAlreadyCounted  = "contribution-counted"
	CodeAlreadyDeclined = "round-declined"
	CodeOtherRequest    = "other-opening-request"
	CodeNotAsked        = "not-asked-to-open"
	CodeOtherShare      = "other-opening-share"
	CodeNotContributor  = "not-a-contributor"
)

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

func violation(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...), Security: true}
}
