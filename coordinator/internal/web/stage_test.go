package web_test

import (
	"context"
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/identity"
)

// hostile is a title that would do harm wherever it is not escaped.
const hostile = `</title><script src=x>alert('1')</script>"onmouseover="{{.}}&amp;`

const ttl = 20 * time.Minute

// stage is a consortium with two completed studies, the first with a hostile
// title, whose hospitals have gone home.
type stage struct {
	*rehearsal.Consortium
	t       *testing.T
	address string // of the pages
	server  *rehearsal.Server
	db      *sqlite.DB
	studies []string
	lapsed  *http.Client      // an auditor who was in before the certificate expired
	blocked map[string]answer // pages of the second study while its criteria blocked the release
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Consortium: rehearsal.New(t), t: t}
	var err error
	if s.db, err = sqlite.Open(context.Background(), filepath.Join(s.StateDir(), "facts.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = s.Start(coordinator.Options{Store: s.db, CertificateTTL: ttl, WebListener: listener})

	// Those whose certificates are to expire enrol first; then the clock leaps.
	s.Enrol(identity.RoleAuditor, "Expired", "Lapsed")
	s.lapsed = s.client(s.Node("Lapsed").ClientTLS(s.Clock.Now))
	if answer := s.get(s.lapsed, "/studies"); answer.status != http.StatusOK {
		t.Fatalf("before it lapsed: %d", answer.status)
	}
	s.Clock.Skip(ttl + time.Minute)
	s.until("the coordinator renews its certificate", func() bool {
		conn, err := tls.Dial("tcp", s.address, s.Node("Lapsed").RenewalTLS(s.Clock.Now))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	s.Enrol(identity.RoleSite, "North", "South", "West")
	s.Enrol(identity.RoleResearcher, "Rita")
	s.Enrol(identity.RoleAuditor, "Ada", "Removed")
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan struct{}, 3)
	for i, name := range []string{"North", "South", "West"} {
		h := s.Hospital(name, uint64(i))
		go func() { h.Run(ctx); left <- struct{}{} }()
	}
	defer func() {
		leave()
		for range 3 {
			<-left
		}
	}()
	protocol := strings.Replace(rehearsal.Study, "  minimum_cell: 3\n", "  minimum_cell: 3\n  criteria: [{metric: mae, attribute: sex, margin: 3}]\n", 1)
	titled := strings.Replace(protocol, "title: A made-up dose from made-up patients", "title: '"+strings.ReplaceAll(hostile, "'", "''")+"'", 1)
	fewer := strings.NewReplacer("version: 1", "version: 2", "  - {column: variant, type: category, levels: [a, b], reference: a}\n", "").Replace(protocol)
	// Of so few patients nothing can be told with a margin of nothing, which blocks
	// the second release until Ada overrides that.
	fewer = strings.Replace(fewer, "{metric: mae, attribute: sex, margin: 3}", "{metric: mae, attribute: sex, margin: 0, on_insufficient: block}", 1)
	for _, protocol := range []string{titled, fewer} {
		s.studies = append(s.studies, s.play(protocol))
	}
	return s
}

// play carries a study from its proposal to the last decision on its release.
func (s *stage) play(protocol string) string {
	s.t.Helper()
	rita := s.Researcher("Rita")
	study := rita.Propose(protocol)
	status := func() *coordinator.StudyStatus {
		st, err := s.server.Status(study)
		if err != nil {
			s.t.Fatal(err)
		}
		return st
	}
	all := func(decisions []coordinator.SiteDecision, word string) bool {
		n := 0
		for _, d := range decisions {
			if d.Decision == word {
				n++
			}
		}
		return n == 3
	}
	s.until("every hospital approves", func() bool { return all(status().Decisions, "approved") })
	if err := rita.Start(study); err != nil {
		s.t.Fatal(err)
	}
	s.until("the study ends", func() bool { return status().Over() })
	if status().Gate == fairness.Blocked {
		s.blocked = map[string]answer{}
		for _, path := range []string{"/studies", "/studies/" + study, "/studies/" + study + "/report", "/compare?a=" + s.studies[0] + "&b=" + study} {
			s.blocked[strings.ReplaceAll(path, study, "ID")] = s.get(s.auditor(), path)
		}
		if err := s.Auditor("Ada").Override(study, hostile); err != nil {
			s.t.Fatal(err)
		}
	}
	s.until("every hospital accepts the release", func() bool { return all(status().ReleaseDecisions, "accepted") })
	return study
}

func (s *stage) until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	s.t.Fatalf("not within a minute: %s", what)
}

// client speaks to the pages over TLS, following no redirects.
func (s *stage) client(cfg *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: cfg}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *stage) auditor() *http.Client { return s.client(s.Node("Ada").ClientTLS(s.Clock.Now)) }

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // the handshake was refused, or the download was cut off
}

func (s *stage) get(client *http.Client, path string) answer {
	return s.send(client, http.MethodGet, path, nil)
}

func (s *stage) send(client *http.Client, method, path string, body io.Reader) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, "https://"+s.address+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data), err}
}

// pages are all there are, for a study.
func (s *stage) pages() []string {
	a, b := s.studies[0], s.studies[1]
	return []string{
		"/", "/studies", "/studies/" + a, "/studies/" + a + "/report", "/studies/" + a + "/result", "/studies/" + a + "/bundle.tar.gz",
		"/studies/" + a + "/report.pdf", "/studies/" + a + "/result.pdf", "/studies/" + b + "/card.pdf",
		"/compare", "/compare?a=" + a, "/compare?a=" + a + "&b=" + b, "/compare/models?a=" + a + "&b=" + b,
		"/ledger", "/ledger?from=0", "/ledger?from=0&study=" + b, "/ledger/0", "/ledger/11", "/ledger/11/entry.tlogproof", "/style.css",
	}
}

// state counts what is stored.
type state struct {
	facts, leaves uint64
	blobs         int
}

func (s *stage) count() (n state) {
	s.t.Helper()
	var err error
	if n.facts, n.leaves, err = s.db.Size(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(s.StateDir(), "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n.blobs++
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
