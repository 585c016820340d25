package web_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// One consortium serves all tests of what is shown: it is read-only.
func TestPages(t *testing.T) {
	s := newStage(t)
	before := s.count()
	t.Run("only auditors read", s.onlyAuditorsRead)
	t.Run("every page is strict, well-formed and leads on", s.everyPageIsStrict)
	t.Run("what researchers write is text", s.hostileTextIsText)
	t.Run("what no page takes is refused", s.refusals)
	t.Run("a study says who did what", s.studyPage)
	t.Run("what becomes of a release is on every page", s.showsTheGate)
	t.Run("two reports side by side", s.comparison)
	t.Run("every entry's proof holds, also by hand", s.proofs)
	t.Run("the bundle is the evidence", s.bundle)
	t.Run("what is on the pages is on paper", s.onPaper)
	if after := s.count(); after.facts != before.facts+1 || after.leaves != before.leaves+1 || after.blobs != before.blobs+1 {
		t.Errorf("reading changed what is stored from %+v to %+v; only the roster without the removed auditor is new", before, after)
	}
}

// shows is a client that shows a member's certificate whatever it is worth.
func shows(node *identity.Node, clock *rehearsal.Clock) *tls.Config {
	cfg := node.RenewalTLS(clock.Now)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{node.Certificate().Raw}, PrivateKey: node.Keys().Signing()}, nil
	}
	return cfg
}

func (s *stage) onlyAuditorsRead(t *testing.T) {
	removedNode := s.Node("Removed")
	removed := s.client(removedNode.ClientTLS(s.Clock.Now))
	if a := s.get(removed, "/studies"); a.status != http.StatusOK {
		t.Fatalf("before it was removed: %d %v", a.status, a.err)
	}
	s.Remove("Removed")
	other := rehearsal.New(t)
	other.Start(coordinator.Options{})
	other.Enrol(identity.RoleAuditor, "Ada")
	foreign := shows(s.Node("Ada"), s.Clock)
	foreign.GetClientCertificate = shows(other.Node("Ada"), s.Clock).GetClientCertificate
	coordinatorNode, err := identity.OpenNode(filepath.Join(s.StateDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	member := func(name string) *http.Client { return s.client(s.Node(name).ClientTLS(s.Clock.Now)) }
	// A certificate that is worth nothing ends the handshake; where the connection
	// is good or was, a page says why.
	const handshake = 0
	for _, party := range []struct {
		name   string
		client *http.Client
		status int
		why    string
	}{
		{"nobody", s.client(s.Node("Ada").RenewalTLS(s.Clock.Now)), http.StatusForbidden, "without a client certificate"},
		{"an expired certificate", s.client(shows(s.Node("Expired"), s.Clock)), handshake, ""},
		{"a certificate that expired since", s.lapsed, http.StatusForbidden, "expired"},
		{"another consortium's auditor", s.client(foreign), handshake, ""},
		{"a removed auditor", s.client(shows(removedNode, s.Clock)), handshake, ""},
		{"an auditor removed since", removed, http.StatusForbidden, "not one of a member"},
		{"the coordinator", s.client(shows(coordinatorNode, s.Clock)), handshake, ""},
		{"a site", member("North"), http.StatusForbidden, "certificate of a site"},
		{"a researcher", member("Rita"), http.StatusForbidden, "certificate of a researcher"},
		{"the governance key", s.client(s.Governance.ClientTLS(s.Clock.Now)), http.StatusForbidden, "reads no pages"},
		{"an auditor", member("Ada"), http.StatusOK, ""},
	} {
		for _, path := range append(s.pages(), "/nowhere") {
			a := s.get(party.client, path)
			want := party.status
			if want == http.StatusOK && path == "/nowhere" {
				want = http.StatusNotFound
			}
			if a.status != want || (a.err != nil) != (want == handshake) {
				t.Errorf("%s asks for %s: %d %v, want %d", party.name, path, a.status, a.err, want)
			}
			if want == http.StatusForbidden && (!strings.Contains(a.body, party.why) || strings.Contains(a.body, s.studies[0])) {
				t.Errorf("%s asks for %s and reads %q", party.name, path, a.body)
			}
		}
	}
}

// wellFormed reads HTML as XML and returns the links that it leads to.
func wellFormed(t *testing.T, where, body string) (links []string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(body))
	decoder.Strict, decoder.Entity = true, xml.HTMLEntity
	seen, ids := map[string]int{}, map[string]bool{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s is not well-formed: %v", where, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		seen[start.Name.Local]++
		for _, a := range start.Attr {
			switch name := a.Name.Local; {
			case name == "href" && !strings.HasPrefix(a.Value, "#"):
				links = append(links, a.Value)
			case name == "style", name == "src", strings.HasPrefix(name, "on"):
				t.Errorf("%s has the attribute %s", where, name)
			case name == "id" && ids[a.Value]:
				t.Errorf("%s has two elements of id %s", where, a.Value)
			case name == "id":
				ids[a.Value] = true
			}
		}
	}
	for element, n := range map[string]int{"main": 1, "header": 1, "footer": 1, "h1": 1, "script": 0} {
		if seen[element] != n {
			t.Errorf("%s has %d of the element %s, want %d", where, seen[element], element, n)
		}
	}
	return links
}

func (s *stage) everyPageIsStrict(t *testing.T) {
	client := s.auditor()
	queue, seen := []string{"/", "/nowhere", "/ledger/999"}, map[string]bool{}
	kinds := map[string]int{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		a := s.get(client, path)
		if dead := path == "/nowhere" || path == "/ledger/999"; a.err != nil || (a.status == http.StatusOK) == dead {
			t.Errorf("%s: %d %v", path, a.status, a.err)
			continue
		}
		for name, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if a.header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, a.header.Get(name))
			}
		}
		csp := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src '") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script") {
			t.Errorf("%s: Content-Security-Policy is %q", path, csp)
		}
		if a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", path)
		}
		kind := a.header.Get("Content-Type")
		kinds[kind]++
		if !strings.HasPrefix(kind, "text/html") {
			continue
		}
		for _, link := range wellFormed(t, path, a.body) {
			next, err := http.NewRequest(http.MethodGet, "https://"+s.address+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			to, err := next.URL.Parse(link)
			if err != nil || to.Host != s.address {
				t.Errorf("%s leads to %s", path, link)
				continue
			}
			queue = append(queue, to.RequestURI())
		}
	}
	for _, path := range []string{"/compare/models?a=" + s.studies[0] + "&b=" + s.studies[1], "/compare?a=" + s.studies[1] + "&b=" + s.studies[0]} {
		wellFormed(t, path, s.get(client, path).body)
	}
	for _, kind := range []string{"text/html; charset=utf-8", "text/css; charset=utf-8", "text/plain; charset=utf-8", "application/gzip", "application/pdf"} {
		if kinds[kind] == 0 {
			t.Errorf("no link led to %s, only to %v", kind, kinds)
		}
	}
}

func (s *stage) hostileTextIsText(t *testing.T) {
	client := s.auditor()
	for _, path := range s.pages() {
		a := s.get(client, path)
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			continue
		}
		if strings.Contains(a.body, "<script") || strings.Contains(a.body, `"onmouseover`) {
			t.Errorf("%s holds the title unescaped", path)
		}
	}
	for _, path := range []string{"/studies", "/studies/" + s.studies[0], "/compare"} {
		if body := s.get(client, path).body; !strings.Contains(html.UnescapeString(body), hostile) {
			t.Errorf("%s does not show the title", path)
		}
	}
	for _, path := range []string{"/studies/%3Cscript%3E", "/ledger/%3Cscript%3E", "/ledger?study=%3Cscript%3E", "/compare?a=%3Cscript%3E&b=%22%3E%3Cscript%3E", "/%3Cscript%3E"} {
		if a := s.get(client, path); strings.Contains(a.body, "<script") || a.status < 400 {
			t.Errorf("%s: %d, and the page says %q", path, a.status, a.body)
		}
	}
}

func (s *stage) refusals(t *testing.T) {
	client := s.auditor()
	study := s.studies[0]
	for _, test := range []struct {
		method, path string
		body         io.Reader
		status       int
	}{
		{"POST", "/studies", strings.NewReader("a=b"), 405},
		{"POST", "/studies/" + study, nil, 405},
		{"PUT", "/ledger/0", strings.NewReader("x"), 405},
		{"DELETE", "/studies/" + study, nil, 405},
		{"GET", "/studies", strings.NewReader("a body"), 400},
		{"GET", "/studies/" + study[:12], nil, 400},
		{"GET", "/studies/" + strings.ToUpper(study), nil, 400},
		{"GET", "/studies/" + strings.Repeat("0", 64), nil, 404},
		{"GET", "/studies/" + strings.Repeat("0", 64) + "/bundle.tar.gz", nil, 404},
		{"GET", "/studies/" + study + "/", nil, 404},
		{"GET", "/studies/" + study + "/report/../../../../etc/passwd", nil, 404},
		{"GET", "/../coordinator.yaml", nil, 404},
		{"GET", "/studies/..%2f..%2fidentity%2fkey.pem", nil, 404},
		{"GET", "/studies/%2e%2e/style.css", nil, 404},
		{"GET", "//studies", nil, 404},
		{"GET", "/style.css/..", nil, 404},
		{"GET", "/pages/frame.html", nil, 404},
		{"GET", "/studies/\x00", nil, 400},
		{"GET", "/ledger?from=-1", nil, 404},
		{"GET", "/ledger?from=99999999999999999999999", nil, 404},
		{"GET", "/ledger?from=281474976710655", nil, 404},
		{"GET", "/ledger/18446744073709551615", nil, 404},
		{"GET", "/ledger/007", nil, 404},
		{"GET", "/ledger/+1", nil, 404},
		{"GET", "/ledger?study=" + strings.Repeat("a", 2000), nil, 414},
		{"GET", "/studies/" + strings.Repeat("a", 2000), nil, 414},
		{"GET", "/compare?a=" + study + "&b=" + strings.Repeat("0", 64), nil, 404},
		{"GET", "/compare?a=" + study + "&b=;;&b=%zz", nil, 200}, // unreadable: not chosen
		{"GET", "/compare/models?a=" + study, nil, 400},
	} {
		req, err := http.NewRequest(test.method, "https://"+s.address+"/", test.body)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + s.address + strings.ReplaceAll(test.path, "\x00", "%00")
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s %.80s: %v", test.method, test.path, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.status {
			t.Errorf("%s %.80s: %d %v, want %d", test.method, test.path, resp.StatusCode, err, test.status)
		}
		if len(body) > 32<<10 {
			t.Errorf("%s %.80s is answered at length: %d bytes", test.method, test.path, len(body))
		}
	}
	if a := s.send(client, http.MethodHead, "/studies/"+study+"/bundle.tar.gz", nil); a.status != 200 || a.body != "" {
		t.Errorf("HEAD of the bundle: %d", a.status)
	}
}

func (s *stage) studyPage(t *testing.T) {
	st, err := s.server.Status(s.studies[0])
	if err != nil {
		t.Fatal(err)
	}
	body := html.UnescapeString(s.get(s.auditor(), "/studies/"+s.studies[0]).body)
	wants := []string{"completed", "Rita", "North, South, West", st.Release.String(), "accepted", "model: {kind: glm, family: gaussian}", "privacy: {minimum_contributors: 3"}
	for _, r := range st.Rounds {
		wants = append(wants, r.Step, r.ID.String()[:12], strconv.Itoa(r.ChunksStored)+" of "+strconv.Itoa(r.ChunksExpected))
	}
	for _, want := range wants {
		if !strings.Contains(body, want) {
			t.Errorf("the study's page does not say %q", want)
		}
	}
	report := s.get(s.auditor(), "/studies/"+s.studies[0]+"/report").body
	outcome, err := s.server.Outcome(s.studies[0])
	if err != nil {
		t.Fatal(err)
	}
	_, payload, err := statement.Payload(outcome.Audit)
	if err != nil || !strings.Contains(report, statement.DigestOf(payload).String()) {
		t.Errorf("the report does not name the signed one (%v)", err)
	}
}

// A report beside itself has no change; beside another it has, and the page says
// whether they can be compared.
func (s *stage) comparison(t *testing.T) {
	client := s.auditor()
	changed := regexp.MustCompile(`<td>[+−][^<]*</td></tr>`) // the last column, if not 0
	same := html.UnescapeString(s.get(client, "/compare?a="+s.studies[0]+"&b="+s.studies[0]).body)
	if strings.Contains(same, ">changed<") || changed.MatchString(same) {
		t.Error("a report differs from itself")
	}
	other := html.UnescapeString(s.get(client, "/compare?a="+s.studies[0]+"&b="+s.studies[1]).body)
	for _, want := range []string{"Mean absolute error", "sex, female", "sex, unknown", "Change", "Declared criteria", "difference within 3"} {
		if !strings.Contains(other, want) {
			t.Errorf("the comparison does not say %q", want)
		}
	}
	if !changed.MatchString(other) {
		t.Error("a model that leaves a feature out is the same")
	}
}

func (s *stage) proofs(t *testing.T) {
	client := s.auditor()
	leaves := s.count().leaves
	if leaves < 30 {
		t.Fatalf("only %d entries", leaves)
	}
	for i := range leaves {
		if body := s.get(client, "/ledger/"+strconv.FormatUint(i, 10)).body; !strings.Contains(body, "The proof holds") || strings.Contains(body, "✗") {
			t.Errorf("the proof of entry %d does not hold", i)
		}
	}
	if body := s.get(client, "/ledger").body; !strings.Contains(body, "cosigned the ledger of") {
		t.Error("the ledger's page does not say who has seen it")
	}
	for _, tool := range []string{"sh", "sha256sum", "xxd", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s to compute a proof by hand with", tool)
		}
	}
	// Every command of the page, run as it stands there, gives what stands below it.
	commands := regexp.MustCompile(`(?s)<(?:pre|code)>((?:printf|echo) [^<]*)</(?:pre|code)>.*?digest">([^<]*)<`)
	for _, i := range []uint64{0, 11, leaves - 1} {
		page := s.get(client, "/ledger/"+strconv.FormatUint(i, 10)).body
		steps := commands.FindAllStringSubmatch(page, -1)
		if len(steps) < 3 {
			t.Fatalf("entry %d has %d commands", i, len(steps))
		}
		for _, step := range steps {
			out, err := exec.Command("sh", "-c", html.UnescapeString(step[1])).Output()
			if got, _, _ := strings.Cut(strings.TrimSpace(string(out)), " "); err != nil || got != html.UnescapeString(step[2]) {
				t.Errorf("entry %d: %s\ngives %q (%v), the page says %q", i, step[1], got, err, step[2])
			}
		}
		if last := html.UnescapeString(steps[len(steps)-1][2]); !strings.Contains(html.UnescapeString(page), "\n"+last+"\n") {
			t.Errorf("entry %d: the root is not in the checkpoint", i)
		}
	}
}

// The download holds what the RPC gives, and an auditor who trusts nothing but
// the governance key finds it in order.
func (s *stage) bundle(t *testing.T) {
	a := s.get(s.auditor(), "/studies/"+s.studies[0]+"/bundle.tar.gz")
	if a.err != nil {
		t.Fatal(a.err)
	}
	got := untar(t, a.body)
	_, conn := s.Connect("Ada")
	stream, err := consiliumv1.NewLedgerServiceClient(conn).Evidence(context.Background(), &consiliumv1.EvidenceRequest{Study: s.studies[0]})
	if err != nil {
		t.Fatal(err)
	}
	want := fstest.MapFS{}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if want[piece.GetPath()] == nil {
			want[piece.GetPath()] = &fstest.MapFile{Mode: 0o644}
		}
		want[piece.GetPath()].Data = append(want[piece.GetPath()].Data, piece.GetData()...)
	}
	if len(want) < 20 || len(got) != len(want) {
		t.Errorf("%d files, the RPC gives %d", len(got), len(want))
	}
	for path, file := range want {
		if got[path] == nil || !bytes.Equal(got[path].Data, file.Data) {
			t.Errorf("%s is not what the RPC gives", path)
		}
	}
	found, err := audit.Verify(got, audit.Trust{Governance: s.Governance.Public()})
	if err != nil {
		t.Fatal(err)
	}
	if bad, failed := found.First(audit.Failed); failed {
		t.Errorf("%+v", bad)
	}
}

// untar reads the files below the archive's one folder.
func untar(t *testing.T, data string) fstest.MapFS {
	t.Helper()
	zipped, err := gzip.NewReader(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		folder, path, _ := strings.Cut(header.Name, "/")
		if !strings.HasPrefix(folder, "evidence-") || files[path] != nil {
			t.Errorf("file %s", header.Name)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = &fstest.MapFile{Data: content, Mode: 0o644}
	}
}
