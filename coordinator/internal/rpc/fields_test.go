package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/wiretest"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// readers only read. Whatever such a request says, it changes nothing, which is
// checked; what it gets is for the caller, who may have it, to make sense of.
var readers = []string{
	"SiteService/Poll", "EnrollmentService/Admission",
	"MembershipService/Rosters", "MembershipService/PendingEnrolments",
	"StudyService/List", "StudyService/Watch", "StudyService/Result",
	"LedgerService/Checkpoint", "LedgerService/Entries", "LedgerService/Inclusion", "LedgerService/Evidence",
}

// same names the damaged forms that mean the same, and why. They are sent after
// the whole one, when nothing more may be stored for them.
var same = map[string]string{
	"EnrollmentService/Enroll: consilium.v1.EnrollRequest.token: a space long": "people paste tokens, so space around one is dropped before anything is read of it",

	"SiteService/BeginContribution: consilium.v1.BeginContributionRequest.chunks: missing":              "a contribution is announced and its chunks follow",
	"SiteService/BeginContribution: consilium.v1.BeginContributionRequest.chunks: of another wire type": "a field that is not known is passed over, which leaves an announcement",
	"SiteService/BeginContribution: consilium.v1.BeginContributionRequest.chunks: the last gone":        "of one chunk none is left, which leaves an announcement",
}

// allowance is how much memory the whole process may take for one request, the
// longest of which has wiretest.Long bytes: encoded, received, decoded, and its
// base64 decoded. A request that makes the coordinator take what it only claims
// to bring takes more.
const allowance = 16 * wiretest.Long

// TestEveryDamagedFieldOfEveryRequestIsRefused listens in on a study from the
// invitations to the release. Before the first request of each method leaves, it
// sends the coordinator every damaged form of it, as the same caller, at the
// very moment when the whole one counts: each is refused, by an error that says
// why, or is of a method that only reads, and nothing is stored. Then the whole
// one goes through; and then, again, forms that mean the same: nothing more is
// stored. A method or a field that no request of the study shows fails the test.
func TestEveryDamagedFieldOfEveryRequestIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("sends some thousand requests")
	}
	w := newWalk(t)
	c := w.consortium
	w.server = c.Start(coordinator.Options{Store: w.db})
	names := []string{"Hospital 01", "Hospital 02", "Hospital 03", "Hospital 04", "Hospital 05", "Hospital 06"}
	c.Enrol(identity.RoleSite, names...)
	c.Enrol(identity.RoleResearcher, "Rita")
	c.Enrol(identity.RoleAuditor, "Ada")
	for i, name := range names {
		h := c.Hospital(name, uint64(i))
		h.Declines, h.BadShares = i == 0, i == 5
		ctx, cancel := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { h.Run(ctx) })
		t.Cleanup(func() { cancel(); done.Wait() })
	}
	rita := c.Researcher("Rita")
	// Of so few patients no criterion can be decided, so this one blocks the release
	// and an auditor has something to override.
	protocol := strings.Replace(rehearsal.Study, "deadline: 2m", "deadline: 24h", 1)
	protocol = strings.Replace(protocol, "fairness:\n", "fairness:\n  criteria: [{metric: mae, margin: 0, on_insufficient: block}]\n", 1)
	w.study = statement.DigestOf([]byte(protocol)).String()
	rita.Propose(protocol)
	w.until("every hospital has decided", func(st *coordinator.StudyStatus) bool {
		return !slices.ContainsFunc(st.Decisions, func(d coordinator.SiteDecision) bool { return d.Decision != "approved" })
	})
	must(t, rita.Start(w.study))
	w.until("the study ends", (*coordinator.StudyStatus).Over)
	must(t, c.Auditor("Ada").Override(w.study, "the groups are too small for any study to tell"))
	w.until("every hospital has decided about the release", func(st *coordinator.StudyStatus) bool {
		return st.State == "completed" && !slices.ContainsFunc(st.ReleaseDecisions, func(d coordinator.SiteDecision) bool { return d.Decision == "pending" })
	})
	st, err := w.server.Status(w.study)
	must(t, err)
	must(t, rita.PublishCard(w.study, st.Release.String(), "markdown", []byte("# Card\n")))
	w.read()
	w.covered()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// walk is the listener. It lets one request at a time to the coordinator, polls
// aside.
type walk struct {
	t          *testing.T
	consortium *rehearsal.Consortium
	db         *sqlite.DB
	server     *rehearsal.Server
	study      string

	turn   sync.Mutex
	walked map[string]bool // methods
	absent map[string]bool // fields, so far
	sent   int
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{t: t, consortium: rehearsal.New(t), walked: map[string]bool{}, absent: map[string]bool{}}
	var err error
	w.db, err = sqlite.Open(context.Background(), filepath.Join(w.consortium.StateDir(), "facts.db"))
	must(t, err)
	t.Cleanup(func() { w.db.Close() })
	w.consortium.Tap = []grpc.DialOption{grpc.WithUnaryInterceptor(w.unary), grpc.WithStreamInterceptor(w.stream)}
	return w
}

// damagedKey marks the walk's own calls, which it does not listen in on.
type damagedKey struct{}

func (w *walk) unary(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if ctx.Value(damagedKey{}) != nil {
		return invoke(ctx, method, request, answer, conn, opts...)
	}
	w.turn.Lock()
	walks := w.before(conn, method, request.(proto.Message))
	if strings.HasSuffix(method, "/Poll") { // it waits for what the others do
		w.turn.Unlock()
		return invoke(ctx, method, request, answer, conn, opts...)
	}
	defer w.turn.Unlock()
	err := invoke(ctx, method, request, answer, conn, opts...)
	if walks && err == nil {
		w.after(conn, method, request.(proto.Message))
	}
	return err
}

func (w *walk) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, conn, method, opts...)
	if err != nil || ctx.Value(damagedKey{}) != nil {
		return s, err
	}
	return &tapped{ClientStream: s, walk: w, conn: conn, method: method, many: desc.ServerStreams}, nil
}

// tapped has the turn from its first request to its last answer: what it sends
// may be stored at any moment in between.
type tapped struct {
	grpc.ClientStream
	walk   *walk
	conn   *grpc.ClientConn
	method string
	many   bool // answers
	turn   bool
}

func (s *tapped) SendMsg(m any) error {
	if !s.turn {
		s.walk.turn.Lock()
		s.turn = true
	}
	s.walk.before(s.conn, s.method, m.(proto.Message))
	return s.ClientStream.SendMsg(m)
}

func (s *tapped) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if s.turn && (err != nil || !s.many) {
		s.turn = false
		s.walk.turn.Unlock()
	}
	return err
}

// before sends every damaged form of a request, if it shows a method or a field
// for the first time. The caller has the turn.
func (w *walk) before(conn *grpc.ClientConn, method string, request proto.Message) (walks bool) {
	forms, absent, err := wiretest.Damaged(request)
	if err != nil {
		w.t.Errorf("%s: %v", method, err)
		return false
	}
	news := !w.walked[method]
	for i := range request.ProtoReflect().Descriptor().Fields().Len() {
		name := string(request.ProtoReflect().Descriptor().Fields().Get(i).FullName())
		if !slices.Contains(absent, name) {
			news = news || w.absent[name]
			delete(w.absent, name)
		} else if !w.walked[method] {
			w.absent[name] = true
		}
	}
	if !news {
		return false
	}
	w.walked[method] = true
	for _, form := range forms {
		if _, harmless := same[short(method)+": "+form.Damage]; !harmless {
			w.try(conn, method, form, slices.Contains(readers, short(method)))
		}
	}
	return true
}

func (w *walk) after(conn *grpc.ClientConn, method string, request proto.Message) {
	forms, err := wiretest.SameMeaning(request)
	damaged, _, damageErr := wiretest.Damaged(request)
	if err := errors.Join(err, damageErr); err != nil {
		w.t.Errorf("%s: %v", method, err)
	}
	for _, form := range damaged {
		if _, harmless := same[short(method)+": "+form.Damage]; harmless {
			forms = append(forms, form)
		}
	}
	for _, form := range forms {
		w.try(conn, method, form, true)
	}
}

func short(method string) string { return strings.TrimPrefix(method, "/consilium.v1.") }

// try sends a form of a request and checks that nothing is stored for it and,
// unless it may be answered, that it is refused.
func (w *walk) try(conn *grpc.ClientConn, method string, form wiretest.Form, answered bool) {
	w.sent++
	before, allocated := w.quiet(), allocatedBytes()
	err := w.send(conn, method, form.Bytes)
	grown := allocatedBytes() - allocated
	what := short(method) + ": " + form.Damage
	if after := count(w.t, w.consortium, w.db); after != before {
		w.t.Errorf("%s: changed what is stored from %v to %v", what, before, after)
	}
	if grown > allowance {
		w.t.Errorf("%s: took %d MB of memory", what, grown>>20)
	}
	if complaint := complaintAbout(err, answered); complaint != "" {
		w.t.Errorf("%s: %s: %v", what, complaint, err)
	}
}

// complaintAbout says what is wrong with an answer, if anything is.
func complaintAbout(err error, answered bool) string {
	if err == nil {
		if !answered {
			return "was not refused"
		}
		return ""
	}
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if e, ok := detail.(*consiliumv1.Error); ok {
			if s.Code() == codes.Internal || e.GetCode() == "" || e.GetWhat() == "" || e.GetWhy() == "" || e.GetNext() == "" {
				return "is answered by an error that helps nobody"
			}
			return ""
		}
	}
	switch {
	case s.Code() == codes.Internal && strings.Contains(s.Message(), "unmarshal"), s.Code() == codes.ResourceExhausted:
		return "" // the RPC library refused it before anybody saw it
	case answered && (s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled):
		return "" // it waits, as it may
	}
	return "is answered by an untyped error"
}

// encoded passes bytes through as the message that they are.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (encoded) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}

func (w *walk) send(conn *grpc.ClientConn, method string, request []byte) error {
	timeout := 30 * time.Second
	if slices.Contains([]string{"SiteService/Poll", "StudyService/Watch", "EnrollmentService/Admission"}, short(method)) {
		timeout = 200 * time.Millisecond // it may wait
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), damagedKey{}, true), timeout)
	defer cancel()
	m := methods()[method]
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodec(encoded{}))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var answer []byte
		if err := stream.RecvMsg(&answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !m.IsStreamingServer() {
			return nil
		}
	}
}

// quiet waits until the coordinator does nothing by itself, and returns what is
// stored then.
func (w *walk) quiet() state {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		at, waits := w.server.Wake()
		st, err := w.server.Status(w.study)
		running := err == nil && st.State == "running"
		if !running || waits && at.After(w.consortium.Clock.Now()) {
			return count(w.t, w.consortium, w.db)
		}
		if time.Now().After(end) {
			w.t.Error("the coordinator does not come to rest")
			return state{}
		}
	}
}

func allocatedBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// until waits for a status of the one study.
func (w *walk) until(what string, is func(*coordinator.StudyStatus) bool) {
	w.t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if st, err := w.server.Status(w.study); err == nil && is(st) {
			return
		}
	}
	w.t.Fatalf("%s: not within five minutes", what)
}

// read makes the calls that a study does not need.
func (w *walk) read() {
	ctx := context.Background()
	_, researcher := w.consortium.Connect("Rita")
	node, auditor := w.consortium.Connect("Ada")
	request, err := node.CertificateRequest()
	must(w.t, err)
	membership, ledger, studies := consiliumv1.NewMembershipServiceClient(auditor), consiliumv1.NewLedgerServiceClient(auditor), consiliumv1.NewStudyServiceClient(researcher)
	drain := func(receive func() error) error {
		for {
			if err := receive(); err != nil {
				return err
			}
		}
	}
	for name, call := range map[string]func() error{
		"rosters": func() error { _, err := membership.Rosters(ctx, &consiliumv1.RostersRequest{After: 1}); return err },
		"renew": func() error {
			_, err := membership.RenewCertificate(ctx, &consiliumv1.RenewCertificateRequest{CertificateRequest: request})
			return err
		},
		"list":       func() error { _, err := studies.List(ctx, &consiliumv1.ListRequest{}); return err },
		"result":     func() error { _, err := studies.Result(ctx, &consiliumv1.ResultRequest{Study: w.study}); return err },
		"checkpoint": func() error { _, err := ledger.Checkpoint(ctx, &consiliumv1.CheckpointRequest{OldSize: 3}); return err },
		"entries":    func() error { _, err := ledger.Entries(ctx, &consiliumv1.EntriesRequest{Start: 1, End: 5}); return err },
		"inclusion": func() error {
			_, err := ledger.Inclusion(ctx, &consiliumv1.InclusionRequest{Index: 2, Size: 7})
			return err
		},
		"poll": func() error {
			_, site := w.consortium.Connect("Hospital 02")
			_, err := consiliumv1.NewSiteServiceClient(site).Poll(ctx, &consiliumv1.PollRequest{Revision: "another", LedgerSize: 4, RosterNumber: 1})
			return err
		},
		"watch": func() error {
			stream, err := studies.Watch(ctx, &consiliumv1.WatchRequest{Study: w.study})
			if err != nil {
				return err
			}
			return drain(func() error { _, err := stream.Recv(); return err })
		},
		"evidence": func() error {
			stream, err := ledger.Evidence(ctx, &consiliumv1.EvidenceRequest{Study: w.study, Ciphertexts: true})
			if err != nil {
				return err
			}
			return drain(func() error { _, err := stream.Recv(); return err })
		},
	} {
		if err := call(); err != nil && !errors.Is(err, io.EOF) {
			w.t.Errorf("%s: %v", name, err)
		}
	}
}

// covered fails for every method of the wire contract, and for every field of a
// request, that was not walked.
func (w *walk) covered() {
	w.turn.Lock()
	defer w.turn.Unlock()
	for _, method := range slices.Sorted(maps.Keys(methods())) {
		if !w.walked[method] {
			w.t.Errorf("%s was never called: let the study call it, or call it in read", short(method))
		}
	}
	for field := range w.absent {
		w.t.Errorf("no request of the study has %s: its damaged forms were not sent", field)
	}
	w.t.Logf("%d damaged requests of %d methods", w.sent, len(w.walked))
	if w.sent < 500 {
		w.t.Error("the test has lost its point")
	}
	if files, err := os.ReadDir(filepath.Join(w.consortium.StateDir(), "blobs")); err != nil || len(files) == 0 {
		w.t.Error("no blobs were counted: ", fmt.Sprint(err))
	}
}
