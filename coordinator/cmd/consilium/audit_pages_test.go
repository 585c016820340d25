package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/internal/console"
)

// An auditor opens the pages with nothing but the identity that enrolment made.
func TestAnAuditorOpensThePages(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})
	w.stop()
	listener, err := net.Listen("tcp", w.address)
	must(t, err)
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.serveOptions(coordinator.Options{Listener: listener, WebListener: pages})
	at := pages.Addr().String()

	w.refused("rosa", []string{"for auditors", "rosa is a researcher"}, "audit", "pages", "--at", at)
	w.refused("ines", []string{"web_listen"}, "audit", "pages", "--at", w.address) // gRPC answers there
	if code, _, errs := w.execute("ines", "audit", "pages", "--at", at, "--listen", "0.0.0.0:0"); code != console.ExitUsage || !strings.Contains(errs, "only this computer") {
		t.Errorf("listening for everybody: exit %d, %s", code, errs)
	}

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	read, written := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"audit", "pages", "--at", at, "--json"}, strings.NewReader(""), written, io.Discard, func(name string) string {
			if name == "CONSILIUM_IDENTITY" {
				return filepath.Join(w.dir, "ines")
			}
			return ""
		})
		written.Close()
	}()
	line, err := bufio.NewReader(read).ReadBytes('\n')
	must(t, err)
	var opened struct{ URL string }
	must(t, json.Unmarshal(line, &opened))
	status, body, _ := fetch(t, http.MethodGet, opened.URL, "")
	if status != http.StatusOK || !strings.Contains(body, "Studies of test") || !strings.Contains(body, "Read as ines") {
		t.Errorf("%s: %d %s", opened.URL, status, body)
	}
	// Links lead on below the secret.
	if status, body, header := fetch(t, http.MethodGet, strings.TrimSuffix(opened.URL, "studies")+"ledger/0", ""); status != http.StatusOK || !strings.Contains(body, `href="../style.css"`) || header.Get("Content-Security-Policy") == "" {
		t.Errorf("the ledger's first entry: %d %s", status, body)
	}
	interrupt()
	if code := <-exit; code != console.ExitOK {
		t.Errorf("interrupted, it exits with %d", code)
	}
}

// fetch asks for a page; host, if not empty, is what the browser believes the
// server to be called.
func fetch(t *testing.T, method, url, host string) (status int, body string, header http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	must(t, err)
	req.Host = host
	req.Header.Set("Cookie", "secret=of-the-browser")
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(data), resp.Header
}

// A coordinator that would harm its reader's browser cannot; nor can a page that
// the browser has open from elsewhere.
func TestTheRelayTrustsNeitherSide(t *testing.T) {
	var asked *http.Request
	hostile := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		h := w.Header()
		h.Set("Set-Cookie", "kept=yes")
		h.Set("Refresh", "0; url=https://elsewhere.example/")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Content-Security-Policy", "default-src *")
		h.Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/script":
			h.Set("Content-Type", "text/javascript")
		case "/opened.pdf":
			h.Set("Content-Type", "application/pdf")
		case "/saved.pdf":
			h.Set("Content-Type", "application/pdf")
			h.Set("Content-Disposition", `attachment; filename="x.pdf"`)
		case "/untyped":
			h["Content-Type"] = nil
		case "/redirect":
			h.Set("Location", "https://elsewhere.example/")
			w.WriteHeader(http.StatusFound)
		}
		io.WriteString(w, "<script>alert(1)</script>")
	}))
	defer hostile.Close()
	relay := newRelay("", strings.TrimPrefix(hostile.URL, "https://"), &tls.Config{InsecureSkipVerify: true})
	server := httptest.NewServer(relay)
	defer server.Close()
	relay.host = strings.TrimPrefix(server.URL, "http://")
	top := server.URL + relay.prefix

	status, _, header := fetch(t, http.MethodGet, top+"/studies?a=b", "")
	if status != http.StatusOK || asked.URL.RequestURI() != "/studies?a=b" {
		t.Fatalf("%d, and the coordinator was asked for %v", status, asked.URL)
	}
	if asked.Header.Get("Cookie") != "" || asked.Header.Get("X-Forwarded-For") != "" || strings.Contains(asked.Header.Get("User-Agent"), "Go-http") {
		t.Errorf("the coordinator was told %v", asked.Header)
	}
	for _, name := range []string{"Set-Cookie", "Refresh", "Access-Control-Allow-Origin"} {
		if header.Get(name) != "" {
			t.Errorf("the browser gets %s: %s", name, header.Get(name))
		}
	}
	if policies := header.Values("Content-Security-Policy"); !slices.Contains(policies, pagePolicy) || strings.Contains(pagePolicy, "script") {
		t.Errorf("the browser is told %q", policies)
	}
	if status, _, header := fetch(t, http.MethodGet, top+"/saved.pdf", ""); status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") {
		t.Errorf("a PDF to save: %d, %v", status, header)
	}
	for _, path := range []string{"/script", "/untyped", "/redirect", "/opened.pdf"} {
		if status, body, header := fetch(t, http.MethodGet, top+path, ""); status != http.StatusBadGateway || strings.Contains(body, "alert") || header.Get("Location") != "" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}

	asked = nil
	for _, test := range []struct {
		method, url, host string
		status            int
	}{
		{"GET", top + "/studies", "elsewhere.example", 404}, // a name that was made to lead here
		{"GET", top + "/studies", "localhost", 404},
		{"GET", server.URL + "/studies", "", 404},
		{"GET", server.URL + "/", "", 404},
		{"GET", top, "", 404},
		{"GET", top + "x/studies", "", 404},
		{"POST", top + "/studies", "", 405},
		{"CONNECT", top + "/studies", "", 405},
	} {
		if status, body, _ := fetch(t, test.method, test.url, test.host); status != test.status || strings.Contains(body, relay.prefix) || asked != nil {
			t.Errorf("%s %s as %q: %d %s", test.method, test.url, test.host, status, body)
		}
	}
}
