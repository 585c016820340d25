package coordinator_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// manual is a hospital whose steps the test takes one by one, in a study whose
// other hospitals work by themselves.
type manual struct {
	*rehearsal.Hospital
	t    testing.TB
	made *rehearsal.Contribution
}

func beginManual(t *testing.T) (*play, *manual) {
	t.Helper()
	m := &manual{t: t}
	p := beginWith(t, coordinator.Options{}, 4, nil, func(p *play) {
		p.stops[0]()
		m.Hospital = p.hospitals[0]
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for m.made == nil {
		news, err := m.Site.Poll(ctx, &consiliumv1.PollRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range news.GetAssignments() {
			work := a.GetContribute()
			if work == nil {
				continue
			}
			plan, round, err := rehearsal.ReadPlan(work.GetPlan())
			if err != nil {
				t.Fatal(err)
			}
			if m.made, err = m.Seal(plan, round, work.GetParameters()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p, m
}

func (m *manual) begin(header []byte, sealed [][]byte) (*consiliumv1.BeginContributionResponse, error) {
	return m.Site.BeginContribution(context.Background(), &consiliumv1.BeginContributionRequest{Header: header, SealedShares: sealed})
}

func (m *manual) upload(round string, index uint32, chunk []byte) error {
	m.t.Helper()
	stream, err := m.Site.UploadChunks(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	stream.Send(&consiliumv1.UploadChunksRequest{Round: round, Index: index, Chunk: chunk}) // the answer has the reason
	_, err = stream.CloseAndRecv()
	return err
}

func (m *manual) commit(round string) ([]byte, error) {
	resp, err := m.Site.CommitContribution(context.Background(), &consiliumv1.CommitContributionRequest{Round: round})
	return resp.GetReceipt(), err
}

// refused fails unless the coordinator answered with that code.
func refused(t *testing.T, what string, err error, code string) {
	t.Helper()
	if got := rehearsal.Code(err); got != code {
		t.Errorf("%s: %s, want %s", what, got, code)
	}
}

func TestAnUploadCountsOnlyWholeAndAsAnnounced(t *testing.T) {
	t.Parallel()
	_, m := beginManual(t)
	made := m.made
	round := made.Round

	refused(t, "a chunk before it is announced", m.upload(round, 0, made.Chunks[0]), "contribution-not-begun")
	_, err := m.commit(round)
	refused(t, "a commit before anything is announced", err, "contribution-not-begun")

	damaged := slices.Clone(made.Sealed)
	damaged[1] = append(bytes.Clone(damaged[1]), 0)
	_, err = m.begin(made.Signed, damaged)
	refused(t, "a sealed share that is not the header's", err, "contribution-malformed")
	_, err = m.begin(made.Signed, made.Sealed[1:])
	refused(t, "a sealed share too few", err, "contribution-malformed")
	short := made.Header
	short.Chunks = append(short.Chunks, short.Chunks[0])
	signed, _ := m.Sign(statement.KindContributionHeader, short)
	_, err = m.begin(signed, made.Sealed)
	refused(t, "a chunk too many", err, "contribution-malformed")

	begun, err := m.begin(made.Signed, made.Sealed)
	if err != nil || len(begun.GetMissing()) != len(made.Chunks) || begun.GetCounted() {
		t.Fatalf("begun: %v, %v", begun, err)
	}
	wrong := bytes.Clone(made.Chunks[0])
	wrong[0] ^= 1
	refused(t, "a chunk that is not the header's", m.upload(round, 0, wrong), "chunk-malformed")
	refused(t, "a chunk of no index", m.upload(round, uint32(len(made.Chunks)), made.Chunks[0]), "chunk-malformed")
	refused(t, "a chunk of another round", m.upload(statement.Digest{1}.String(), 0, made.Chunks[0]), "no-such-round")
	_, err = m.commit(round)
	refused(t, "an incomplete contribution", err, "contribution-incomplete")

	other := made.Header
	other.Chunks = slices.Clone(other.Chunks)
	other.Chunks[0] = statement.DigestOf(wrong)
	signed, _ = m.Sign(statement.KindContributionHeader, other)
	_, err = m.begin(signed, made.Sealed)
	refused(t, "another header for the same round", err, "other-contribution-announced")

	for range 2 { // idempotent
		for i, chunk := range made.Chunks {
			if err := m.upload(round, uint32(i), chunk); err != nil {
				t.Fatal(err)
			}
		}
	}
	begun, err = m.begin(made.Signed, made.Sealed)
	if err != nil || len(begun.GetMissing()) != 0 {
		t.Errorf("announced again after the upload: %v, %v", begun, err)
	}
	first, err := m.commit(round)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.commit(round)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the receipt again is other bytes, %v", err)
	}
	begun, err = m.begin(made.Signed, made.Sealed)
	if err != nil || !begun.GetCounted() {
		t.Errorf("announced again after it counts: %v, %v", begun, err)
	}
}

// A header can name the digest of bytes that are no chunk; they are not stored.
func TestBytesThatAreNoChunkAreNotStored(t *testing.T) {
	t.Parallel()
	_, m := beginManual(t)
	bad := bytes.Repeat([]byte{0xff}, len(m.made.Chunks[0])) // residues beyond every prime
	header := m.made.Header
	header.Chunks = slices.Clone(header.Chunks)
	header.Chunks[0] = statement.DigestOf(bad)
	signed, err := m.Sign(statement.KindContributionHeader, header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.begin(signed, m.made.Sealed); err != nil {
		t.Fatal(err)
	}
	refused(t, "bytes that are no chunk", m.upload(m.made.Round, 0, bad), "chunk-malformed")
	_, err = m.commit(m.made.Round)
	refused(t, "a commit of them", err, "contribution-incomplete")
}

// Everything a member hands in is signed by that member, for itself.
func TestNobodySpeaksForAnother(t *testing.T) {
	t.Parallel()
	p, m := beginManual(t)
	other := p.hospitals[1]
	ctx := context.Background()

	_, err := other.Site.BeginContribution(ctx, &consiliumv1.BeginContributionRequest{Header: m.made.Signed, SealedShares: m.made.Sealed})
	refused(t, "another site's header", err, "signature-refused")
	if _, err := m.begin(m.made.Signed, m.made.Sealed); err != nil {
		t.Fatal(err)
	}
	stranger := &manual{Hospital: other, t: t}
	if err := stranger.upload(m.made.Round, 0, m.made.Chunks[0]); rehearsal.Code(err) == "" {
		t.Error("another site's chunk was stored")
	}
	round, _ := statement.ParseDigest(m.made.Round)
	study, _ := statement.ParseDigest(p.study)
	decline, _ := m.Sign(statement.KindDecline, statement.Decline{Round: round, Site: m.Name})
	_, err = other.Site.DeclineRound(ctx, &consiliumv1.DeclineRoundRequest{Decline: decline})
	refused(t, "another site's refusal", err, "signature-refused")
	approval, _ := m.Sign(statement.KindApproval, statement.Approval{Study: study, Site: m.Name, Time: p.Clock.Now()})
	_, err = other.Site.DecideStudy(ctx, &consiliumv1.DecideStudyRequest{Approval: approval})
	refused(t, "another site's decision", err, "signature-refused")
	_, err = m.Site.DecideStudy(ctx, &consiliumv1.DecideStudyRequest{Approval: decline})
	refused(t, "a statement of another kind", err, "signature-refused")
	_, err = m.Site.DecideStudy(ctx, &consiliumv1.DecideStudyRequest{Approval: []byte("{}")})
	refused(t, "no statement at all", err, "statement-unreadable")

	p.Enrol(identity.RoleResearcher, "Robert")
	robert := p.Researcher("Robert")
	refused(t, "another researcher's start", robert.Start(p.study), "not-your-study")
	refused(t, "the same study again", robert.TryPropose(rehearsal.Study), "<nil>")
	_, conn := p.Connect("Robert")
	refused(t, "another researcher's evidence", evidence(conn, p.study, false, nil), "not-your-study")
	_, conn = p.Connect("Rita")
	refused(t, "ciphertexts for a researcher", evidence(conn, p.study, true, nil), "ciphertexts-for-auditors")
}

// evidence reads a whole evidence stream.
func evidence(conn *grpc.ClientConn, study string, ciphertexts bool, file func(path string, data []byte)) error {
	stream, err := consiliumv1.NewLedgerServiceClient(conn).Evidence(context.Background(), &consiliumv1.EvidenceRequest{Study: study, Ciphertexts: ciphertexts})
	if err != nil {
		return err
	}
	for {
		piece, err := stream.Recv()
		if err != nil {
			return err
		}
		if file != nil {
			file(piece.GetPath(), piece.GetData())
		}
	}
}
