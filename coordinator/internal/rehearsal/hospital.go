package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/study"
)

// Hospital polls, contributes and opens. What it does wrong is set before Run.
type Hospital struct {
	Name string
	Node *identity.Node
	Site consiliumv1.SiteServiceClient

	Declines       bool // every round
	SkipCollecting bool // never contributes, but polls
	SkipOpening    bool // contributes, but never opens
	BadShares      bool // seals garbage instead of key shares
	BadSharesLater bool // in every round but its first
	WrongOpening   bool // answers with a share that is well formed and wrong

	t      testing.TB
	sealer identity.Sealer
	clock  *Clock
	rows   [][]string
	busy   atomic.Bool // at work, and not only waiting for news
	cured  atomic.Bool // no longer skips collecting
	runs   atomic.Bool // on the net

	mu      sync.Mutex
	made    map[statement.Digest]*Contribution // by round: a site seals once
	ended   map[string]string
	studies map[statement.Digest]*study.Study
	done    string // revision of the work that was done last; empty for none
}

// Contribution is what a hospital sends for a round.
type Contribution struct {
	Round  string
	Header statement.ContributionHeader
	Signed []byte // the header's envelope
	Sealed [][]byte
	Chunks [][]byte
}

// Hospital connects as an enrolled site with made-up patients from a seed.
func (c *Consortium) Hospital(name string, seed uint64) *Hospital {
	c.t.Helper()
	node, conn := c.Connect(name)
	h := &Hospital{
		Name: name, Node: node, Site: consiliumv1.NewSiteServiceClient(conn), t: c.t, clock: c.Clock,
		made: map[statement.Digest]*Contribution{}, ended: map[string]string{}, studies: map[statement.Digest]*study.Study{},
	}
	random := rand.New(rand.NewPCG(seed, 1))
	for range 30 {
		age, variant, sex := random.Float64()*10, "a", "female"
		dose := 20 + 3*age
		if random.IntN(2) == 1 {
			variant, dose = "b", dose-10
		}
		if random.IntN(2) == 1 {
			sex = "male"
		}
		dose += random.NormFloat64()
		h.rows = append(h.rows, []string{strconv.FormatFloat(dose, 'g', -1, 64), strconv.FormatFloat(age, 'g', -1, 64), variant, sex})
	}
	return h
}

// Admit gives the hospital one patient more, before it runs: dose, age, variant and
// sex.
func (h *Hospital) Admit(record []string) { h.rows = append(h.rows, record) }

// Ended says how a round ended, as far as the hospital was told.
func (h *Hospital) Ended(round string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended[round]
}

// Runs reports whether the hospital is on the net.
func (h *Hospital) Runs() bool { return h.runs.Load() }

// Idle reports whether the hospital has done all that the coordinator wants of it
// now, if anything: it asks for that once more, as if it had seen nothing, and
// compares. What it skips is done too.
func (h *Hospital) Idle(ctx context.Context) bool {
	if h.busy.Load() {
		return false
	}
	wanted, err := h.Site.Poll(ctx, &consiliumv1.PollRequest{})
	if err != nil {
		return false
	}
	asked := slices.ContainsFunc(wanted.GetAssignments(), func(a *consiliumv1.Assignment) bool { return a.GetRoundEnded() == nil })
	h.mu.Lock()
	defer h.mu.Unlock()
	return !asked || work(h.done) == work(wanted.GetRevision())
}

// work is the part of a revision that names what is to be done.
func work(revision string) string {
	of, _, _ := strings.Cut(revision, ".")
	return of
}

// did notes the work that was done.
func (h *Hospital) did(revision string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = revision
}

// Contributes ends SkipCollecting while the hospital runs.
func (h *Hospital) Contributes() { h.cured.Store(true) }

// Run works until ctx ends. A coordinator that is away is waited for.
func (h *Hospital) Run(ctx context.Context) {
	h.runs.Store(true)
	defer h.runs.Store(false)
	revision := ""
	var head ledger.Checkpoint
	for ctx.Err() == nil {
		news, err := h.Site.Poll(ctx, &consiliumv1.PollRequest{Revision: revision, LedgerSize: head.Size, Cosignature: h.cosign(head)})
		if err == nil {
			h.busy.Store(true)
			err = h.act(ctx, news)
			if seen, unread := ledger.ParseCheckpoint(news.GetCheckpoint()); unread == nil {
				head = *seen
			}
			h.busy.Store(false)
		}
		if err != nil {
			if ctx.Err() == nil && !passing(err) {
				h.t.Errorf("%s: %v", h.Name, err)
				return
			}
			revision = ""
			h.did(revision)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		revision = news.GetRevision()
		h.did(revision)
	}
}

// cosign cosigns a checkpoint. Whether it extends the last one is not for a
// rehearsal to check.
func (h *Hospital) cosign(head ledger.Checkpoint) []byte {
	if head.Size == 0 {
		return nil
	}
	cosignature, err := ledger.Cosign(head, h.clock.Now(), h.Node.Keys().Signing())
	if err != nil {
		h.t.Errorf("%s: %v", h.Name, err)
	}
	return cosignature
}

// passing reports whether an error is one that waiting may mend, or that comes
// from acting on what a stopped coordinator asked.
func passing(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.FailedPrecondition, codes.Internal:
		return true
	}
	return errors.Is(err, io.EOF)
}

func (h *Hospital) act(ctx context.Context, news *consiliumv1.PollResponse) error {
	for _, roster := range news.GetRosters() {
		if err := h.Node.AppendRoster(roster); err != nil {
			return err
		}
	}
	for _, a := range news.GetAssignments() {
		var err error
		switch work := a.GetWork().(type) {
		case *consiliumv1.Assignment_ReviewStudy:
			err = h.Approve(ctx, work.ReviewStudy.GetProtocol())
		case *consiliumv1.Assignment_Contribute:
			err = h.Contribute(ctx, work.Contribute)
		case *consiliumv1.Assignment_Open:
			err = h.Open(ctx, work.Open)
		case *consiliumv1.Assignment_ReviewRelease:
			err = h.accept(ctx, work.ReviewRelease)
		case *consiliumv1.Assignment_RoundEnded:
			h.mu.Lock()
			h.ended[work.RoundEnded.GetRound()] = work.RoundEnded.GetState()
			h.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Approve approves a study.
func (h *Hospital) Approve(ctx context.Context, protocol []byte) error {
	parsed, err := study.Parse(protocol)
	if err != nil {
		return err
	}
	id := statement.DigestOf(protocol)
	h.mu.Lock()
	h.studies[id] = parsed
	h.mu.Unlock()
	envelope, err := h.Sign(statement.KindApproval, statement.Approval{Study: id, Site: h.Name, Approved: true, Time: h.clock.Now()})
	if err != nil {
		return err
	}
	_, err = h.Site.DecideStudy(ctx, &consiliumv1.DecideStudyRequest{Approval: envelope})
	return err
}

func (h *Hospital) accept(ctx context.Context, work *consiliumv1.ReviewRelease) error {
	_, payload, err := statement.Payload(work.GetRelease())
	if err != nil {
		return err
	}
	envelope, err := h.Sign(statement.KindReleaseDecision, statement.ReleaseDecision{
		Release: statement.DigestOf(payload), Site: h.Name, Accepted: true, Time: h.clock.Now(),
	})
	if err != nil {
		return err
	}
	_, err = h.Site.DecideRelease(ctx, &consiliumv1.DecideReleaseRequest{Decision: envelope})
	return err
}

// Contribute answers a plan; again with the same bytes when asked again.
func (h *Hospital) Contribute(ctx context.Context, work *consiliumv1.Contribute) error {
	plan, round, err := ReadPlan(work.GetPlan())
	if err != nil || h.SkipCollecting && !h.cured.Load() {
		return err
	}
	id := plan.RoundSpec().ID
	if h.Declines {
		envelope, err := h.Sign(statement.KindDecline, statement.Decline{Round: id, Site: h.Name, Reason: statement.NoUsableRecords})
		if err != nil {
			return err
		}
		_, err = h.Site.DeclineRound(ctx, &consiliumv1.DeclineRoundRequest{Decline: envelope})
		return err
	}
	made, err := h.Seal(plan, round, work.GetParameters())
	if err != nil {
		return err
	}
	announced := &consiliumv1.BeginContributionRequest{Header: made.Signed, SealedShares: made.Sealed}
	if h.bringsAll() {
		announced.Chunks = made.Chunks
	}
	begun, err := h.Site.BeginContribution(ctx, announced)
	if err != nil {
		return err
	}
	if receipt := begun.GetReceipt(); receipt != nil {
		return h.checkReceipt(receipt, id, made)
	}
	if missing := begun.GetMissing(); len(missing) > 0 {
		stream, err := h.Site.UploadChunks(ctx)
		if err != nil {
			return err
		}
		for _, i := range missing {
			if err := stream.Send(&consiliumv1.UploadChunksRequest{Round: id2hex(id), Index: i, Chunk: made.Chunks[i]}); err != nil {
				break // CloseAndRecv has the reason
			}
		}
		if _, err := stream.CloseAndRecv(); err != nil {
			return err
		}
	}
	first, err := h.Site.CommitContribution(ctx, &consiliumv1.CommitContributionRequest{Round: id2hex(id)})
	if err != nil {
		return err
	}
	return h.checkReceipt(first.GetReceipt(), id, made)
}

// bringsAll says whether the hospital sends a contribution in one call: every
// other hospital does, so that a consortium does both.
func (h *Hospital) bringsAll() bool { return h.Name[len(h.Name)-1]%2 == 0 }

func (h *Hospital) checkReceipt(signed []byte, id statement.Digest, made *Contribution) error {
	var receipt statement.Receipt
	if _, err := statement.Open(signed, statement.KindReceipt, &receipt, h.Node.Rosters().Latest().KeyOfRole(identity.RoleCoordinator)); err != nil {
		return err
	}
	payload, err := statement.Encode(made.Header)
	if err != nil {
		return err
	}
	if receipt.Header != statement.DigestOf(payload) || receipt.Site != h.Name || receipt.Round != id {
		return fmt.Errorf("the receipt is for something else")
	}
	return nil
}

// Seal makes the contribution to a round, once; after that it is the same.
func (h *Hospital) Seal(plan *statement.Plan, round *secagg.Round, parameters []byte) (*Contribution, error) {
	id := plan.RoundSpec().ID
	h.mu.Lock()
	made, s := h.made[id], h.studies[plan.Study]
	h.mu.Unlock()
	if made != nil {
		return made, nil
	}
	builder, err := s.NewBuilder([]string{"dose", "age", "variant", "sex"})
	if err != nil {
		return nil, err
	}
	for _, row := range h.rows {
		builder.Add(row)
	}
	values, err := pipeline.Answer(s, plan.Step, parameters, pipeline.Site{Name: study.SiteID(h.Name), Records: builder.Matrix()})
	if err != nil {
		return nil, err
	}
	plain, err := round.Seal(values)
	if err != nil {
		return nil, err
	}
	header := statement.ContributionHeader{Round: id, Site: h.Name}
	made = &Contribution{Round: id2hex(id), Chunks: plain.Chunks}
	for _, chunk := range plain.Chunks {
		header.Chunks = append(header.Chunks, statement.DigestOf(chunk))
	}
	// A newer roster may be here already, without a member of the committee.
	roster, known := h.Node.Rosters().At(plan.Roster)
	if !known {
		return nil, errors.New("the plan's roster is not here")
	}
	h.mu.Lock()
	garbage := h.BadShares || h.BadSharesLater && len(h.made) > 0
	h.mu.Unlock()
	for j, share := range plain.Shares {
		recipient, _ := roster.Member(plan.Committee[j])
		if garbage {
			share = []byte("not a key share")
		}
		sealed, err := h.sealer.Seal(recipient.SealingKey, identity.ShareAddress{Study: plan.Study, Round: id, Sender: h.Name, Recipient: recipient.Name}, share)
		if err != nil {
			return nil, err
		}
		made.Sealed = append(made.Sealed, sealed)
		header.Shares = append(header.Shares, statement.DigestOf(sealed))
	}
	made.Header = header
	made.Signed, err = h.Sign(statement.KindContributionHeader, header)
	h.mu.Lock()
	h.made[id] = made
	h.mu.Unlock()
	return made, err
}

// Open answers an opening request, or reports whose share does not open.
func (h *Hospital) Open(ctx context.Context, work *consiliumv1.Open) error {
	if h.SkipOpening {
		return nil
	}
	plan, round, err := ReadPlan(work.GetPlan())
	if err != nil {
		return err
	}
	_, payload, err := statement.Payload(work.GetRequest())
	if err != nil {
		return err
	}
	var request statement.OpeningRequest
	if err := statement.Decode(payload, &request); err != nil {
		return err
	}
	id := plan.RoundSpec().ID
	var shares [][]byte
	var bad []string
	unsealer := identity.NewUnsealer(h.Node.Keys())
	for i, sender := range request.Contributors {
		share, err := unsealer.Unseal(identity.ShareAddress{Study: plan.Study, Round: id, Sender: sender, Recipient: h.Name}, work.GetSealedShares()[i])
		if err != nil || round.CheckShare(share) != nil {
			bad = append(bad, sender)
		}
		shares = append(shares, share)
	}
	if len(bad) > 0 {
		envelope, err := h.Sign(statement.KindOpeningFault, statement.OpeningFault{Round: id, Member: h.Name, Request: statement.DigestOf(payload), Senders: bad})
		if err != nil {
			return err
		}
		_, err = h.Site.ReportOpeningFault(ctx, &consiliumv1.ReportOpeningFaultRequest{Fault: envelope})
		return err
	}
	sum, err := round.AddShares(shares)
	if err != nil {
		return err
	}
	if h.WrongOpening {
		sum[0] ^= 1
	}
	envelope, err := h.Sign(statement.KindOpeningShare, statement.OpeningShare{
		Round: id, Member: h.Name, Request: statement.DigestOf(payload), Share: statement.DigestOf(sum),
	})
	if err != nil {
		return err
	}
	_, err = h.Site.SubmitOpeningShare(ctx, &consiliumv1.SubmitOpeningShareRequest{Statement: envelope, Share: sum}, grpc.WaitForReady(true))
	return err
}

// Sign signs a statement as the hospital.
func (h *Hospital) Sign(kind statement.Kind, v any) ([]byte, error) {
	return statement.Sign(kind, v, h.Name, h.Node.Keys().Signing())
}

// ReadPlan reads a plan without the checks that a site agent makes.
func ReadPlan(envelope []byte) (*statement.Plan, *secagg.Round, error) {
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return nil, nil, err
	}
	var plan statement.Plan
	if err := statement.Decode(payload, &plan); err != nil {
		return nil, nil, err
	}
	round, err := secagg.NewRound(plan.RoundSpec())
	return &plan, round, err
}

func id2hex(id [32]byte) string { return statement.Digest(id).String() }
