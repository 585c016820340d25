package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	merkle "github.com/consilium-fl/consilium/crypto/ledger"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// maxUploads bounds the chunks of one upload stream; a site opens another.
const maxUploads = 1 << 16

type site struct {
	consiliumv1.UnimplementedSiteServiceServer
	driver *driver.Driver
}

func (s *site) Poll(ctx context.Context, req *consiliumv1.PollRequest) (*consiliumv1.PollResponse, error) {
	if len(req.GetCosignature()) > 0 {
		if err := s.driver.Cosigned(caller(ctx).Name, req.GetLedgerSize(), req.GetCosignature()); err != nil {
			return nil, err
		}
	}
	p, err := s.driver.Poll(ctx, caller(ctx).Name, driver.PollRequest{
		Revision: req.GetRevision(), LedgerSize: req.GetLedgerSize(), RosterNumber: req.GetRosterNumber(), EntriesRead: req.GetEntriesRead(),
	})
	if err != nil {
		return nil, err
	}
	resp := &consiliumv1.PollResponse{
		Revision: p.Revision, Rosters: p.Rosters,
		Checkpoint: p.Checkpoint, Consistency: merkle.FormatProof(p.Consistency), Entries: p.Entries,
	}
	for _, a := range p.Assignments {
		resp.Assignments = append(resp.Assignments, assignment(a))
	}
	return resp, nil
}

func assignment(a driver.Assignment) *consiliumv1.Assignment {
	out := &consiliumv1.Assignment{}
	switch {
	case a.ReviewStudy != nil:
		out.Work = &consiliumv1.Assignment_ReviewStudy{ReviewStudy: &consiliumv1.ReviewStudy{
			Protocol: a.ReviewStudy.Protocol, Proposal: a.ReviewStudy.Proposal,
		}}
	case a.Contribute != nil:
		out.Work = &consiliumv1.Assignment_Contribute{Contribute: &consiliumv1.Contribute{
			Plan: a.Contribute.Plan, Parameters: a.Contribute.Parameters,
			LedgerIndex: a.Contribute.Leaf, Inclusion: merkle.FormatProof(a.Contribute.Inclusion),
		}}
	case a.Open != nil:
		out.Work = &consiliumv1.Assignment_Open{Open: &consiliumv1.Open{
			Plan: a.Open.Plan, Request: a.Open.Request, Headers: a.Open.Headers, SealedShares: a.Open.SealedShares,
			LedgerIndex: a.Open.Leaf, Inclusion: merkle.FormatProof(a.Open.Inclusion),
		}}
	case a.ReviewRelease != nil:
		out.Work = &consiliumv1.Assignment_ReviewRelease{ReviewRelease: &consiliumv1.ReviewRelease{
			Release: a.ReviewRelease.Release, Audit: a.ReviewRelease.Audit, Protocol: a.ReviewRelease.Protocol, Override: a.ReviewRelease.Override,
		}}
	case a.RoundEnded != nil:
		out.Work = &consiliumv1.Assignment_RoundEnded{RoundEnded: &consiliumv1.RoundEnded{
			Round: a.RoundEnded.Round.String(), State: a.RoundEnded.State, End: a.RoundEnded.End,
		}}
	}
	return out
}

func (s *site) DecideStudy(ctx context.Context, req *consiliumv1.DecideStudyRequest) (*consiliumv1.DecideStudyResponse, error) {
	return &consiliumv1.DecideStudyResponse{}, s.driver.DecideStudy(caller(ctx).Name, req.GetApproval())
}

func (s *site) DeclineRound(ctx context.Context, req *consiliumv1.DeclineRoundRequest) (*consiliumv1.DeclineRoundResponse, error) {
	return &consiliumv1.DeclineRoundResponse{}, s.driver.Decline(caller(ctx).Name, req.GetDecline())
}

func (s *site) BeginContribution(ctx context.Context, req *consiliumv1.BeginContributionRequest) (*consiliumv1.BeginContributionResponse, error) {
	if len(req.GetChunks()) > 0 {
		receipt, err := s.driver.Contribute(caller(ctx).Name, req.GetHeader(), req.GetSealedShares(), req.GetChunks())
		return &consiliumv1.BeginContributionResponse{Counted: err == nil, Receipt: receipt}, err
	}
	missing, counted, err := s.driver.Begin(caller(ctx).Name, req.GetHeader(), req.GetSealedShares())
	return &consiliumv1.BeginContributionResponse{Missing: missing, Counted: counted}, err
}

func (s *site) UploadChunks(stream consiliumv1.SiteService_UploadChunksServer) error {
	var stored uint32
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&consiliumv1.UploadChunksResponse{Stored: stored})
		}
		if err != nil {
			return err
		}
		if stored == maxUploads {
			return &driver.Problem{
				Class: driver.Invalid, Code: "stream-too-long", What: "the upload was cut off",
				Why: fmt.Sprintf("one stream carries at most %d chunks", maxUploads), Next: "begin the contribution again and send what is missing in another stream",
			}
		}
		if err := s.driver.StoreChunk(caller(stream.Context()).Name, req.GetRound(), req.GetIndex(), req.GetChunk()); err != nil {
			return err
		}
		stored++
	}
}

func (s *site) CommitContribution(ctx context.Context, req *consiliumv1.CommitContributionRequest) (*consiliumv1.CommitContributionResponse, error) {
	receipt, err := s.driver.Commit(caller(ctx).Name, req.GetRound())
	return &consiliumv1.CommitContributionResponse{Receipt: receipt}, err
}

func (s *site) SubmitOpeningShare(ctx context.Context, req *consiliumv1.SubmitOpeningShareRequest) (*consiliumv1.SubmitOpeningShareResponse, error) {
	return &consiliumv1.SubmitOpeningShareResponse{}, s.driver.SubmitShare(caller(ctx).Name, req.GetStatement(), req.GetShare())
}

func (s *site) ReportOpeningFault(ctx context.Context, req *consiliumv1.ReportOpeningFaultRequest) (*consiliumv1.ReportOpeningFaultResponse, error) {
	return &consiliumv1.ReportOpeningFaultResponse{}, s.driver.ReportFault(caller(ctx).Name, req.GetFault())
}

func (s *site) DecideRelease(ctx context.Context, req *consiliumv1.DecideReleaseRequest) (*consiliumv1.DecideReleaseResponse, error) {
	return &consiliumv1.DecideReleaseResponse{}, s.driver.DecideRelease(caller(ctx).Name, req.GetDecision())
}
