package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
)

// pagesPort is where a coordinator serves the pages unless --at says otherwise.
const pagesPort = "7444"

func (a *app) auditPagesCommand() *cobra.Command {
	var at, listen string
	cmd := &cobra.Command{
		Use:   "pages",
		Short: "Open the coordinator's pages for auditors in a browser",
		Long: `Open the auditor's pages of the coordinator: studies, rounds, bias audits and what
differs between two of them, the ledger with its proofs, and evidence to download.

Your keys stay in your identity: a browser never gets them, nor could it use
them. This command listens on this computer alone, speaks to the coordinator in
your name, and believes no server but the one on your roster. The address that it
prints holds a secret, and is good until you interrupt the command; whoever knows
it and works on this computer can read what you can.

What the pages say is the coordinator's word; "consilium audit verify" is proof.`,
		Example: `  consilium audit pages
  consilium audit pages --at coordinator.example.org:7444`,
		Args: console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			if at == "" {
				host, _, err := net.SplitHostPort(c.node.Rosters().Latest().Coordinator)
				if err != nil {
					return console.Fail("the pages cannot be opened", err, "name their address: --at HOST:PORT")
				}
				at = net.JoinHostPort(host, pagesPort)
			}
			if c.node.Role() != identity.RoleAuditor {
				return &console.Problem{What: "the pages cannot be opened", Why: fmt.Sprintf("they are for auditors, and %s is a %s", c.node.Name(), c.node.Role()), Next: "consilium study list"}
			}
			return a.openPages(cmd.Context(), at, listen, c.node.ClientTLS(a.now))
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "`HOST:PORT` of the pages (default the coordinator's host, port "+pagesPort+")")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`ADDRESS` of this computer to listen on")
	return cmd
}

func (a *app) openPages(ctx context.Context, at, listen string, cfg *tls.Config) error {
	if host, _, err := net.SplitHostPort(listen); err != nil || !net.ParseIP(host).IsLoopback() {
		return &console.Problem{What: "the pages cannot be opened", Why: listen + " is not an address that only this computer reaches", Next: "leave --listen out, or name a port: --listen 127.0.0.1:8444", Exit: console.ExitUsage}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return console.Fail("the pages cannot be opened", err, "choose another --listen")
	}
	relay := newRelay(listener.Addr().String(), at, cfg)
	if err := relay.probe(ctx); err != nil {
		return errors.Join(console.Fail("the pages cannot be opened", err, "ask the coordinator's operator whether web_listen is set, and name its address: --at HOST:PORT"), listener.Close())
	}
	server := &http.Server{Handler: relay, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 1 << 14, ErrorLog: log.New(io.Discard, "", 0)}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if a.JSON {
		if err := a.PrintLine(map[string]string{"url": relay.URL()}); err != nil {
			return err
		}
	}
	a.Printf("The pages are at\n\n  %s\n\nuntil you interrupt this command.\n", relay.URL())
	if err := server.Serve(listener); ctx.Err() == nil {
		return console.Fail("the pages are closed", err, "start this command again")
	}
	return nil
}

// relay hands a browser on this computer the pages of the coordinator. It asks
// in the auditor's name, so it answers nobody who does not know the secret in
// its address, and nobody who was led here under another name (DNS rebinding).
//
// The coordinator is not trusted to be honest: whatever it sends, the browser is
// told to run no script, load nothing from elsewhere and keep nothing.
type relay struct {
	host, target, prefix string
	client               *http.Transport
	pages                http.Handler
}

func newRelay(host, target string, cfg *tls.Config) *relay {
	r := &relay{host: host, target: target, prefix: "/" + rand.Text()}
	r.client = &http.Transport{
		TLSClientConfig:   cfg,
		DisableKeepAlives: true, // each request shows the certificate that is valid now
		// A reader waits; a stuck coordinator must not hold the browser for ever.
		TLSHandshakeTimeout: 20 * time.Second, ResponseHeaderTimeout: 60 * time.Second,
	}
	r.pages = http.StripPrefix(r.prefix, &httputil.ReverseProxy{
		Transport: r.client, Rewrite: r.ask, ModifyResponse: strict, ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the coordinator's pages cannot be had: "+console.Reason(err)+"\nif this stays, interrupt \"consilium audit pages\" and start it again", http.StatusBadGateway)
		},
	})
	return r
}

// URL is where the pages begin.
func (r *relay) URL() string { return "http://" + r.host + r.prefix + "/studies" }

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Host != r.host, !strings.HasPrefix(req.URL.Path, r.prefix+"/"):
		http.Error(w, "open the address that consilium audit pages has printed", http.StatusNotFound)
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		http.Error(w, "these pages can only be read", http.StatusMethodNotAllowed)
	default:
		r.pages.ServeHTTP(w, req)
	}
}

// ask makes the request to the coordinator, to which nothing of the browser's
// goes but what page it wants.
func (r *relay) ask(p *httputil.ProxyRequest) {
	p.SetURL(&url.URL{Scheme: "https", Host: r.target})
	p.Out.Header = http.Header{"User-Agent": {"consilium audit pages"}}
	p.Out.Body, p.Out.ContentLength = nil, 0
}

// passed are the headers of the coordinator's that reach the browser.
var passed = []string{"Content-Type", "Content-Length", "Content-Disposition", "Content-Security-Policy", "Retry-After"}

// pageTypes are the kinds of files that the pages consist of; savedTypes those that
// a browser is to save and not to open, which would run what is in them.
var (
	pageTypes  = []string{"text/html", "text/css", "text/plain"}
	savedTypes = []string{"application/gzip", "application/pdf"}
)

// pagePolicy adds to whatever policy the coordinator sends: both must allow.
const pagePolicy = "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"sandbox allow-same-origin allow-forms allow-downloads"

// strict lets through what a page needs, and refuses what is no page.
func strict(resp *http.Response) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	disposition, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	known := slices.Contains(pageTypes, kind) || slices.Contains(savedTypes, kind) && disposition == "attachment"
	if err != nil || !known || resp.StatusCode != http.StatusOK && resp.StatusCode < 400 {
		return errors.New("it answered with something that is none of its pages")
	}
	kept := http.Header{
		"X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"}, "Cache-Control": {"no-store"},
		"Cross-Origin-Opener-Policy": {"same-origin"}, "Cross-Origin-Resource-Policy": {"same-origin"},
	}
	for _, name := range passed {
		if values := resp.Header.Values(name); len(values) > 0 {
			kept[name] = values
		}
	}
	kept.Add("Content-Security-Policy", pagePolicy)
	resp.Header = kept
	return nil
}

// probe asks for the first page, so that what is wrong is said before a browser
// is opened.
func (r *relay) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+r.target+"/studies", nil)
	if err != nil {
		return err
	}
	resp, err := r.client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the coordinator answered %s", resp.Status)
	}
	return nil
}
