package coordinator_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// smallGroup has a third sex, of which one hospital has a patient or two: fewer
// than the minimum cell either way.
var smallGroup = strings.Replace(rehearsal.Study, "levels: [female, male]", "levels: [female, male, diverse]", 1)

// Rule: no counter tells of one patient. Two runs that differ in one patient of one
// hospital, who is of a small group, answer alike, but for ids, times, digests and
// ciphertext: every Poll of every hospital, the study's status in List and Watch,
// and the auditor's pages, in the midst of a round that one hospital is waited for
// and at the end. Of what is made of opened sums, a question's parameters and the
// released model, only the numbers differ. What the test does not see: when answers
// come.
func TestNothingOnTheWayMovesWithOnePatient(t *testing.T) {
	long(t)
	t.Parallel()
	one, two := witnessed(t, 1), witnessed(t, 2)
	for _, where := range one.places() {
		a, b := one.lines(where), two.lines(where)
		if len(a) == 0 {
			t.Errorf("%s: nothing was heard", where)
		}
		for _, line := range a {
			if !slices.Contains(b, line) {
				t.Errorf("%s, with one patient of the small group only:\n%s", where, line)
			}
		}
		for _, line := range b {
			if !slices.Contains(a, line) {
				t.Errorf("%s, with two patients of the small group only:\n%s", where, line)
			}
		}
	}
	if !slices.Equal(one.places(), two.places()) || len(one.places()) != 13 {
		t.Errorf("heard %q and %q", one.places(), two.places())
	}
}

// ear hears what the coordinator answers, and can keep a hospital from contributing.
type ear struct {
	t *testing.T

	mu    sync.Mutex
	heard map[string]map[string]bool // where: what, without what differs from run to run

	keptFrom int           // from its so manieth contribution on
	begun    int           // contributions of the hospital that is kept
	freed    chan struct{} // until then
}

func (e *ear) hear(where, what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard[where] == nil {
		e.heard[where] = map[string]bool{}
	}
	for line := range strings.Lines(what) {
		e.heard[where][strings.TrimSpace(line)] = true
	}
}

func (e *ear) places() (all []string) {
	for where := range e.heard {
		all = append(all, where)
	}
	slices.Sort(all)
	return all
}

func (e *ear) lines(where string) (all []string) {
	for line := range e.heard[where] {
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func (e *ear) unary(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if begin, ok := request.(*consiliumv1.BeginContributionRequest); ok {
		e.keep(begin)
	}
	err := invoke(ctx, method, request, answer, conn, opts...)
	if news, ok := answer.(*consiliumv1.PollResponse); ok && err == nil {
		e.poll(news)
	}
	return err
}

// keep holds the last hospital's contribution back until it is freed.
func (e *ear) keep(begin *consiliumv1.BeginContributionRequest) {
	var header statement.ContributionHeader
	_, payload, err := statement.Payload(begin.GetHeader())
	if err == nil {
		err = statement.Decode(payload, &header)
	}
	if err != nil {
		e.t.Error(err)
	}
	if header.Site != "Hospital 04" {
		return
	}
	if e.begun++; e.begun == e.keptFrom {
		<-e.freed
	}
}

var (
	// varying are who was first, and how much of the log was there by then.
	varying = regexp.MustCompile(`"(openers|missing)":\[[^\]]*\]|"(leaf|leaves|size|index)":\d+`)
)

// shape is a text of JSON with every number replaced, in models that it holds too.
func shape(data []byte) string {
	var read func(v any) any
	read = func(v any) any {
		switch v := v.(type) {
		case float64:
			return "#"
		case string:
			var inner any
			if decoded, err := base64.StdEncoding.DecodeString(v); err == nil && json.Unmarshal(decoded, &inner) == nil {
				return read(inner)
			}
		case []any:
			for i := range v {
				v[i] = read(v[i])
			}
		case map[string]any:
			for key := range v {
				v[key] = read(v[key])
			}
		}
		return v
	}
	var v any
	if len(data) == 0 {
		return ""
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err.Error()
	}
	text, _ := json.Marshal(read(v))
	return plain(string(text))
}

func plain(text string) string {
	return varying.ReplaceAllString(fleeting.ReplaceAllString(text, "*"), "*")
}

// poll hears each assignment and each entry of the log: how many of them come at
// once depends on who was first.
func (e *ear) poll(news *consiliumv1.PollResponse) {
	for _, a := range news.GetAssignments() {
		switch w := a.GetWork().(type) {
		case *consiliumv1.Assignment_ReviewStudy:
			e.hear("Poll: studies", string(w.ReviewStudy.GetProtocol())+"\n"+e.payload(w.ReviewStudy.GetProposal()))
		case *consiliumv1.Assignment_Contribute:
			e.hear("Poll: plans", e.payload(w.Contribute.GetPlan()))
			e.hear("Poll: parameters", shape(w.Contribute.GetParameters()))
		case *consiliumv1.Assignment_Open:
			what := e.payload(w.Open.GetPlan()) + e.payload(w.Open.GetRequest())
			for i, header := range w.Open.GetHeaders() {
				what += e.payload(header) + fmt.Sprint(len(w.Open.GetSealedShares()[i]))
			}
			e.hear("Poll: openings", what)
		case *consiliumv1.Assignment_ReviewRelease:
			_, payload, err := statement.Payload(w.ReviewRelease.GetRelease())
			if err != nil {
				e.t.Error(err)
			}
			e.hear("Poll: releases", shape(payload))
		case *consiliumv1.Assignment_RoundEnded:
			e.hear("Poll: ends", w.RoundEnded.GetState()+" "+e.payload(w.RoundEnded.GetEnd()))
		}
	}
	for _, entry := range news.GetEntries() {
		e.hear("Poll: entries", plain(string(entry)))
	}
}

func (e *ear) payload(envelope []byte) string {
	kind, payload, err := statement.Payload(envelope)
	if err != nil {
		e.t.Error(err)
	}
	return string(kind) + " " + plain(string(payload))
}

// witnessed is a study that is heard from its proposal to its end, where the first
// hospital has so many patients of the small group.
func witnessed(t *testing.T, small int) *ear {
	t.Helper()
	e := &ear{t: t, heard: map[string]map[string]bool{}, keptFrom: 4, freed: make(chan struct{})}
	p := &play{Consortium: rehearsal.New(t), t: t, protocol: smallGroup}
	p.Tap = []grpc.DialOption{grpc.WithUnaryInterceptor(e.unary)}
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var client *http.Client
	var studies consiliumv1.StudyServiceClient
	start(t, p, coordinator.Options{WebListener: pages}, 4, func(i int, h *rehearsal.Hospital) {
		// Three answers open a sum. A fourth would count among the bytes only where it
		// comes before the sum is published.
		h.SkipOpening = i == 2
		for n := range small {
			if i == 0 {
				h.Admit([]string{"31.5", fmt.Sprint(2 + 4*n), "a", "diverse"})
			}
		}
	}, func(p *play) {
		p.Enrol(identity.RoleAuditor, "Ines")
		node, conn := p.Connect("Ines")
		studies = consiliumv1.NewStudyServiceClient(conn)
		transport := &http.Transport{TLSClientConfig: node.ClientTLS(p.Clock.Now)}
		t.Cleanup(transport.CloseIdleConnections)
		client = &http.Client{Transport: transport}
	})
	look := func(when string) {
		e.hear(when+": list", plain(text(t, listed(t, studies))))
		e.hear(when+": watch", plain(text(t, watched(t, studies, p.study))))
		for _, page := range []string{"/studies", "/studies/" + p.study} {
			e.hear(when+": "+path.Dir(page + "/x")[:8], plain(get(t, client, "https://"+pages.Addr().String()+page)))
		}
	}
	p.wait("the fourth round waits for one hospital", func(st *coordinator.StudyStatus) bool {
		return len(st.Rounds) == 4 && len(st.Rounds[3].Contributors) == 3
	})
	look("midway")
	close(e.freed)
	if st := p.finish(); st.State != "completed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	p.wait("every hospital accepts the release", func(st *coordinator.StudyStatus) bool {
		return len(st.ReleaseDecisions) == 4 && !slices.ContainsFunc(st.ReleaseDecisions, func(d coordinator.SiteDecision) bool { return d.Decision != "accepted" })
	})
	look("at the end")
	if n := p.result().Audit.N; n != 120+small {
		t.Fatalf("the audit is of %d patients: the two runs do not differ by one", n)
	}
	return e
}

func listed(t *testing.T, studies consiliumv1.StudyServiceClient) *consiliumv1.StudyStatus {
	t.Helper()
	list, err := studies.List(t.Context(), &consiliumv1.ListRequest{}, grpc.WaitForReady(true))
	if err != nil || len(list.GetStudies()) != 1 {
		t.Fatalf("%v: %v", list, err)
	}
	return settled(list.GetStudies()[0])
}

// watched is the first status that a watcher is told.
func watched(t *testing.T, studies consiliumv1.StudyServiceClient, study string) *consiliumv1.StudyStatus {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := studies.Watch(ctx, &consiliumv1.WatchRequest{Study: study})
	if err != nil {
		t.Fatal(err)
	}
	st, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return settled(st)
}

// settled is a status without who was first to open, and when.
func settled(st *consiliumv1.StudyStatus) *consiliumv1.StudyStatus {
	for _, r := range st.GetRounds() {
		r.Openers, r.Missing, r.StartedUnixMs, r.EndedUnixMs = nil, nil, 0, 0
	}
	return st
}

func text(t *testing.T, m proto.Message) string {
	t.Helper()
	data, err := protojson.MarshalOptions{Multiline: true, Indent: " "}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), ":  ", ": ") // protojson's spaces vary by binary
}

// get is a page as an auditor reads it, without who was first to open, and when.
func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, answer.Status, err)
	}
	return openers.ReplaceAllString(string(body), "*")
}

// openers are the cell of those who opened a round's sum, those who did not, and
// times.
var openers = regexp.MustCompile(`<td>\d<small class="words">[^<]*</small></td><td class="number">|<small class="words">missing: [^<]*</small>|20\d\d-\d\d-\d\d \d\d:\d\d:\d\d`)
