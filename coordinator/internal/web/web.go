// Package web is the auditor's pages on the coordinator: studies and their
// rounds, the bias audits and what differs between two of them, the ledger with
// every proof recomputed, and the evidence to take home.
//
// A reader is known by the certificate of the TLS connection, checked against
// the roster in force at every request, as in package rpc; only auditors are let
// in. There is no password, no cookie and no session to steal. Every page is
// read-only, rendered here, and needs no script, so that the browser can be told
// to run none.
//
// Nothing is shown that an auditor could not ask for by gRPC, and the pages prove
// nothing by themselves: they are the coordinator's word. Next to every claim
// stands what proves it without the coordinator.
package web

import (
	"context"
	"net/http"
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
)

const (
	maxQuery    = 1 << 10 // bytes of a query
	maxPath     = 1 << 8  // bytes of a path
	maxHeader   = 1 << 14 // bytes of a request's headers
	maxRequests = 32      // answered at a time
	maxBundles  = 2       // streamed at a time
	maxPapers   = 2       // set at a time
	stall       = 30 * time.Second
)

// NewServer returns a server of the pages; serve it with ServeTLS and no files.
// When ctx ends, downloads under way are cut off.
func NewServer(ctx context.Context, d *driver.Driver, log *zap.Logger, now func() time.Time) *http.Server {
	// HTTP/1.1 alone: a few readers need no multiplexing, and it has no streams
	// to open and abandon by the thousand.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           newSite(ctx, d, log, now),
		TLSConfig:         d.Node.ServerTLS(now),
		Protocols:         &protocols,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      stall, // of a page; a download is given more with every piece
		IdleTimeout:       30 * time.Second,
		ErrorLog:          connectionLog(log),
	}
}

// site answers requests.
type site struct {
	serving  context.Context
	driver   *driver.Driver
	log      *zap.Logger
	now      func() time.Time
	mux      *http.ServeMux
	requests chan struct{}
	bundles  chan struct{}
	papers   chan struct{}
}

func newSite(ctx context.Context, d *driver.Driver, log *zap.Logger, now func() time.Time) *site {
	s := &site{
		serving: ctx, driver: d, log: log, now: now, mux: http.NewServeMux(),
		requests: make(chan struct{}, maxRequests), bundles: make(chan struct{}, maxBundles), papers: make(chan struct{}, maxPapers),
	}
	for pattern, show := range map[string]page{
		"/{$}":                            s.studies,
		"/studies":                        s.studies,
		"/studies/{study}":                s.study,
		"/studies/{study}/report":         s.alone(s.report),
		"/studies/{study}/report.pdf":     s.onPaper("bias-audit", s.report),
		"/studies/{study}/result":         s.alone(s.result),
		"/studies/{study}/result.pdf":     s.onPaper("result", s.result),
		"/studies/{study}/card.pdf":       s.card,
		"/studies/{study}/bundle.tar.gz":  s.bundle,
		"/compare":                        s.compare,
		"/compare/models":                 s.compareModels,
		"/ledger":                         s.ledger,
		"/ledger/{index}":                 s.entry,
		"/ledger/{index}/entry.tlogproof": s.proofFile,
		"/style.css":                      s.style,
		"/":                               s.missing,
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := show(w, r); err != nil {
				s.refuse(w, r, err)
			}
		})
	}
	return s
}

// page answers a request, or returns why not, having written nothing.
type page func(w http.ResponseWriter, r *http.Request) error

// policy lets a page load its style sheet from here and nothing else from
// anywhere: no script, image, font, frame or connection.
const policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")

	reader, err := s.admit(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), readerKey{}, reader))
	if err := acceptable(w, r); err != nil {
		s.refuse(w, r, err)
		return
	}
	select {
	case s.requests <- struct{}{}:
		defer func() { <-s.requests }()
	default:
		s.refuse(w, r, busy(w, "too many requests are being answered"))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// acceptable refuses whatever no page of this site asks a browser to send.
func acceptable(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		return &problem{Status: http.StatusMethodNotAllowed, What: "nothing was done", Why: "these pages can only be read", Next: "act with the command line: consilium --help"}
	case r.ContentLength != 0:
		return &problem{Status: http.StatusBadRequest, What: "the request was refused", Why: "it has a body", Next: "ask without one"}
	case len(r.URL.RawQuery) > maxQuery || len(r.URL.Path) > maxPath:
		return &problem{Status: http.StatusRequestURITooLong, What: "the request was refused", Why: "its address is longer than any of these pages has", Next: "begin with the list of studies"}
	case path.Clean(r.URL.Path) != r.URL.Path:
		return noPage()
	}
	return nil
}

func (s *site) missing(http.ResponseWriter, *http.Request) error { return noPage() }
