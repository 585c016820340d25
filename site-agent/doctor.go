package siteagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/outbox"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/site-agent/vault"
	"github.com/consilium-fl/consilium/study"
)

// Results of a check.
const (
	Pass = "PASS"
	Warn = "WARN" // it works now and may not later
	Fail = "FAIL"
)

// Check is one thing that doctor looked at.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// DoctorOptions say whose health is examined.
type DoctorOptions struct {
	Dir     string
	Source  records.Source
	Address string
	Proxy   string
	Now     func() time.Time
}

const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
	// certificateBackdate is how far the coordinator dates certificates back.
	certificateBackdate = 5 * time.Minute
)

type doctor struct {
	o      DoctorOptions
	node   *identity.Node
	checks []Check
}

// Doctor examines the state directory, the records and the way to the
// coordinator, in the order in which one depends on another. It changes
// nothing but the certificate, which it renews to compare the clocks.
func Doctor(ctx context.Context, o DoctorOptions) []Check {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &doctor{o: o}
	if d.stateDirectory() && d.identity() {
		d.memory()
		d.history()
		d.records()
		d.network(ctx)
	} else if d.node == nil {
		d.beforeEnrolment(ctx)
	}
	return d.checks
}

// beforeEnrolment looks at the way to the coordinator for whoever is not a member
// yet, and at what becomes of an enrolment that was begun.
func (d *doctor) beforeEnrolment(ctx context.Context) {
	address := d.o.Address
	if invitation, _, err := identity.UnfinishedEnrolment(filepath.Join(d.o.Dir, identityDir)); err == nil {
		d.add("enrolment", Warn, "site-agent enroll   without the token; it goes on until the consortium has admitted you", "begun and not ended, as %s", invitation.Name)
		if address == "" {
			address = invitation.Coordinator
		}
	}
	if address != "" {
		d.reach(ctx, address)
	}
}

func (d *doctor) add(name, result, fix, detail string, args ...any) {
	d.checks = append(d.checks, Check{Name: name, Result: result, Detail: fmt.Sprintf(detail, args...), Fix: fix})
}

func (d *doctor) stateDirectory() bool {
	const name = "state directory"
	info, err := os.Stat(d.o.Dir)
	if err != nil || !info.IsDir() {
		d.add(name, Fail, "site-agent enroll TOKEN, or correct `dir` in the configuration", "%s is not there", d.o.Dir)
		return false
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		d.add(name, Warn, "chmod go-w "+d.o.Dir, "others may write to %s (mode %04o)", d.o.Dir, mode)
	} else {
		d.add(name, Pass, "", "%s", d.o.Dir)
	}
	if free, known := freeBytes(d.o.Dir); known {
		detail := fmt.Sprintf("%.1f GB free", float64(free)/1e9)
		switch {
		case free < noSpace:
			d.add("disk space", Fail, "free some space: what cannot be recorded is not sent", "%s", detail)
		case free < littleSpace:
			d.add("disk space", Warn, "free some space", "%s", detail)
		default:
			d.add("disk space", Pass, "", "%s", detail)
		}
	}
	return true
}

func (d *doctor) identity() bool {
	node, err := identity.OpenNode(filepath.Join(d.o.Dir, identityDir))
	if err != nil {
		d.add("identity", Fail, mend(err, "site-agent enroll TOKEN, or restore the identity from a backup"), "%v", err)
		return false
	}
	d.node = node
	roster := node.Rosters().Latest()
	if node.Role() != identity.RoleSite {
		d.add("identity", Fail, "ask the consortium for an invitation as a site", "%s is enrolled as %s", node.Name(), node.Role())
		return false
	}
	d.add("identity", Pass, "", "%s; keys are readable by their owner only", node.Name())
	if _, listed := roster.Member(node.Name()); listed {
		d.add("roster", Pass, "", "%s is on roster %d of %s, with %d sites", node.Name(), roster.Number, roster.Consortium, len(roster.Sites()))
	} else {
		d.add("roster", Fail, "ask the consortium why, and for a new invitation", "%s was removed from roster %d", node.Name(), roster.Number)
	}
	until := node.Certificate().NotAfter
	switch left := until.Sub(d.o.Now()); {
	case left <= 0:
		d.add("certificate", Warn, "start the agent: it gets a new one by its enrolment", "it expired %s", until.Format(time.RFC3339))
	case node.NeedsRenewal(d.o.Now()):
		d.add("certificate", Warn, "start the agent: it renews the certificate by itself", "it expires %s", until.Format(time.RFC3339))
	default:
		d.add("certificate", Pass, "", "valid until %s, renewed by itself", until.Format(time.RFC3339))
	}
	return true
}

// memory opens the vault if nobody else has it.
func (d *doctor) memory() {
	v, err := vault.Open(filepath.Join(d.o.Dir, vaultDir), d.o.Now)
	switch {
	case errors.Is(err, vault.ErrLocked):
		d.add("lock", Pass, "", "an agent is running on this directory")
	case err != nil:
		d.add("vault", Fail, mend(err, "restore the state directory from a backup, or enrol anew"), "%v", err)
	default:
		d.add("lock", Pass, "", "no agent is running on this directory")
		d.add("vault", Pass, "", "its journal is whole")
		v.Close()
	}
}

// history looks at the outbox and at what the agent last said.
func (d *doctor) history() {
	if entries, err := Outbox(d.o.Dir); err != nil {
		d.add("outbox", Fail, mend(err, "move it away for inspection; a new one is begun"), "%v", err)
	} else {
		d.add("outbox", Pass, "", "%d lines", len(entries))
	}
	status, err := ReadStatus(d.o.Dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return
	case err != nil:
		d.add("status", Warn, "start the agent", "%v", err)
	case len(status.Violations) > 0:
		seen := acknowledged(d.o.Dir)
		for i, violation := range status.Violations {
			if i < seen {
				d.add("security", Warn, "", "acknowledged: %s", violation)
			} else {
				d.add("security", Fail, "tell the consortium; do not delete the state; then site-agent status --acknowledge", "%s", violation)
			}
		}
	case status.Problem != "":
		d.add("status", Warn, "see the checks below", "at %s: %s", status.Time.Format(time.RFC3339), status.Problem)
	default:
		d.add("status", Pass, "", "last news from the coordinator at %s", status.Time.Format(time.RFC3339))
	}
}

// records looks whether every study that waits or was approved finds its
// columns. Counts are shown here and go nowhere.
func (d *doctor) records() {
	if d.o.Source == nil {
		d.add("records", Fail, "set `records` in the configuration", "no file is configured")
		return
	}
	rows, err := d.o.Source.Open()
	if err != nil {
		d.add("records", Fail, "correct `records` in the configuration, or export the file again", "%v", err)
		return
	}
	columns := len(rows.Columns())
	rows.Close()
	d.add("records", Pass, "", "readable, %d columns", columns)
	reviews, err := Studies(d.o.Dir)
	if err != nil {
		d.add("studies", Fail, "restart the agent to fetch them again", "%v", err)
		return
	}
	for _, r := range reviews {
		if r.State == Refused {
			continue
		}
		name := "records for " + r.DryRun.Name
		protocol, err := StudyProtocol(d.o.Dir, r.Study)
		if err != nil {
			d.add(name, Fail, "restart the agent to fetch it again", "%v", err)
			continue
		}
		parsed, err := study.Parse(protocol)
		if err != nil {
			d.add(name, Fail, "update the agent", "%v", err)
			continue
		}
		switch run := DryRunAt(d.o.Dir, parsed, d.o.Source); {
		case run.Unreadable != "":
			d.add(name, Fail, "add or rename the column, or refuse the study", "%s", run.Unreadable)
		case run.Rows == 0:
			d.add(name, Warn, "see the reasons with site-agent approve", "no record is usable")
		default:
			d.add(name, Pass, "", "%d usable records", run.Rows)
		}
	}
}

// mend says what to do about an error of the state directory: where it is one of
// permissions, space or a file system that is read-only, nothing is lost and a
// backup would only make it worse.
func mend(err error, otherwise string) string {
	if ofThisMachine(err) && !errors.Is(err, os.ErrNotExist) {
		return "let the agent's user read and write all of the state directory: see its owner, its modes, its file system and its space. Restore nothing"
	}
	return otherwise
}

// network goes to the coordinator step by step.
func (d *doctor) network(ctx context.Context) {
	address := uplink.Address(d.o.Address, d.node.Rosters().Latest())
	if !d.reach(ctx, address) {
		return
	}
	box, err := outbox.Open(filepath.Join(d.o.Dir, outboxFile), d.o.Now)
	if err != nil {
		return // reported above
	}
	defer box.Close()
	link, err := uplink.Connect(uplink.Options{Address: address, Proxy: d.o.Proxy, TLS: d.node.ClientTLS(d.o.Now), Outbox: box})
	if err != nil {
		d.add("tls", Fail, "correct the configuration", "%v", err)
		return
	}
	defer link.Close()
	request, err := d.node.CertificateRequest()
	if err != nil {
		d.add("tls", Fail, "restore the identity from a backup", "%v", err)
		return
	}
	certificate, err := link.RenewCertificate(ctx, request)
	if err != nil {
		d.add("tls", Fail, "compare the clocks; if they agree, ask the consortium whether this site is still a member and the address right", "%v", err)
		return
	}
	d.add("tls", Pass, "", "TLS 1.3 with the coordinator's rostered key; it accepts this site's certificate")
	if err := d.node.SetCertificate(certificate); err != nil {
		d.add("certificate renewal", Fail, mend(err, "compare the clocks"), "%v", err)
		return
	}
	d.clock(d.node.Certificate().NotBefore.Add(certificateBackdate))
}

// reach looks the coordinator's name up and opens a connection, without a word.
func (d *doctor) reach(ctx context.Context, address string) bool {
	host, err := uplink.Resolve(ctx, address, d.o.Proxy)
	if err != nil {
		d.add("name", Fail, "check the name, the name server, and `coordinator` and `proxy` in the configuration", "%v", err)
		return false
	}
	d.add("name", Pass, "", "%s resolves", host)
	if err := uplink.Reach(ctx, address, d.o.Proxy); err != nil {
		d.add("connection", Fail, "ask your network's administrator to allow the way out to "+address, "%v", err)
		return false
	}
	d.add("connection", Pass, "", "%s answers", address)
	return true
}

// clock compares this machine's with the coordinator's, whose time is in the
// certificate that it has just made.
func (d *doctor) clock(coordinators time.Time) {
	skew := d.o.Now().Sub(coordinators).Round(time.Second)
	if skew.Abs() > participant.DefaultSkew {
		d.add("clock", Fail, "set the clock, and keep it set with NTP", "%s away from the coordinator's; at most %s is tolerated", skew, participant.DefaultSkew)
		return
	}
	d.add("clock", Pass, "", "%s away from the coordinator's", skew.Abs())
}
