package siteagent

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// coordinator is a coordinator for the agent's tests: real identities, ledger,
// cryptography and wire, over loopback, without a round machine or a disk. A
// test drives it step by step and can make it lie.
type coordinator struct {
	consiliumv1.UnimplementedSiteServiceServer
	consiliumv1.UnimplementedLedgerServiceServer
	consiliumv1.UnimplementedMembershipServiceServer
	consiliumv1.UnimplementedEnrollmentServiceServer

	t          *testing.T
	node       *identity.Node
	governance *identity.Governance
	address    string
	server     *grpc.Server

	mu       sync.Mutex
	log      *ledger.Log
	changed  chan struct{}
	revision int
	work     map[string]map[string]*consiliumv1.Assignment // by site, by name
	enrolled map[string][]byte

	approvals map[string]statement.Approval
	declines  map[string]statement.Decline
	headers   map[string]map[string][]byte   // by round, by site
	sealed    map[string]map[string][][]byte // by round, by site
	chunks    map[statement.Digest][]byte
	counted   map[string]map[string]bool
	answers   map[string]map[string][][]byte // by round, by member: statement and share, as received, each time
	faults    map[string]statement.OpeningFault
	releases  map[string]statement.ReleaseDecision

	loseReceipts, loseShares int  // how many answers get lost on their way back
	breakUploads             int  // how many uploads break off after a chunk
	holdUploads              bool // uploads stand still after a chunk
	heldUploads              int
	forgetChunks             bool // only that a chunk came is kept of it
	otherHeaders             int  // how often a second contribution was begun
	falseRoster              []byte
	refuses                  string // the code of the problem that every poll ends in
	clock                    func() time.Time
	slow                     atomic.Int64 // nanoseconds that every call takes
}

func newCoordinator(t *testing.T) *coordinator {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	spec := identity.InitSpec{
		Consortium: "test", CoordinatorAddress: listener.Addr().String(), Now: time.Now(),
		GovernanceDir: filepath.Join(dir, "governance"), CoordinatorDir: filepath.Join(dir, "coordinator"),
	}
	if err := identity.InitConsortium(spec); err != nil {
		t.Fatal(err)
	}
	c := &coordinator{
		t: t, clock: time.Now, address: listener.Addr().String(), changed: make(chan struct{}),
		work: map[string]map[string]*consiliumv1.Assignment{}, enrolled: map[string][]byte{},
		approvals: map[string]statement.Approval{}, declines: map[string]statement.Decline{},
		headers: map[string]map[string][]byte{}, sealed: map[string]map[string][][]byte{}, chunks: map[statement.Digest][]byte{},
		counted: map[string]map[string]bool{}, answers: map[string]map[string][][]byte{}, faults: map[string]statement.OpeningFault{},
		releases: map[string]statement.ReleaseDecision{},
	}
	if c.governance, err = identity.OpenGovernance(spec.GovernanceDir); err != nil {
		t.Fatal(err)
	}
	if c.node, err = identity.OpenNode(spec.CoordinatorDir); err != nil {
		t.Fatal(err)
	}
	c.log = ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())
	c.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(c.node.ServerTLS(c.now))), grpc.MaxRecvMsgSize(64<<20))
	consiliumv1.RegisterSiteServiceServer(c.server, c)
	consiliumv1.RegisterLedgerServiceServer(c.server, c)
	consiliumv1.RegisterMembershipServiceServer(c.server, c)
	consiliumv1.RegisterEnrollmentServiceServer(c.server, c)
	served := make(chan struct{})
	go func() {
		c.server.Serve(listener)
		close(served)
	}()
	t.Cleanup(func() {
		c.server.Stop()
		<-served
	})
	return c
}

func (c *coordinator) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock()
}

// enrol makes a site a member and returns its state directory.
func (c *coordinator) enrol(names ...string) (dirs []string) {
	c.t.Helper()
	done := make(chan error, len(names))
	for _, name := range names {
		token, err := c.governance.Invite(name, identity.RoleSite, time.Hour, time.Now())
		if err != nil {
			c.t.Fatal(err)
		}
		dir := c.t.TempDir()
		dirs = append(dirs, dir)
		go func() {
			_, err := Enroll(c.t.Context(), EnrolOptions{Dir: dir, Token: token})
			done <- err
		}()
	}
	deadline := time.Now().Add(20 * time.Second)
	for c.pending() < len(names) {
		if time.Now().After(deadline) {
			c.t.Fatal("the newcomers do not enrol")
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.admit()
	for range names {
		if err := <-done; err != nil {
			c.t.Fatal(err)
		}
	}
	return dirs
}

func (c *coordinator) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.enrolled)
}

func (c *coordinator) admit() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var envelopes [][]byte
	for _, e := range c.enrolled {
		envelopes = append(envelopes, e)
	}
	clear(c.enrolled)
	roster, err := c.governance.Admit(envelopes, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.node.AppendRoster(roster); err != nil {
		c.t.Fatal(err)
	}
	c.notify()
}

// notify wakes every poll. The caller holds mu.
func (c *coordinator) notify() {
	c.revision++
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *coordinator) assign(name string, a *consiliumv1.Assignment, sites ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, site := range sites {
		if c.work[site] == nil {
			c.work[site] = map[string]*consiliumv1.Assignment{}
		}
		c.work[site][name] = a
	}
	c.notify()
}

func (c *coordinator) withdraw(name string, sites ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, site := range sites {
		delete(c.work[site], name)
	}
	c.notify()
}

func (c *coordinator) caller(ctx context.Context) (string, error) {
	time.Sleep(time.Duration(c.slow.Load()))
	p, _ := peer.FromContext(ctx)
	m, err := identity.PeerMember(p.AuthInfo.(credentials.TLSInfo).State, c.node.Rosters().Latest(), c.now())
	if err != nil {
		return "", status.Error(codes.Unauthenticated, err.Error())
	}
	return m.Name, nil
}

// append puts an envelope into the ledger. The caller holds mu.
func (c *coordinator) append(kind string, study, round statement.Digest, envelope []byte, actor string) uint64 {
	e := ledger.Entry{Time: time.Now(), Type: kind, Study: study.String(), Subject: statement.DigestOf(envelope), Actor: actor}
	if !round.IsZero() {
		e.Round = round.String()
	}
	leaf, err := e.Leaf()
	if err != nil {
		c.t.Error(err)
	}
	index, err := c.log.Append(leaf)
	if err != nil {
		c.t.Error(err)
	}
	return index
}

func (c *coordinator) sign(kind statement.Kind, v any) []byte {
	c.t.Helper()
	envelope, err := statement.Sign(kind, v, c.node.Name(), c.node.Keys().Signing())
	if err != nil {
		c.t.Fatal(err)
	}
	return envelope
}

func (c *coordinator) Enroll(_ context.Context, q *consiliumv1.EnrollRequest) (*consiliumv1.EnrollResponse, error) {
	e, err := identity.OpenEnrolment(q.Enrolment)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enrolled[e.Name] = q.Enrolment
	return &consiliumv1.EnrollResponse{}, nil
}

func (c *coordinator) Admission(ctx context.Context, q *consiliumv1.AdmissionRequest) (*consiliumv1.AdmissionResponse, error) {
	e, err := identity.OpenEnrolment(q.Enrolment)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if m, ok := c.node.Rosters().Latest().Member(e.Name); ok {
			certificate, err := c.node.IssueCertificate(e.CertificateRequest, m, c.now(), 0)
			if err != nil {
				return nil, status.Error(codes.Internal, err.Error())
			}
			return &consiliumv1.AdmissionResponse{Admitted: true, Certificate: certificate, Rosters: c.node.Rosters().Envelopes()}, nil
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond):
			return &consiliumv1.AdmissionResponse{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *coordinator) RenewCertificate(ctx context.Context, q *consiliumv1.RenewCertificateRequest) (*consiliumv1.RenewCertificateResponse, error) {
	name, err := c.caller(ctx)
	if err != nil {
		return nil, err
	}
	m, _ := c.node.Rosters().Latest().Member(name)
	certificate, err := c.node.IssueCertificate(q.CertificateRequest, m, c.now(), 0)
	return &consiliumv1.RenewCertificateResponse{Certificate: certificate}, err
}

// refusal is a security violation that the coordinator reports, if it does.
func (c *coordinator) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses == "" {
		return nil
	}
	s, err := status.New(codes.FailedPrecondition, "refused").WithDetails(&consiliumv1.Error{Code: c.refuses, What: "refused", Why: "another ledger", Next: "stop", Security: true})
	if err != nil {
		return err
	}
	return s.Err()
}

func (c *coordinator) Poll(ctx context.Context, q *consiliumv1.PollRequest) (*consiliumv1.PollResponse, error) {
	name, err := c.caller(ctx)
	if err != nil {
		return nil, err
	}
	if problem := c.refusal(); problem != nil {
		return nil, problem
	}
	expired := time.After(2 * time.Second)
	for {
		c.mu.Lock()
		changed := c.changed
		revision := hex.EncodeToString([]byte{byte(c.revision >> 8), byte(c.revision)})
		if revision == q.Revision {
			c.mu.Unlock()
			select {
			case <-changed:
				continue
			case <-expired:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			c.mu.Lock()
		}
		defer c.mu.Unlock()
		r := &consiliumv1.PollResponse{Revision: revision, Rosters: c.node.Rosters().Envelopes()[q.RosterNumber:]}
		if c.falseRoster != nil {
			r.Rosters = [][]byte{c.falseRoster}
		}
		if r.Checkpoint, err = c.log.Checkpoint(c.node.Keys().Signing()); err != nil {
			return nil, err
		}
		size, _ := c.log.Size()
		proof, err := c.log.Consistency(q.LedgerSize, size)
		if err != nil {
			return nil, status.Error(codes.FailedPrecondition, err.Error())
		}
		r.Consistency = ledger.FormatProof(proof)
		for _, a := range c.work[name] {
			r.Assignments = append(r.Assignments, c.prove(a, size))
		}
		return r, nil
	}
}

// prove adds the inclusion proofs for the checkpoint of this answer.
func (c *coordinator) prove(a *consiliumv1.Assignment, size uint64) *consiliumv1.Assignment {
	proof := func(index uint64) [][]byte {
		p, err := c.log.Inclusion(index, size)
		if err != nil {
			c.t.Error(err)
		}
		return ledger.FormatProof(p)
	}
	switch w := a.Work.(type) {
	case *consiliumv1.Assignment_Contribute:
		x := w.Contribute
		return &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Contribute{Contribute: &consiliumv1.Contribute{
			Plan: x.Plan, Parameters: x.Parameters, LedgerIndex: x.LedgerIndex, Inclusion: proof(x.LedgerIndex)}}}
	case *consiliumv1.Assignment_Open:
		x := w.Open
		return &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Open{Open: &consiliumv1.Open{
			Plan: x.Plan, Request: x.Request, Headers: x.Headers, SealedShares: x.SealedShares, LedgerIndex: x.LedgerIndex, Inclusion: proof(x.LedgerIndex)}}}
	}
	return a
}

func (c *coordinator) Entries(_ context.Context, q *consiliumv1.EntriesRequest) (*consiliumv1.EntriesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaves, err := c.log.Leaves(q.Start, q.End)
	return &consiliumv1.EntriesResponse{Entries: leaves}, err
}

// received opens a member's statement.
func received[S any](c *coordinator, ctx context.Context, kind statement.Kind, envelope []byte) (name string, s S, err error) {
	if name, err = c.caller(ctx); err != nil {
		return name, s, err
	}
	roster := c.node.Rosters().Latest()
	_, err = statement.Open(envelope, kind, &s, func(keyid string) (ed25519.PublicKey, error) {
		if keyid != name {
			return nil, errors.New("in another's name")
		}
		return roster.KeyOf(keyid)
	})
	if err != nil {
		return name, s, status.Error(codes.InvalidArgument, err.Error())
	}
	return name, s, nil
}

func (c *coordinator) DecideStudy(ctx context.Context, q *consiliumv1.DecideStudyRequest) (*consiliumv1.DecideStudyResponse, error) {
	name, s, err := received[statement.Approval](c, ctx, statement.KindApproval, q.Approval)
	if err != nil {
		return nil, err
	}
	c.withdraw("study", name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.approvals[name] = s
	return &consiliumv1.DecideStudyResponse{}, nil
}

func (c *coordinator) DeclineRound(ctx context.Context, q *consiliumv1.DeclineRoundRequest) (*consiliumv1.DeclineRoundResponse, error) {
	name, s, err := received[statement.Decline](c, ctx, statement.KindDecline, q.Decline)
	if err != nil {
		return nil, err
	}
	c.withdraw("contribute", name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.declines[name] = s
	return &consiliumv1.DeclineRoundResponse{}, nil
}

func (c *coordinator) BeginContribution(ctx context.Context, q *consiliumv1.BeginContributionRequest) (*consiliumv1.BeginContributionResponse, error) {
	name, h, err := received[statement.ContributionHeader](c, ctx, statement.KindContributionHeader, q.Header)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	round := h.Round.String()
	if before := c.headers[round][name]; before != nil && string(before) != string(q.Header) {
		c.otherHeaders++
		return nil, status.Error(codes.FailedPrecondition, "another contribution was begun")
	}
	if c.headers[round] == nil {
		c.headers[round], c.sealed[round], c.counted[round] = map[string][]byte{}, map[string][][]byte{}, map[string]bool{}
	}
	c.headers[round][name], c.sealed[round][name] = q.Header, q.SealedShares
	r := &consiliumv1.BeginContributionResponse{Counted: c.counted[round][name]}
	for i, chunk := range h.Chunks {
		if c.chunks[chunk] == nil {
			r.Missing = append(r.Missing, uint32(i))
		}
	}
	return r, nil
}

func (c *coordinator) UploadChunks(stream grpc.ClientStreamingServer[consiliumv1.UploadChunksRequest, consiliumv1.UploadChunksResponse]) error {
	var n uint32
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&consiliumv1.UploadChunksResponse{Stored: n})
		}
		if err != nil {
			return err
		}
		c.mu.Lock()
		name := statement.DigestOf(q.Chunk)
		c.chunks[name] = q.Chunk
		if c.forgetChunks {
			c.chunks[name] = []byte{}
		}
		broken, held := c.breakUploads > 0, c.holdUploads
		if broken {
			c.breakUploads--
		}
		if held {
			c.heldUploads++
		}
		c.mu.Unlock()
		if held {
			<-stream.Context().Done()
			return stream.Context().Err()
		}
		n++
		if broken {
			return status.Error(codes.Unavailable, "broken off")
		}
	}
}

func (c *coordinator) CommitContribution(ctx context.Context, q *consiliumv1.CommitContributionRequest) (*consiliumv1.CommitContributionResponse, error) {
	name, err := c.caller(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, payload, err := statement.Payload(c.headers[q.Round][name])
	if err != nil {
		return nil, err
	}
	round, _ := statement.ParseDigest(q.Round)
	if !c.counted[q.Round][name] {
		c.append(ledger.TypeContribution, round, round, c.headers[q.Round][name], name)
	}
	c.counted[q.Round][name] = true
	delete(c.work[name], "contribute")
	c.notify()
	if c.loseReceipts > 0 {
		c.loseReceipts--
		return nil, status.Error(codes.Unavailable, "lost on the way back")
	}
	return &consiliumv1.CommitContributionResponse{Receipt: c.sign(statement.KindReceipt, statement.Receipt{Round: round, Site: name, Header: statement.DigestOf(payload)})}, nil
}

func (c *coordinator) SubmitOpeningShare(ctx context.Context, q *consiliumv1.SubmitOpeningShareRequest) (*consiliumv1.SubmitOpeningShareResponse, error) {
	name, s, err := received[statement.OpeningShare](c, ctx, statement.KindOpeningShare, q.Statement)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	round := s.Round.String()
	if c.answers[round] == nil {
		c.answers[round] = map[string][][]byte{}
	}
	c.answers[round][name] = append(c.answers[round][name], q.Statement, q.Share)
	if c.loseShares > 0 {
		c.loseShares--
		return nil, status.Error(codes.Unavailable, "lost on the way back")
	}
	c.append(ledger.TypeOpeningShare, s.Round, s.Round, q.Statement, name)
	delete(c.work[name], "open")
	c.notify()
	return &consiliumv1.SubmitOpeningShareResponse{}, nil
}

func (c *coordinator) ReportOpeningFault(ctx context.Context, q *consiliumv1.ReportOpeningFaultRequest) (*consiliumv1.ReportOpeningFaultResponse, error) {
	name, s, err := received[statement.OpeningFault](c, ctx, statement.KindOpeningFault, q.Fault)
	if err != nil {
		return nil, err
	}
	c.withdraw("open", name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[name] = s
	return &consiliumv1.ReportOpeningFaultResponse{}, nil
}

func (c *coordinator) DecideRelease(ctx context.Context, q *consiliumv1.DecideReleaseRequest) (*consiliumv1.DecideReleaseResponse, error) {
	name, s, err := received[statement.ReleaseDecision](c, ctx, statement.KindReleaseDecision, q.Decision)
	if err != nil {
		return nil, err
	}
	c.withdraw("release", name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releases[name] = s
	return &consiliumv1.DecideReleaseResponse{}, nil
}

// eventually waits for a condition on the coordinator's state.
func (c *coordinator) eventually(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		c.mu.Lock()
		ok := condition()
		c.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
