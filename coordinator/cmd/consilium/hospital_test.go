package main

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/study"
)

// hospital does a site's part of the protocol and none of its checks. It is
// here so that the command line meets a study that goes to its end; the real
// thing is the site agent.
type hospital struct {
	t      *testing.T
	name   string
	keys   *identity.Keys
	sealer identity.Sealer
	roster func() *identity.Roster
	site   consiliumv1.SiteServiceClient
	seed   uint64
	refuse bool // the study, and a release
	study  *study.Study
}

// join enrols hospitals by the calls that a site agent makes.
func (w *world) join(names ...string) []*hospital {
	w.t.Helper()
	type joining struct {
		dir        string
		invitation *identity.Invitation
		enrolment  []byte
		client     consiliumv1.EnrollmentServiceClient
	}
	var waiting []joining
	for _, name := range names {
		token, err := identityToken(w, name)
		must(w.t, err)
		dir := filepath.Join(w.dir, name)
		invitation, err := identity.ParseToken(token)
		must(w.t, err)
		enrolment, err := identity.NewEnrolment(token, dir)
		must(w.t, err)
		conn, err := dial(w.address, identity.EnrolmentTLS(invitation))
		must(w.t, err)
		w.t.Cleanup(func() { conn.Close() })
		client := consiliumv1.NewEnrollmentServiceClient(conn)
		_, err = client.Enroll(w.t.Context(), &consiliumv1.EnrollRequest{Token: token, Enrolment: enrolment})
		must(w.t, err)
		waiting = append(waiting, joining{dir, invitation, enrolment, client})
	}
	w.run("admit", "--governance", w.governance(), "--all", "--wait", strconv.Itoa(len(names)))
	var out []*hospital
	for i, j := range waiting {
		answer, err := j.client.Admission(w.t.Context(), &consiliumv1.AdmissionRequest{Enrolment: j.enrolment})
		must(w.t, err)
		must(w.t, identity.FinishEnrolment(j.dir, j.invitation, answer.GetCertificate(), answer.GetRosters()))
		node, err := identity.OpenNode(j.dir)
		must(w.t, err)
		conn, err := dial(w.address, node.ClientTLS(time.Now))
		must(w.t, err)
		w.t.Cleanup(func() { conn.Close() })
		out = append(out, &hospital{t: w.t, name: node.Name(), keys: node.Keys(), roster: node.Rosters().Latest, site: consiliumv1.NewSiteServiceClient(conn), seed: uint64(i)})
	}
	return out
}

func identityToken(w *world, name string) (string, error) {
	g, err := openGovernance(w.governance())
	if err != nil {
		return "", err
	}
	return g.Invite(name, identity.RoleSite, time.Hour, time.Now())
}

// work answers every assignment until the context ends.
func (h *hospital) work(ctx context.Context) {
	revision := ""
	var head ledger.Checkpoint
	for ctx.Err() == nil {
		answer, err := h.site.Poll(ctx, &consiliumv1.PollRequest{Revision: revision, LedgerSize: head.Size, Cosignature: h.cosign(head)})
		if err != nil {
			if ctx.Err() == nil {
				h.t.Errorf("%s cannot poll: %v", h.name, err)
			}
			return
		}
		revision = answer.GetRevision()
		if seen, err := ledger.ParseCheckpoint(answer.GetCheckpoint()); err == nil {
			head = *seen
		}
		for _, assignment := range answer.GetAssignments() {
			var err error
			switch {
			case assignment.GetReviewStudy() != nil:
				err = h.review(ctx, assignment.GetReviewStudy())
			case assignment.GetContribute() != nil:
				err = h.contribute(ctx, assignment.GetContribute())
			case assignment.GetOpen() != nil:
				err = h.open(ctx, assignment.GetOpen())
			case assignment.GetReviewRelease() != nil:
				err = h.decide(ctx, assignment.GetReviewRelease())
			}
			if err != nil && ctx.Err() == nil {
				h.t.Errorf("%s: %v", h.name, err)
				return
			}
		}
	}
}

func (h *hospital) cosign(head ledger.Checkpoint) []byte {
	if head.Size == 0 {
		return nil
	}
	cosignature, err := ledger.Cosign(head, time.Now(), h.keys.Signing())
	if err != nil {
		h.t.Error(err)
	}
	return cosignature
}

func (h *hospital) sign(kind statement.Kind, v any) []byte {
	envelope, err := statement.Sign(kind, v, h.name, h.keys.Signing())
	if err != nil {
		h.t.Error(err)
	}
	return envelope
}

func (h *hospital) review(ctx context.Context, r *consiliumv1.ReviewStudy) (err error) {
	if h.study, err = study.Parse(r.GetProtocol()); err != nil {
		return err
	}
	approval := statement.Approval{Study: h.study.Digest(), Site: h.name, Approved: !h.refuse, Time: time.Now()}
	if h.refuse {
		approval.Reason = "not our question"
	}
	_, err = h.site.DecideStudy(ctx, &consiliumv1.DecideStudyRequest{Approval: h.sign(statement.KindApproval, approval)})
	return err
}

func payloadOf(envelope []byte, v any) (statement.Digest, error) {
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return statement.Digest{}, err
	}
	return statement.DigestOf(payload), statement.Decode(payload, v)
}

func (h *hospital) contribute(ctx context.Context, c *consiliumv1.Contribute) error {
	var plan statement.Plan
	id, err := payloadOf(c.GetPlan(), &plan)
	if err != nil {
		return err
	}
	round, err := secagg.NewRound(plan.RoundSpec())
	if err != nil {
		return err
	}
	matrix, err := patients(h.study, h.seed)
	if err != nil {
		return err
	}
	values, err := pipeline.Answer(h.study, plan.Step, c.GetParameters(), pipeline.Site{Name: study.SiteID(h.name), Records: matrix})
	if err != nil {
		return err
	}
	sealed, err := round.Seal(values)
	if err != nil {
		return err
	}
	header := statement.ContributionHeader{Round: id, Site: h.name}
	for _, chunk := range sealed.Chunks {
		header.Chunks = append(header.Chunks, statement.DigestOf(chunk))
	}
	var shares [][]byte
	for j, member := range plan.Committee {
		recipient, _ := h.roster().Member(member)
		share, err := h.sealer.Seal(recipient.SealingKey, identity.ShareAddress{Study: plan.Study, Round: id, Sender: h.name, Recipient: member}, sealed.Shares[j])
		if err != nil {
			return err
		}
		shares = append(shares, share)
		header.Shares = append(header.Shares, statement.DigestOf(share))
	}
	if _, err := h.site.BeginContribution(ctx, &consiliumv1.BeginContributionRequest{Header: h.sign(statement.KindContributionHeader, header), SealedShares: shares}); err != nil {
		return err
	}
	upload, err := h.site.UploadChunks(ctx)
	if err != nil {
		return err
	}
	for i, chunk := range sealed.Chunks {
		if err := upload.Send(&consiliumv1.UploadChunksRequest{Round: id.String(), Index: uint32(i), Chunk: chunk}); err != nil {
			return err
		}
	}
	if _, err := upload.CloseAndRecv(); err != nil {
		return err
	}
	_, err = h.site.CommitContribution(ctx, &consiliumv1.CommitContributionRequest{Round: id.String()})
	return err
}

func (h *hospital) open(ctx context.Context, o *consiliumv1.Open) error {
	var plan statement.Plan
	id, err := payloadOf(o.GetPlan(), &plan)
	if err != nil {
		return err
	}
	var request statement.OpeningRequest
	requested, err := payloadOf(o.GetRequest(), &request)
	if err != nil {
		return err
	}
	round, err := secagg.NewRound(plan.RoundSpec())
	if err != nil {
		return err
	}
	var column [][]byte
	unsealer := identity.NewUnsealer(h.keys)
	for i, sealed := range o.GetSealedShares() {
		share, err := unsealer.Unseal(identity.ShareAddress{Study: plan.Study, Round: id, Sender: request.Contributors[i], Recipient: h.name}, sealed)
		if err != nil {
			return err
		}
		column = append(column, share)
	}
	share, err := round.AddShares(column)
	if err != nil {
		return err
	}
	_, err = h.site.SubmitOpeningShare(ctx, &consiliumv1.SubmitOpeningShareRequest{
		Statement: h.sign(statement.KindOpeningShare, statement.OpeningShare{Round: id, Member: h.name, Request: requested, Share: statement.DigestOf(share)}),
		Share:     share,
	})
	return err
}

func (h *hospital) decide(ctx context.Context, r *consiliumv1.ReviewRelease) error {
	var release statement.Release
	id, err := payloadOf(r.GetRelease(), &release)
	if err != nil {
		return err
	}
	decision := statement.ReleaseDecision{Release: id, Site: h.name, Accepted: h.seed != 0, Time: time.Now()}
	if !decision.Accepted {
		decision.Reason = "errs too much here"
	}
	_, err = h.site.DecideRelease(ctx, &consiliumv1.DecideReleaseRequest{Decision: h.sign(statement.KindReleaseDecision, decision)})
	return err
}

// patients makes a hospital's records: a dose that falls with age and with one
// genotype, with some error.
func patients(s *study.Study, seed uint64) (*study.Matrix, error) {
	r := rand.New(rand.NewPCG(seed, 11))
	builder, err := s.NewBuilder([]string{"dose", "age", "gene", "sex"})
	if err != nil {
		return nil, err
	}
	for range 60 {
		age := 20 + r.IntN(70)
		gene := []string{"GG", "AG", "AA"}[r.IntN(3)]
		dose := 60 - 0.3*float64(age) + 8*r.NormFloat64() - 6*float64(slices.Index([]string{"GG", "AG", "AA"}, gene))
		builder.Add([]string{strconv.FormatFloat(min(max(dose, 1), 99), 'f', 2, 64), strconv.Itoa(age), gene, []string{"female", "male"}[r.IntN(2)]})
	}
	return builder.Matrix(), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
