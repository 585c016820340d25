package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

// Subject is what a request is about, for its outbox line.
type Subject struct {
	Study    string
	Step     string
	Question string
	Round    string
	Fields   []outbox.Field
}

func (s Subject) entry(kind outbox.Kind, digest []byte) outbox.Entry {
	e := outbox.Entry{Kind: kind, Study: s.Study, Step: s.Step, Question: s.Question, Round: s.Round}
	if digest != nil {
		e.Digest = statement.DigestOf(digest).String()
	}
	return e
}

// unary describes a request, bounds its time and words its error.
func unary[Q, A any](l *Link, ctx context.Context, what string, limit time.Duration, e outbox.Entry, do func(context.Context, Q) (A, error), q Q) (A, error) {
	ctx, cancel := context.WithTimeout(describe(ctx, e), limit)
	defer cancel()
	a, err := do(ctx, q)
	return a, l.translate(what, err)
}

// Seen is what a site knows when it asks for news.
type Seen struct {
	Revision    string // of the last news
	LedgerSize  uint64 // of the last checkpoint
	Roster      uint64 // number of the last one
	EntriesRead uint64 // of the ledger
	Cosignature []byte // of the last checkpoint
}

// Poll waits for news: assignments that differ from those of the revision. It
// brings what the site knows, and its cosignature of the ledger that it knows.
func (l *Link) Poll(ctx context.Context, seen Seen) (*News, error) {
	r, err := unary(l, ctx, "asking for work", pollTimeout, outbox.Entry{Kind: outbox.Poll},
		func(ctx context.Context, q *consiliumv1.PollRequest) (*consiliumv1.PollResponse, error) {
			return l.site.Poll(ctx, q)
		},
		&consiliumv1.PollRequest{
			Revision: seen.Revision, LedgerSize: seen.LedgerSize, RosterNumber: seen.Roster, EntriesRead: seen.EntriesRead, Cosignature: seen.Cosignature,
		})
	if err != nil {
		return nil, err
	}
	return newsOf(r)
}

// DecideStudy sends a signed approval or refusal.
func (l *Link) DecideStudy(ctx context.Context, s Subject, approval []byte) error {
	_, err := unary(l, ctx, "sending the decision about the study", callTimeout, s.entry(outbox.StudyDecision, approval),
		func(ctx context.Context, q *consiliumv1.DecideStudyRequest) (*consiliumv1.DecideStudyResponse, error) {
			return l.site.DecideStudy(ctx, q)
		}, &consiliumv1.DecideStudyRequest{Approval: approval})
	return err
}

// DeclineRound sends a signed decline.
func (l *Link) DeclineRound(ctx context.Context, s Subject, decline []byte) error {
	_, err := unary(l, ctx, "declining the round", callTimeout, s.entry(outbox.Decline, decline),
		func(ctx context.Context, q *consiliumv1.DeclineRoundRequest) (*consiliumv1.DeclineRoundResponse, error) {
			return l.site.DeclineRound(ctx, q)
		}, &consiliumv1.DeclineRoundRequest{Decline: decline})
	return err
}

// BeginContribution announces a contribution and learns which chunks are
// missing. Of a short one it brings the chunks along, all of them, and has the
// coordinator's receipt in return; without a receipt it is not complete yet.
func (l *Link) BeginContribution(ctx context.Context, s Subject, header []byte, shares, chunks [][]byte) (missing []uint32, counted bool, receipt []byte, err error) {
	what, e := "announcing the contribution", s.entry(outbox.Header, header)
	if len(chunks) > 0 {
		what, e = "sending the contribution", s.entry(outbox.Contribution, header)
		e.Fields = s.Fields
	}
	r, err := unary(l, ctx, what, 4*callTimeout, e,
		func(ctx context.Context, q *consiliumv1.BeginContributionRequest) (*consiliumv1.BeginContributionResponse, error) {
			return l.site.BeginContribution(ctx, q)
		}, &consiliumv1.BeginContributionRequest{Header: header, SealedShares: shares, Chunks: chunks})
	if err != nil {
		return nil, false, nil, err
	}
	return r.Missing, r.Counted, r.Receipt, nil
}

// Ciphertext is the chunks of a contribution, which are read one at a time.
type Ciphertext interface {
	Chunks() int
	ChunkBytes(i int) int
	Chunk(i int) ([]byte, error)
}

// UploadChunks sends the missing chunks of a contribution, reading each when it
// is its turn. progress is told the bytes sent so far and may be nil.
func (l *Link) UploadChunks(ctx context.Context, s Subject, header []byte, from Ciphertext, missing []uint32, progress func(int64)) error {
	e := s.entry(outbox.Contribution, header)
	e.Fields = s.Fields
	for _, index := range missing {
		if int64(index) >= int64(from.Chunks()) {
			return &Error{Code: "unknown-chunk", What: "the coordinator asks for a chunk that does not exist", Security: true}
		}
		e.Bytes += uploadBytes(s.Round, index, from.ChunkBytes(int(index)))
	}
	// Cancelling, when this returns, frees the stream of a broken upload.
	ctx, cancel := context.WithCancel(describe(ctx, e))
	defer cancel()
	stream, err := l.site.UploadChunks(ctx)
	if err != nil {
		return l.translate("uploading the contribution", err)
	}
	var sent int64
	for _, index := range missing {
		chunk, err := from.Chunk(int(index))
		if err != nil {
			return fmt.Errorf("chunk %d of the sealed contribution cannot be read: %w", index, err)
		}
		if err := stream.Send(&consiliumv1.UploadChunksRequest{Round: s.Round, Index: index, Chunk: chunk}); err != nil {
			if errors.Is(err, io.EOF) {
				break // the answer says why
			}
			return l.translate("uploading the contribution", err)
		}
		sent += int64(len(chunk))
		if progress != nil {
			progress(sent)
		}
	}
	_, err = stream.CloseAndRecv()
	return l.translate("uploading the contribution", err)
}

// uploadBytes is the size of the message that carries a chunk.
func uploadBytes(round string, index uint32, chunk int) int64 {
	size := proto.Size(&consiliumv1.UploadChunksRequest{Round: round, Index: index})
	if chunk > 0 {
		size += protowire.SizeTag(chunkField) + protowire.SizeBytes(chunk)
	}
	return int64(size)
}

// chunkField is the number of UploadChunksRequest.chunk.
const chunkField = 3

// CommitContribution asks for the contribution to count and returns the
// coordinator's receipt.
func (l *Link) CommitContribution(ctx context.Context, s Subject) ([]byte, error) {
	r, err := unary(l, ctx, "completing the contribution", 4*callTimeout, s.entry(outbox.Commit, nil),
		func(ctx context.Context, q *consiliumv1.CommitContributionRequest) (*consiliumv1.CommitContributionResponse, error) {
			return l.site.CommitContribution(ctx, q)
		}, &consiliumv1.CommitContributionRequest{Round: s.Round})
	if err != nil {
		return nil, err
	}
	return r.Receipt, nil
}

// SubmitOpeningShare sends a committee member's answer.
func (l *Link) SubmitOpeningShare(ctx context.Context, s Subject, signed, share []byte) error {
	_, err := unary(l, ctx, "sending the opening share", callTimeout, s.entry(outbox.OpeningShare, signed),
		func(ctx context.Context, q *consiliumv1.SubmitOpeningShareRequest) (*consiliumv1.SubmitOpeningShareResponse, error) {
			return l.site.SubmitOpeningShare(ctx, q)
		}, &consiliumv1.SubmitOpeningShareRequest{Statement: signed, Share: share})
	return err
}

// ReportOpeningFault names the senders whose sealed shares did not open.
func (l *Link) ReportOpeningFault(ctx context.Context, s Subject, fault []byte) error {
	_, err := unary(l, ctx, "reporting a fault", callTimeout, s.entry(outbox.OpeningFault, fault),
		func(ctx context.Context, q *consiliumv1.ReportOpeningFaultRequest) (*consiliumv1.ReportOpeningFaultResponse, error) {
			return l.site.ReportOpeningFault(ctx, q)
		}, &consiliumv1.ReportOpeningFaultRequest{Fault: fault})
	return err
}

// DecideRelease sends a signed acceptance or refusal of a release.
func (l *Link) DecideRelease(ctx context.Context, s Subject, decision []byte) error {
	_, err := unary(l, ctx, "sending the decision about the release", callTimeout, s.entry(outbox.ReleaseDecision, decision),
		func(ctx context.Context, q *consiliumv1.DecideReleaseRequest) (*consiliumv1.DecideReleaseResponse, error) {
			return l.site.DecideRelease(ctx, q)
		}, &consiliumv1.DecideReleaseRequest{Decision: decision})
	return err
}

// Entries returns ledger entries from start up to end, exclusive, perhaps not
// all of them.
func (l *Link) Entries(ctx context.Context, start, end uint64) ([][]byte, error) {
	r, err := unary(l, ctx, "reading the ledger", callTimeout, outbox.Entry{Kind: outbox.Ledger},
		func(ctx context.Context, q *consiliumv1.EntriesRequest) (*consiliumv1.EntriesResponse, error) {
			return l.ledger.Entries(ctx, q)
		}, &consiliumv1.EntriesRequest{Start: start, End: end})
	if err != nil {
		return nil, err
	}
	return r.Entries, nil
}

// RenewCertificate asks for a fresh certificate for the member's own key.
func (l *Link) RenewCertificate(ctx context.Context, request []byte) ([]byte, error) {
	r, err := unary(l, ctx, "renewing the certificate", callTimeout, outbox.Entry{Kind: outbox.Membership},
		func(ctx context.Context, q *consiliumv1.RenewCertificateRequest) (*consiliumv1.RenewCertificateResponse, error) {
			return l.membership.RenewCertificate(ctx, q)
		}, &consiliumv1.RenewCertificateRequest{CertificateRequest: request})
	if err != nil {
		return nil, err
	}
	return r.Certificate, nil
}

// Enroll hands in a newcomer's public keys.
func (l *Link) Enroll(ctx context.Context, token string, enrolment []byte) error {
	_, err := unary(l, ctx, "enrolling", callTimeout, Subject{}.entry(outbox.Membership, enrolment),
		func(ctx context.Context, q *consiliumv1.EnrollRequest) (*consiliumv1.EnrollResponse, error) {
			return l.enrollment.Enroll(ctx, q)
		}, &consiliumv1.EnrollRequest{Token: token, Enrolment: enrolment})
	return err
}

// Admission asks whether a newcomer is on the roster yet. It waits up to 20
// seconds for that.
func (l *Link) Admission(ctx context.Context, enrolment []byte) (certificate []byte, rosters [][]byte, admitted bool, err error) {
	r, err := unary(l, ctx, "asking for admission", pollTimeout, Subject{}.entry(outbox.Membership, enrolment),
		func(ctx context.Context, q *consiliumv1.AdmissionRequest) (*consiliumv1.AdmissionResponse, error) {
			return l.enrollment.Admission(ctx, q)
		}, &consiliumv1.AdmissionRequest{Enrolment: enrolment})
	if err != nil {
		return nil, nil, false, err
	}
	return r.Certificate, r.Rosters, r.Admitted, nil
}
