package web

import (
	"bytes"
	"errors"
	"log"
	"net/http"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/crypto/identity"
)

// readerKey is where a request's context holds the identity.Member who reads.
type readerKey struct{}

func reader(r *http.Request) identity.Member {
	m, _ := r.Context().Value(readerKey{}).(identity.Member)
	return m
}

// admit says which auditor asks, by the certificate of the connection and the
// roster in force now; a connection can outlive a membership.
func (s *site) admit(r *http.Request) (identity.Member, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return identity.Member{}, &problem{Status: http.StatusForbidden, What: "the page was refused", Why: "the connection came without a client certificate",
			Next: "open the pages with: consilium audit pages", Violation: "no-certificate"}
	}
	if identity.PeerGovernance(*r.TLS, s.driver.Node.Governance(), s.now()) {
		return identity.Member{}, denied("the governance key signs rosters and reads no pages", "keep it offline, and read as an auditor")
	}
	m, err := identity.PeerMember(*r.TLS, s.driver.Roster(), s.now())
	switch {
	case errors.Is(err, identity.ErrExpired), errors.Is(err, identity.ErrNotYetValid):
		return identity.Member{}, &problem{Status: http.StatusForbidden, What: "the page was refused", Why: err.Error(), Next: "renew the certificate, and check the clocks of both machines"}
	case err != nil:
		return identity.Member{}, denied("the certificate is not one of a member on the roster in force", "if you were a member, ask the consortium")
	case m.Role != identity.RoleAuditor:
		return identity.Member{}, denied("these pages are for auditors, and this is the certificate of a "+string(m.Role), "use the command line: consilium --help")
	}
	return m, nil
}

// problem is an error that a reader sees: what happened, why, what next.
type problem struct {
	Status          int
	What, Why, Next string
	Violation       string // for the log; empty if anybody may make this mistake
}

func (p *problem) Error() string { return p.What + ": " + p.Why }

func denied(why, next string) error {
	return &problem{Status: http.StatusForbidden, What: "the page was refused", Why: why, Next: next, Violation: "not-allowed"}
}

func noPage() error {
	return &problem{Status: http.StatusNotFound, What: "there is no such page", Why: "the address names none", Next: "begin with the list of studies"}
}

func busy(w http.ResponseWriter, why string) error {
	w.Header().Set("Retry-After", "10")
	return &problem{Status: http.StatusServiceUnavailable, What: "the page was not made", Why: why, Next: "try again in a moment"}
}

var statusOf = map[driver.Class]int{
	driver.Invalid:      http.StatusBadRequest,
	driver.NotFound:     http.StatusNotFound,
	driver.Denied:       http.StatusForbidden,
	driver.Conflict:     http.StatusConflict,
	driver.Precondition: http.StatusConflict,
	driver.Unavailable:  http.StatusServiceUnavailable,
}

// refuse writes an error as a page. What is not meant for the reader stays in
// the log.
func (s *site) refuse(w http.ResponseWriter, r *http.Request, err error) {
	shown, isProblem := errors.AsType[*problem](err)
	if p, ok := errors.AsType[*driver.Problem](err); ok && !isProblem {
		shown, isProblem = &problem{Status: statusOf[p.Class], What: p.What, Why: p.Why, Next: p.Next}, true
	}
	if !isProblem {
		s.log.Error("page failed", zap.String("reader", reader(r).Name), zap.Error(err))
		shown = &problem{Status: http.StatusInternalServerError, What: "the page was not made", Why: "something failed on the coordinator; nothing was changed",
			Next: "try again; if it stays, ask the coordinator's operator to look at its log"}
	}
	if shown.Violation != "" {
		s.log.Warn("page refused", zap.String("from", r.RemoteAddr), zap.String("code", shown.Violation))
	}
	f := s.frame(r, "Not shown", strings.ToUpper(shown.What[:1])+shown.What[1:])
	f.Page = shown
	if err := write(w, shown.Status, "problem", f); err != nil {
		s.log.Error("page failed", zap.Error(err))
	}
}

// still ends a download of a reader who was removed meanwhile, or whom a
// stopping coordinator cannot wait for.
func (s *site) still(r *http.Request) error {
	if err := errors.Join(r.Context().Err(), s.serving.Err()); err != nil {
		return err
	}
	_, err := s.admit(r)
	return err
}

// connectionLog records connections that were refused, which no page ever
// shows: the messages of net/http, each as the reason in a constant sentence.
func connectionLog(to *zap.Logger) *log.Logger {
	return log.New(&connections{to}, "", 0)
}

type connections struct{ log *zap.Logger }

func (c *connections) Write(line []byte) (int, error) {
	if bytes.HasSuffix(bytes.TrimSpace(line), []byte("EOF")) {
		return len(line), nil // somebody looked whether the port is open
	}
	if e := c.log.Check(zapcore.InfoLevel, "connection to the pages refused"); e != nil {
		e.Write(zap.ByteString("why", bytes.TrimSpace(line)))
	}
	return len(line), nil
}
