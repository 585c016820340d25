package rpc

import (
	"context"
	"time"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

type study struct {
	consiliumv1.UnimplementedStudyServiceServer
	driver *driver.Driver
}

func (s *study) Propose(ctx context.Context, req *consiliumv1.ProposeRequest) (*consiliumv1.ProposeResponse, error) {
	id, err := s.driver.Propose(caller(ctx).Name, req.GetProtocol(), req.GetProposal())
	return &consiliumv1.ProposeResponse{Study: id.String()}, err
}

func (s *study) Start(ctx context.Context, req *consiliumv1.StartRequest) (*consiliumv1.StartResponse, error) {
	return &consiliumv1.StartResponse{}, s.driver.Start(caller(ctx).Name, req.GetStudy(), req.GetStart())
}

func (s *study) List(context.Context, *consiliumv1.ListRequest) (*consiliumv1.ListResponse, error) {
	resp := &consiliumv1.ListResponse{}
	for _, st := range s.driver.List() {
		resp.Studies = append(resp.Studies, studyStatus(st))
	}
	return resp, nil
}

// watchInterval is how often chunks that arrive, which are no change of state,
// show in a watched status.
const watchInterval = 500 * time.Millisecond

func (s *study) Watch(req *consiliumv1.WatchRequest, stream consiliumv1.StudyService_WatchServer) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	shown := ""
	for {
		changed := s.driver.Changed()
		st, err := s.driver.Status(req.GetStudy())
		if err != nil {
			return err
		}
		if now := st.Progress(); now != shown {
			shown = now
			if err := stream.Send(studyStatus(st)); err != nil {
				return err
			}
		}
		if st.Over() {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (s *study) Result(_ context.Context, req *consiliumv1.ResultRequest) (*consiliumv1.ResultResponse, error) {
	o, err := s.driver.Outcome(req.GetStudy())
	if err != nil {
		return nil, err
	}
	return &consiliumv1.ResultResponse{Status: studyStatus(o.Status), Result: o.Result, Audit: o.Audit, Release: o.Release, Override: o.Override, Protocol: o.Protocol}, nil
}

func (s *study) OverrideRelease(ctx context.Context, req *consiliumv1.OverrideReleaseRequest) (*consiliumv1.OverrideReleaseResponse, error) {
	release, err := s.driver.Override(caller(ctx).Name, req.GetStudy(), req.GetOverride())
	return &consiliumv1.OverrideReleaseResponse{Release: release.String()}, err
}

func (s *study) PublishCard(ctx context.Context, req *consiliumv1.PublishCardRequest) (*consiliumv1.PublishCardResponse, error) {
	return &consiliumv1.PublishCardResponse{}, s.driver.PublishCard(caller(ctx).Name, req.GetStatement(), req.GetCard())
}

func studyStatus(st *driver.StudyStatus) *consiliumv1.StudyStatus {
	out := &consiliumv1.StudyStatus{
		Study: st.Study.String(), Name: st.Name, Title: st.Title, Version: uint32(st.Version), Researcher: st.Researcher,
		State: st.State, Reason: st.Reason, Decisions: decisions(st.Decisions), ReleaseDecisions: decisions(st.ReleaseDecisions),
		Gate: st.Gate, GateReasons: st.GateReasons,
	}
	if o := st.Override; o != nil {
		out.Override = &consiliumv1.Override{Auditor: o.Auditor, Reason: o.Reason, UnixMs: o.Time.UnixMilli()}
	}
	if !st.Release.IsZero() {
		out.Release = st.Release.String()
	}
	for _, r := range st.Rounds {
		round := &consiliumv1.RoundStatus{
			Id: r.ID.String(), Question: r.Question.String(), Step: r.Step, State: r.State, Reason: r.Reason,
			Invited: r.Invited, Contributors: r.Contributors, Openers: r.Openers, Missing: r.Missing,
			BytesUp: uint64(r.BytesUp), ChunksStored: uint64(r.ChunksStored), ChunksExpected: uint64(r.ChunksExpected),
			StartedUnixMs: r.Started.UnixMilli(), Declined: decisions(r.Declined),
		}
		if !r.Ended.IsZero() {
			round.EndedUnixMs = r.Ended.UnixMilli()
		}
		out.Rounds = append(out.Rounds, round)
	}
	return out
}

func decisions(all []driver.SiteDecision) []*consiliumv1.SiteDecision {
	var out []*consiliumv1.SiteDecision
	for _, d := range all {
		out = append(out, &consiliumv1.SiteDecision{Site: d.Site, Decision: d.Decision, Reason: d.Reason})
	}
	return out
}
