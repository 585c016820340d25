package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"math/big"
	"net"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/consilium-fl/consilium/internal/wiretest"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

// encoded passes bytes through as the message that they are.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (encoded) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

// parrot connects to a server that answers every call with the same bytes.
func parrot(t *testing.T, answer *atomic.Pointer[[]byte]) *Link {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})),
		grpc.ForceServerCodec(encoded{}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			var request []byte
			for {
				if err := stream.RecvMsg(&request); errors.Is(err, io.EOF) {
					return stream.SendMsg(answer.Load())
				} else if err != nil {
					return err
				}
			}
		}))
	done := make(chan struct{})
	go func() {
		server.Serve(listener)
		close(done)
	}()
	box, err := outbox.Open(filepath.Join(t.TempDir(), "outbox.jsonl"), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Connect(Options{Address: listener.Addr().String(), Outbox: box, TLS: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		server.Stop()
		<-done
		box.Close()
	})
	return l
}

// answers has, for every message that the agent reads, one with every field set,
// and the call that reads it, in the words of the message itself.
func answers() map[proto.Message]func(context.Context, *Link) (proto.Message, error) {
	b := func(s string) []byte { return []byte(s) }
	bb := func(s ...string) [][]byte {
		var all [][]byte
		for _, x := range s {
			all = append(all, []byte(x))
		}
		return all
	}
	proof := [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}
	work := func(a ...*consiliumv1.Assignment) *consiliumv1.PollResponse {
		return &consiliumv1.PollResponse{Revision: "r", Rosters: bb("roster 1", "roster 2"), Checkpoint: b("checkpoint"), Consistency: proof, Assignments: a, Entries: bb("entry", "another")}
	}
	study := &consiliumv1.Assignment{Work: &consiliumv1.Assignment_ReviewStudy{ReviewStudy: &consiliumv1.ReviewStudy{Protocol: b("protocol"), Proposal: b("proposal")}}}
	contribute := &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Contribute{Contribute: &consiliumv1.Contribute{Plan: b("plan"), Parameters: b("parameters"), LedgerIndex: 5, Inclusion: proof}}}
	open := &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Open{Open: &consiliumv1.Open{Plan: b("plan"), Request: b("request"), Headers: bb("one", "two"), SealedShares: bb("three", "four"), LedgerIndex: 6, Inclusion: proof}}}
	release := &consiliumv1.Assignment{Work: &consiliumv1.Assignment_ReviewRelease{ReviewRelease: &consiliumv1.ReviewRelease{Release: b("release"), Audit: b("audit"), Protocol: b("protocol"), Override: b("override")}}}
	ended := &consiliumv1.Assignment{Work: &consiliumv1.Assignment_RoundEnded{RoundEnded: &consiliumv1.RoundEnded{Round: "round", State: "published", End: b("end")}}}
	poll := func(ctx context.Context, l *Link) (proto.Message, error) {
		n, err := l.Poll(ctx, Seen{})
		return said(n), err
	}
	return map[proto.Message]func(context.Context, *Link) (proto.Message, error){
		work(study, contribute):  poll,
		work(open, release):      poll,
		work(ended, ended, open): poll,
		&consiliumv1.DecideStudyResponse{}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return &consiliumv1.DecideStudyResponse{}, l.DecideStudy(ctx, Subject{}, b("x"))
		},
		&consiliumv1.DeclineRoundResponse{}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return &consiliumv1.DeclineRoundResponse{}, l.DeclineRound(ctx, Subject{}, b("x"))
		},
		&consiliumv1.BeginContributionResponse{Missing: []uint32{0, 1, 300, 2}, Counted: true, Receipt: b("receipt")}: func(ctx context.Context, l *Link) (proto.Message, error) {
			missing, counted, receipt, err := l.BeginContribution(ctx, Subject{}, b("x"), nil, nil)
			return &consiliumv1.BeginContributionResponse{Missing: missing, Counted: counted, Receipt: receipt}, err
		},
		&consiliumv1.UploadChunksResponse{Stored: 1}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return nil, l.UploadChunks(ctx, Subject{}, b("x"), parts{b("chunk")}, []uint32{0}, nil)
		},
		&consiliumv1.CommitContributionResponse{Receipt: b("receipt")}: func(ctx context.Context, l *Link) (proto.Message, error) {
			receipt, err := l.CommitContribution(ctx, Subject{})
			return &consiliumv1.CommitContributionResponse{Receipt: receipt}, err
		},
		&consiliumv1.SubmitOpeningShareResponse{}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return &consiliumv1.SubmitOpeningShareResponse{}, l.SubmitOpeningShare(ctx, Subject{}, b("x"), b("y"))
		},
		&consiliumv1.ReportOpeningFaultResponse{}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return &consiliumv1.ReportOpeningFaultResponse{}, l.ReportOpeningFault(ctx, Subject{}, b("x"))
		},
		&consiliumv1.DecideReleaseResponse{}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return &consiliumv1.DecideReleaseResponse{}, l.DecideRelease(ctx, Subject{}, b("x"))
		},
		&consiliumv1.EntriesResponse{Entries: bb("one", "two")}: func(ctx context.Context, l *Link) (proto.Message, error) {
			entries, err := l.Entries(ctx, 0, 2)
			return &consiliumv1.EntriesResponse{Entries: entries}, err
		},
		&consiliumv1.RenewCertificateResponse{Certificate: b("certificate")}: func(ctx context.Context, l *Link) (proto.Message, error) {
			certificate, err := l.RenewCertificate(ctx, b("x"))
			return &consiliumv1.RenewCertificateResponse{Certificate: certificate}, err
		},
		&consiliumv1.EnrollResponse{}: func(ctx context.Context, l *Link) (proto.Message, error) {
			return &consiliumv1.EnrollResponse{}, l.Enroll(ctx, "token", b("x"))
		},
		&consiliumv1.AdmissionResponse{Admitted: true, Certificate: b("certificate"), Rosters: bb("one", "two")}: func(ctx context.Context, l *Link) (proto.Message, error) {
			certificate, rosters, admitted, err := l.Admission(ctx, b("x"))
			return &consiliumv1.AdmissionResponse{Admitted: admitted, Certificate: certificate, Rosters: rosters}, err
		},
	}
}

// said says news in the words of the message, work by kind.
func said(n *News) *consiliumv1.PollResponse {
	if n == nil {
		return nil
	}
	proof := func(hashes [][32]byte) (all [][]byte) {
		for _, h := range hashes {
			all = append(all, h[:])
		}
		return all
	}
	r := &consiliumv1.PollResponse{Revision: n.Revision, Rosters: n.Rosters, Checkpoint: n.Checkpoint, Consistency: proof(n.Consistency), Entries: n.Entries}
	for _, w := range n.Ended {
		r.Assignments = append(r.Assignments, &consiliumv1.Assignment{Work: &consiliumv1.Assignment_RoundEnded{RoundEnded: &consiliumv1.RoundEnded{Round: w.Round, End: w.End}}})
	}
	for _, w := range n.Studies {
		r.Assignments = append(r.Assignments, &consiliumv1.Assignment{Work: &consiliumv1.Assignment_ReviewStudy{ReviewStudy: &consiliumv1.ReviewStudy{Protocol: w.Protocol, Proposal: w.Proposal}}})
	}
	for _, w := range n.Contribute {
		r.Assignments = append(r.Assignments, &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Contribute{Contribute: &consiliumv1.Contribute{Plan: w.Plan, Parameters: w.Parameters, LedgerIndex: w.LedgerIndex, Inclusion: proof(w.Inclusion)}}})
	}
	for _, w := range n.Open {
		r.Assignments = append(r.Assignments, &consiliumv1.Assignment{Work: &consiliumv1.Assignment_Open{Open: &consiliumv1.Open{Plan: w.Plan, Request: w.Request, Headers: w.Headers, SealedShares: w.SealedShares, LedgerIndex: w.LedgerIndex, Inclusion: proof(w.Inclusion)}}})
	}
	for _, w := range n.Releases {
		r.Assignments = append(r.Assignments, &consiliumv1.Assignment{Work: &consiliumv1.Assignment_ReviewRelease{ReviewRelease: &consiliumv1.ReviewRelease{Release: w.Release, Audit: w.Audit, Protocol: w.Protocol, Override: w.Override}}})
	}
	return r
}

// comparable drops what the agent does not read, and the order of work of
// different kinds.
func comparable(m proto.Message) proto.Message {
	m = proto.Clone(m)
	m.ProtoReflect().SetUnknown(nil)
	switch r := m.(type) {
	case *consiliumv1.UploadChunksResponse:
		return nil // how many were stored is told again when the contribution is committed
	case *consiliumv1.PollResponse:
		var kept []*consiliumv1.Assignment
		for _, kind := range []any{&consiliumv1.Assignment_RoundEnded{}, &consiliumv1.Assignment_ReviewStudy{}, &consiliumv1.Assignment_Contribute{}, &consiliumv1.Assignment_Open{}, &consiliumv1.Assignment_ReviewRelease{}} {
			for _, a := range r.Assignments {
				if reflect.TypeOf(a.Work) != reflect.TypeOf(kind) {
					continue
				}
				if ended := a.GetRoundEnded(); ended != nil {
					ended.State = "" // the signed account says it
				}
				a.ProtoReflect().SetUnknown(nil)
				a.ProtoReflect().Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
					v.Message().SetUnknown(nil)
					return true
				})
				kept = append(kept, a)
			}
		}
		r.Assignments = kept
	}
	return m
}

// TestEveryDamagedFieldOfEveryAnswerIsRefusedOrHandedOnAsItIs gives the agent
// every damaged form of every answer it reads. Each is refused by a typed error,
// or reaches the agent as exactly what its bytes say: nothing is made up, nothing
// of another answer is mixed in, and no more memory is taken than the answer is
// long. What the content is worth, by its signatures, is the participant's to
// say, whose tests do.
func TestEveryDamagedFieldOfEveryAnswerIsRefusedOrHandedOnAsItIs(t *testing.T) {
	if testing.Short() {
		t.Skip("reads some thousand answers")
	}
	var answer atomic.Pointer[[]byte]
	l := parrot(t, &answer)
	forms, seen, missing := 0, map[protoreflect.FullName]bool{}, map[string]bool{}
	for whole, read := range answers() {
		name := whole.ProtoReflect().Descriptor().FullName()
		seen[name] = true
		damaged, absent, err := wiretest.Damaged(whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range absent {
			missing[field] = true
		}
		same, err := wiretest.SameMeaning(whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range slices.Concat(same, damaged) {
			forms++
			answer.Store(&form.Bytes)
			before := allocatedBytes()
			got, err := read(t.Context(), l)
			if grown := allocatedBytes() - before; grown > 16*wiretest.Long {
				t.Errorf("%s: %s: took %d MB of memory", name, form.Damage, grown>>20)
			}
			want := whole.ProtoReflect().New().Interface()
			if _, typed := errors.AsType[*Error](err); err != nil && !typed {
				t.Errorf("%s: %s: is refused by an untyped error: %v", name, form.Damage, err)
			} else if unreadable := proto.Unmarshal(form.Bytes, want); err == nil && unreadable != nil {
				t.Errorf("%s: %s: was read and cannot be", name, form.Damage)
			} else if want := comparable(want); err == nil && want != nil && !proto.Equal(comparable(got), want) {
				t.Errorf("%s: %s: was read as something else", name, form.Damage)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("no answer here has %s: its damaged forms were not sent", field)
	}
	for _, service := range []protoreflect.FullName{"consilium.v1.SiteService", "consilium.v1.EnrollmentService"} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(service)
		if err != nil {
			t.Fatal(err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			if output := methods.Get(i).Output().FullName(); !seen[output] {
				t.Errorf("%s is not among the answers here", output)
			}
		}
	}
	t.Logf("%d damaged answers of %d kinds", forms, len(seen))
	if forms < 500 {
		t.Error("the test has lost its point")
	}
}

func allocatedBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
