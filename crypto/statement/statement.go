// Package statement holds every fact that someone signs: invitations answered,
// plans, contribution headers, opening requests and shares, round ends,
// approvals, releases and decisions about them.
//
// A statement is a small JSON object in exactly one encoding: fields in the
// order of the Go struct, no unknown fields, no insignificant space. Decode
// refuses every other spelling, so that no two byte strings mean the same
// statement and a digest names one fact. It travels inside a DSSE envelope
// (github.com/secure-systems-lab/dsse, protocol v1) whose payload type is the
// statement's kind; the signature covers the kind and the bytes.
//
// A statement never carries anything that depends on one site's records other
// than digests of ciphertext.
package statement

import (
	"time"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// Kind is a DSSE payload type. It separates the domains of signatures: a
// signature on one kind is worthless on another.
type Kind string

const (
	KindRoster             Kind = "application/vnd.consilium.roster.v1+json"
	KindEnrolment          Kind = "application/vnd.consilium.enrolment.v1+json"
	KindProposal           Kind = "application/vnd.consilium.proposal.v1+json"
	KindStart              Kind = "application/vnd.consilium.start.v1+json"
	KindApproval           Kind = "application/vnd.consilium.approval.v1+json"
	KindPlan               Kind = "application/vnd.consilium.plan.v1+json"
	KindDecline            Kind = "application/vnd.consilium.decline.v1+json"
	KindContributionHeader Kind = "application/vnd.consilium.contribution-header.v1+json"
	KindReceipt            Kind = "application/vnd.consilium.receipt.v1+json"
	KindOpeningRequest     Kind = "application/vnd.consilium.opening-request.v1+json"
	KindOpeningShare       Kind = "application/vnd.consilium.opening-share.v1+json"
	KindOpeningFault       Kind = "application/vnd.consilium.opening-fault.v1+json"
	KindRoundEnd           Kind = "application/vnd.consilium.round-end.v1+json"
	KindStudyEnd           Kind = "application/vnd.consilium.study-end.v1+json"
	KindAudit              Kind = "application/vnd.consilium.audit.v1+json"
	KindRelease            Kind = "application/vnd.consilium.release.v1+json"
	KindReleaseOverride    Kind = "application/vnd.consilium.release-override.v1+json"
	KindReleaseDecision    Kind = "application/vnd.consilium.release-decision.v1+json"
	KindCard               Kind = "application/vnd.consilium.card.v1+json"
)

// Enrolment is a newcomer's request to be put on the roster, signed by the
// signing key it carries (which proves possession of it).
type Enrolment struct {
	TokenDigest        Digest `json:"token_digest"` // SHA-256 of the invitation token
	Name               string `json:"name"`
	Role               string `json:"role"`
	SigningKey         []byte `json:"signing_key"`           // Ed25519 public key, 32 bytes
	SealingKey         []byte `json:"sealing_key,omitempty"` // HPKE ML-KEM-768+P-256 public key, sites only
	CertificateRequest []byte `json:"certificate_request"`   // PKCS #10, DER
}

// Proposal binds a researcher to a study.
type Proposal struct {
	Study      Digest    `json:"study"` // SHA-256 of the protocol file
	Researcher string    `json:"researcher"`
	Time       time.Time `json:"time"`
}

// Start asks for a study's rounds to begin.
type Start struct {
	Study      Digest    `json:"study"`
	Researcher string    `json:"researcher"`
	Time       time.Time `json:"time"`
}

// Approval is a site's yes or no to a study.
type Approval struct {
	Study    Digest    `json:"study"`
	Site     string    `json:"site"`
	Approved bool      `json:"approved"`
	Reason   string    `json:"reason,omitempty"` // for a refusal; never derived from records
	Time     time.Time `json:"time"`
}

// Plan fixes a round. SHA-256 of its encoding is the round id.
type Plan struct {
	Study               Digest         `json:"study"`
	Step                string         `json:"step"`           // of the computation, such as glm/gram
	Parameters          Digest         `json:"parameters"`     // SHA-256 of the step's public parameters
	Epoch               string         `json:"epoch"`          // cohort epoch: names the freeze of the records
	Question            Digest         `json:"question"`       // QuestionDigest of this plan
	Roster              Digest         `json:"roster"`         // of the signed roster's payload
	Invited             []string       `json:"invited"`        // sites, in ascending order
	Draw                *Draw          `json:"draw,omitempty"` // of the committee, where more than MaxCommittee sites are invited
	Committee           []string       `json:"committee"`      // invited sites, in ascending order; member j holds Shamir point j+1
	Threshold           int            `json:"threshold"`
	MinimumContributors int            `json:"minimum_contributors"`
	Layout              []secagg.Field `json:"layout"`
	Suite               string         `json:"suite"`
	Issued              time.Time      `json:"issued"`
	CollectUntil        time.Time      `json:"collect_until"`
	OpenUntil           time.Time      `json:"open_until"`
	Nonce               string         `json:"nonce"` // 16 random bytes, hex
}

// Decline says that an invited site will not contribute.
type Decline struct {
	Round  Digest `json:"round"`
	Site   string `json:"site"`
	Reason string `json:"reason"` // a fixed sentence; never derived from records
}

// ContributionHeader binds a site to the ciphertext and the sealed key shares
// of its contribution.
type ContributionHeader struct {
	Round  Digest   `json:"round"`
	Site   string   `json:"site"`
	Chunks []Digest `json:"chunks"` // SHA-256 of each ciphertext chunk
	Shares []Digest `json:"shares"` // SHA-256 of each sealed share, in committee order
}

// Receipt is the coordinator's word that a contribution is complete and counts.
type Receipt struct {
	Round  Digest `json:"round"`
	Site   string `json:"site"`
	Header Digest `json:"header"` // of the header's payload
}

// OpeningRequest fixes the one set of contributions that may be opened.
type OpeningRequest struct {
	Round        Digest   `json:"round"`
	Contributors []string `json:"contributors"` // ascending
	Headers      []Digest `json:"headers"`      // of each contributor's header payload
}

// OpeningShare is a committee member's answer to an opening request.
type OpeningShare struct {
	Round   Digest `json:"round"`
	Member  string `json:"member"`
	Request Digest `json:"request"` // of the opening request's payload
	Share   Digest `json:"share"`   // SHA-256 of the share's bytes
}

// OpeningFault names the senders whose sealed shares do not open.
type OpeningFault struct {
	Round   Digest   `json:"round"`
	Member  string   `json:"member"`
	Request Digest   `json:"request"`
	Senders []string `json:"senders"`
}

// RoundEnd is the coordinator's signed account of how a round ended.
type RoundEnd struct {
	Round        Digest   `json:"round"`
	Question     Digest   `json:"question"`
	State        string   `json:"state"` // published | abandoned | failed-integrity
	Reason       string   `json:"reason,omitempty"`
	Contributors []string `json:"contributors,omitempty"`
	Request      *Digest  `json:"request,omitempty"` // opening request, if one was made
	Openers      []string `json:"openers,omitempty"`
	Missing      []string `json:"missing,omitempty"`
	AtFault      []string `json:"at_fault,omitempty"` // provably: a share that does not open, a digest that does not match
	SharesGiven  bool     `json:"shares_given"`       // whether any opening share was given
	Sum          *Digest  `json:"sum,omitempty"`      // of the opened sum's canonical bytes
}

// StudyEnd is the coordinator's signed account of why a study ended without a
// release.
type StudyEnd struct {
	Study  Digest    `json:"study"`
	State  string    `json:"state"` // diagnosed | failed
	Reason string    `json:"reason"`
	Result *Digest   `json:"result,omitempty"` // what was found before a diagnosis, JSON
	Time   time.Time `json:"time"`
}

// Release is a model offered to the sites.
type Release struct {
	Study  Digest          `json:"study"`
	Roster Digest          `json:"roster"`
	Rounds []ReleasedRound `json:"rounds"` // every published round, in order
	Audit  Digest          `json:"audit"`  // of the audit report's payload
	Model  Digest          `json:"model"`  // of Body
	Body   []byte          `json:"body"`   // the model, JSON
	// Gate is what the study's criteria make of the release, as its audit says it;
	// left out where the study declares none. Of one that they block, Override
	// names the payload of the statement that has it offered all the same.
	Gate     string    `json:"gate,omitempty"`
	Override *Digest   `json:"override,omitempty"`
	Time     time.Time `json:"time"`
}

// ReleaseOverride is an auditor's word that a release which the study's criteria
// block be offered to the hospitals all the same.
type ReleaseOverride struct {
	Study   Digest    `json:"study"`
	Audit   Digest    `json:"audit"` // of the payload of the bias audit whose decision it overrides
	Gate    string    `json:"gate"`  // that decision
	Auditor string    `json:"auditor"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// Card is a researcher's word that a file is the model card of a release.
type Card struct {
	Study      Digest    `json:"study"`
	Release    Digest    `json:"release"` // of the release's payload
	Format     string    `json:"format"`  // such as markdown
	Card       Digest    `json:"card"`    // of the file
	Researcher string    `json:"researcher"`
	Time       time.Time `json:"time"`
}

// ReleasedRound lets a site check its own part in a release.
type ReleasedRound struct {
	Round        Digest   `json:"round"`
	Step         string   `json:"step"`
	Contributors []string `json:"contributors"`
	Headers      []Digest `json:"headers"` // of each contributor's header payload
	Sum          Digest   `json:"sum"`
}

// ReleaseDecision is a site's yes or no to a release.
type ReleaseDecision struct {
	Release  Digest    `json:"release"` // of the release's payload
	Site     string    `json:"site"`
	Accepted bool      `json:"accepted"`
	Reason   string    `json:"reason,omitempty"` // never derived from records
	Time     time.Time `json:"time"`
}
