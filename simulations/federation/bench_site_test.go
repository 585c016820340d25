package federation

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/site-agent/outbox"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// benchSite does what an agent does in a round, in the agent's order, with the
// agent's vault and outbox and its connection settings. It leaves out what the
// agent checks about a plan, because the real agent would refuse one that is no
// step of a study; those checks take microseconds.
type benchSite struct {
	*bench
	node   *identity.Node
	conn   *grpc.ClientConn
	site   consiliumv1.SiteServiceClient
	ledger consiliumv1.LedgerServiceClient
	vault  *vault.Vault
	outbox *outbox.Outbox
	values []float64
	seal   siteagent.Sealer

	sealer   identity.Sealer
	unsealer *identity.Unsealer

	waits atomic.Bool // for work
}

func openBenchSite(b *testing.B, dir string, c *bench) *benchSite {
	b.Helper()
	s := &benchSite{bench: c}
	var err error
	s.node, err = identity.OpenNode(filepath.Join(dir, "identity"))
	must(b, err)
	s.unsealer = identity.NewUnsealer(s.node.Keys())
	s.vault, err = vault.Open(filepath.Join(dir, "vault"), time.Now)
	must(b, err)
	b.Cleanup(func() { must(b, s.vault.Close()) })
	s.outbox, err = outbox.Open(filepath.Join(dir, "outbox"), time.Now)
	must(b, err)
	b.Cleanup(func() { must(b, s.outbox.Close()) })
	const window = 8 << 20 // as the agent's uplink
	s.conn, err = grpc.NewClient("passthrough:///"+c.address,
		grpc.WithTransportCredentials(credentials.NewTLS(s.node.ClientTLS(time.Now))),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.WaitForReady(true)))
	must(b, err)
	b.Cleanup(func() { must(b, s.conn.Close()) })
	s.site, s.ledger = consiliumv1.NewSiteServiceClient(s.conn), consiliumv1.NewLedgerServiceClient(s.conn)
	return s
}

func (s *benchSite) sign(kind statement.Kind, v any) ([]byte, error) {
	return statement.Sign(kind, v, s.node.Name(), s.node.Keys().Signing())
}

func (s *benchSite) approve(ctx context.Context, study statement.Digest) error {
	envelope, err := s.sign(statement.KindApproval, statement.Approval{Study: study, Site: s.node.Name(), Approved: true, Time: time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = s.site.DecideStudy(ctx, &consiliumv1.DecideStudyRequest{Approval: envelope})
	return err
}

// work polls and does what there is to do until ctx ends.
func (s *benchSite) work(ctx context.Context) error {
	s.waits.Store(false)
	for revision := ""; ; {
		news, err := s.site.Poll(ctx, &consiliumv1.PollRequest{Revision: revision, RosterNumber: s.node.Rosters().Latest().Number})
		if err != nil {
			return err
		}
		revision = news.GetRevision()
		s.waits.Store(true)
		for _, a := range news.GetAssignments() {
			switch work := a.GetWork().(type) {
			case *consiliumv1.Assignment_Contribute:
				err = s.contribute(ctx, work.Contribute)
			case *consiliumv1.Assignment_Open:
				err = s.open(ctx, work.Open)
			}
			if err != nil {
				return err
			}
		}
	}
}

// recorded does a call between its two lines in the outbox.
func recorded[Q proto.Message, A any](s *benchSite, ctx context.Context, kind outbox.Kind, request Q, call func(context.Context, Q, ...grpc.CallOption) (A, error)) (answer A, err error) {
	id, err := s.outbox.Begin(outbox.Entry{Kind: kind, Bytes: int64(proto.Size(request))})
	if err != nil {
		return answer, err
	}
	if answer, err = call(ctx, request); err != nil {
		return answer, err
	}
	return answer, s.outbox.End(id, "acknowledged")
}

// logged fetches the ledger entry of what the site is asked.
func (s *benchSite) logged(ctx context.Context, index uint64) error {
	_, err := recorded(s, ctx, outbox.Ledger, &consiliumv1.EntriesRequest{Start: index, End: index + 1}, s.ledger.Entries)
	return err
}

func readPlan(envelope []byte) (*statement.Plan, *secagg.Round, error) {
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return nil, nil, err
	}
	plan := new(statement.Plan)
	if err := statement.Decode(payload, plan); err != nil {
		return nil, nil, err
	}
	round, err := secagg.NewRound(plan.RoundSpec())
	return plan, round, err
}

func (s *benchSite) contribute(ctx context.Context, work *consiliumv1.Contribute) error {
	if err := s.logged(ctx, work.GetLedgerIndex()); err != nil {
		return err
	}
	plan, round, err := readPlan(work.GetPlan())
	if err != nil {
		return err
	}
	id := statement.Digest(plan.RoundSpec().ID)
	if known, _ := s.vault.Round(id); known.Receipt != nil {
		return nil
	}
	if err := s.vault.RememberPlan(vault.Plan{Round: id, Question: plan.Question, Study: plan.Study, Step: plan.Step, Epoch: plan.Epoch}); err != nil {
		return err
	}
	c, err := s.vault.Seal(id, func(to *vault.Sealing) ([]byte, error) {
		shares, err := s.seal(round, s.values, func(_ int, chunk []byte) error { return to.Chunk(chunk) })
		if err != nil {
			return nil, err
		}
		return s.header(plan, id, to, shares)
	})
	if err != nil {
		return err
	}
	defer c.Close()
	receipt, err := s.send(ctx, id, c)
	if err != nil {
		return err
	}
	if err := s.vault.RememberReceipt(id, receipt); err != nil {
		return err
	}
	return s.vault.Wipe(id)
}

// header seals the key shares to their members and signs the header.
func (s *benchSite) header(plan *statement.Plan, id statement.Digest, to *vault.Sealing, shares [][]byte) ([]byte, error) {
	for j, share := range shares {
		member, _ := s.node.Rosters().Latest().Member(plan.Committee[j])
		sealed, err := s.sealer.Seal(member.SealingKey, identity.ShareAddress{Study: plan.Study, Round: id, Sender: s.node.Name(), Recipient: member.Name}, share)
		if err != nil {
			return nil, err
		}
		if err := to.Share(sealed); err != nil {
			return nil, err
		}
	}
	return s.sign(statement.KindContributionHeader, statement.ContributionHeader{
		Round: id, Site: s.node.Name(), Chunks: to.Chunks, Shares: append([]statement.Digest{}, to.Shares...), // none in a plain round
	})
}

// send uploads a contribution and returns its receipt.
func (s *benchSite) send(ctx context.Context, id statement.Digest, c *vault.Contribution) ([]byte, error) {
	begun, err := recorded(s, ctx, outbox.Header, &consiliumv1.BeginContributionRequest{Header: c.Header, SealedShares: c.Shares}, s.site.BeginContribution)
	if err != nil {
		return nil, err
	}
	line, err := s.outbox.Begin(outbox.Entry{Kind: outbox.Contribution})
	if err != nil {
		return nil, err
	}
	stream, err := s.site.UploadChunks(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range begun.GetMissing() {
		chunk, err := c.Chunk(int(i))
		if err != nil {
			return nil, err
		}
		if stream.Send(&consiliumv1.UploadChunksRequest{Round: id.String(), Index: i, Chunk: chunk}) != nil {
			break // CloseAndRecv says why
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return nil, err
	}
	if err := s.outbox.End(line, "acknowledged"); err != nil {
		return nil, err
	}
	counted, err := recorded(s, ctx, outbox.Commit, &consiliumv1.CommitContributionRequest{Round: id.String()}, s.site.CommitContribution)
	return counted.GetReceipt(), err
}

func (s *benchSite) open(ctx context.Context, work *consiliumv1.Open) error {
	if err := s.logged(ctx, work.GetLedgerIndex()); err != nil {
		return err
	}
	plan, round, err := readPlan(work.GetPlan())
	if err != nil {
		return err
	}
	id := statement.Digest(plan.RoundSpec().ID)
	_, payload, err := statement.Payload(work.GetRequest())
	if err != nil {
		return err
	}
	var request statement.OpeningRequest
	if err := statement.Decode(payload, &request); err != nil {
		return err
	}
	var shares [][]byte
	for i, sender := range request.Contributors {
		var header statement.ContributionHeader
		if _, err := statement.Open(work.GetHeaders()[i], statement.KindContributionHeader, &header, s.node.Rosters().Latest().KeyOfRole(identity.RoleSite)); err != nil {
			return err
		}
		share, err := s.unsealer.Unseal(identity.ShareAddress{Study: plan.Study, Round: id, Sender: sender, Recipient: s.node.Name()}, work.GetSealedShares()[i])
		if err != nil {
			return fmt.Errorf("the share of %s: %w", sender, err)
		}
		shares = append(shares, share)
	}
	share, err := round.AddShares(shares)
	if err != nil {
		return err
	}
	answer := statement.OpeningShare{Round: id, Member: s.node.Name(), Request: statement.DigestOf(payload), Share: statement.DigestOf(share)}
	signed, err := s.sign(statement.KindOpeningShare, answer)
	if err != nil {
		return err
	}
	if err := s.vault.RememberAnswer(vault.Answer{Round: id, Request: answer.Request, Statement: signed, Share: share}); err != nil {
		return err
	}
	_, err = recorded(s, ctx, outbox.OpeningShare, &consiliumv1.SubmitOpeningShareRequest{Statement: signed, Share: share}, s.site.SubmitOpeningShare)
	return err
}
