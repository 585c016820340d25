// Package rehearsal is a small consortium for tests of the coordinator: real
// keys, real TLS, real cryptography, made-up patients, and hospitals that can be
// told to misbehave. It holds none of the site agent's care; what it shows is
// what the coordinator does.
package rehearsal

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// Study is a protocol that the made-up patients fit. Its deadline is short in
// the clock's time; tests skip to it.
const Study = `study: rehearsal
version: 1
title: A made-up dose from made-up patients
outcome: {column: dose, type: number, range: [0, 100], unit: mg, transform: identity}
features:
  - {column: age, type: number, range: [0, 10]}
  - {column: variant, type: category, levels: [a, b], reference: a}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
  minimum_cell: 3
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 5, tolerance: 1e-9, deadline: 2m}
`

// Clock is real time plus what was skipped.
type Clock struct{ skipped atomic.Int64 }

func (c *Clock) Now() time.Time       { return time.Now().Add(time.Duration(c.skipped.Load())) }
func (c *Clock) Skip(d time.Duration) { c.skipped.Add(int64(d)) }

// Consortium is the members and where they keep things.
type Consortium struct {
	Dir        string // everything
	Clock      *Clock
	Address    string
	Governance *identity.Governance
	Tap        []grpc.DialOption // of every connection, for a test that listens in

	t        testing.TB
	listener net.Listener // of the first coordinator
}

// New begins a consortium with a coordinator that is not started.
func New(t testing.TB) *Consortium {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &Consortium{t: t, Dir: t.TempDir(), Clock: &Clock{}, Address: listener.Addr().String(), listener: listener}
	must(t, identity.InitConsortium(identity.InitSpec{
		Consortium: "Rehearsal", CoordinatorAddress: c.Address, Now: c.Clock.Now(),
		GovernanceDir: filepath.Join(c.Dir, "governance"), CoordinatorDir: filepath.Join(c.StateDir(), "identity"),
	}))
	c.Governance, err = identity.OpenGovernance(filepath.Join(c.Dir, "governance"))
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	return c
}

// StateDir is the coordinator's folder.
func (c *Consortium) StateDir() string { return filepath.Join(c.Dir, "coordinator") }

// Release lets go of the coordinator's port, for a coordinator in another
// process.
func (c *Consortium) Release() {
	c.t.Helper()
	must(c.t, c.listener.Close())
	c.listener = nil
}

// Server is a running coordinator.
type Server struct {
	*coordinator.Coordinator
	cancel context.CancelFunc
	done   chan error
}

// Start runs a coordinator over the state; o needs nothing but what a test
// wants to replace.
func (c *Consortium) Start(o coordinator.Options) *Server {
	c.t.Helper()
	listener := c.listener
	if c.listener = nil; listener == nil {
		var err error
		listener, err = net.Listen("tcp", c.Address)
		must(c.t, err)
	}
	o.Dir, o.Listener, o.Now = c.StateDir(), listener, c.Clock.Now
	opened, err := coordinator.Open(o)
	must(c.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{Coordinator: opened, cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- opened.Serve(ctx) }()
	c.t.Cleanup(s.Stop)
	return s
}

// Stop ends a coordinator and waits for it.
func (s *Server) Stop() {
	s.cancel()
	s.done <- <-s.done
}

// Dial connects over TLS; the test closes the connection.
func (c *Consortium) Dial(cfg *tls.Config) *grpc.ClientConn {
	c.t.Helper()
	conn, err := grpc.NewClient(c.Address, append(slices.Clone(c.Tap), grpc.WithTransportCredentials(credentials.NewTLS(cfg)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second}))...)
	must(c.t, err)
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

// MemberDir is a member's identity directory.
func (c *Consortium) MemberDir(name string) string { return filepath.Join(c.Dir, "members", name) }

// Enrol brings members in under one new roster.
func (c *Consortium) Enrol(role identity.Role, names ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	governance := consiliumv1.NewMembershipServiceClient(c.Dial(c.Governance.ClientTLS(c.Clock.Now)))
	type newcomer struct {
		invitation *identity.Invitation
		enrolment  []byte
		service    consiliumv1.EnrollmentServiceClient
	}
	var newcomers []newcomer
	for _, name := range names {
		token, err := c.Governance.Invite(name, role, time.Hour, c.Clock.Now())
		must(c.t, err)
		invitation, err := identity.ParseToken(token)
		must(c.t, err)
		enrolment, err := identity.NewEnrolment(token, c.MemberDir(name))
		must(c.t, err)
		service := consiliumv1.NewEnrollmentServiceClient(c.Dial(identity.EnrolmentTLS(invitation)))
		_, err = service.Enroll(ctx, &consiliumv1.EnrollRequest{Token: token, Enrolment: enrolment})
		must(c.t, err)
		newcomers = append(newcomers, newcomer{invitation, enrolment, service})
	}
	pending, err := governance.PendingEnrolments(ctx, &consiliumv1.PendingEnrolmentsRequest{})
	must(c.t, err)
	roster, err := c.Governance.Admit(pending.GetEnrolments(), c.Clock.Now())
	must(c.t, err)
	_, err = governance.PublishRoster(ctx, &consiliumv1.PublishRosterRequest{Roster: roster})
	must(c.t, err)
	for i, n := range newcomers {
		admission, err := n.service.Admission(ctx, &consiliumv1.AdmissionRequest{Enrolment: n.enrolment})
		must(c.t, err)
		if !admission.GetAdmitted() {
			c.t.Fatalf("%s was not admitted", names[i])
		}
		must(c.t, identity.FinishEnrolment(c.MemberDir(names[i]), n.invitation, admission.GetCertificate(), admission.GetRosters()))
	}
}

// Remove takes a member off the roster.
func (c *Consortium) Remove(name string) {
	c.t.Helper()
	roster, err := c.Governance.Remove(name, c.Clock.Now())
	must(c.t, err)
	governance := consiliumv1.NewMembershipServiceClient(c.Dial(c.Governance.ClientTLS(c.Clock.Now)))
	_, err = governance.PublishRoster(context.Background(), &consiliumv1.PublishRosterRequest{Roster: roster})
	must(c.t, err)
}

// Node opens a member's identity.
func (c *Consortium) Node(name string) *identity.Node {
	c.t.Helper()
	node, err := identity.OpenNode(c.MemberDir(name))
	must(c.t, err)
	return node
}

// Connect connects as a member.
func (c *Consortium) Connect(name string) (*identity.Node, *grpc.ClientConn) {
	c.t.Helper()
	node := c.Node(name)
	return node, c.Dial(node.ClientTLS(c.Clock.Now))
}

// Researcher proposes and starts studies.
type Researcher struct {
	Node    *identity.Node
	Studies consiliumv1.StudyServiceClient
	t       testing.TB
	clock   *Clock
}

// Researcher connects as an enrolled researcher.
func (c *Consortium) Researcher(name string) *Researcher {
	c.t.Helper()
	node, conn := c.Connect(name)
	return &Researcher{Node: node, Studies: consiliumv1.NewStudyServiceClient(conn), t: c.t, clock: c.Clock}
}

// Propose proposes a study and returns its digest.
func (r *Researcher) Propose(protocol string) string {
	r.t.Helper()
	must(r.t, r.TryPropose(protocol))
	return statement.DigestOf([]byte(protocol)).String()
}

// TryPropose proposes a study and returns what the coordinator says.
func (r *Researcher) TryPropose(protocol string) error {
	r.t.Helper()
	envelope, err := statement.Sign(statement.KindProposal, statement.Proposal{
		Study: statement.DigestOf([]byte(protocol)), Researcher: r.Node.Name(), Time: r.clock.Now(),
	}, r.Node.Name(), r.Node.Keys().Signing())
	must(r.t, err)
	_, err = r.Studies.Propose(context.Background(), &consiliumv1.ProposeRequest{Protocol: []byte(protocol), Proposal: envelope}, grpc.WaitForReady(true))
	return err
}

// Code is the stable code of the error that the coordinator answered with.
func Code(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if e, ok := detail.(*consiliumv1.Error); ok {
			return e.GetCode()
		}
	}
	return fmt.Sprint(err)
}

// Start starts a study.
func (r *Researcher) Start(study string) error {
	r.t.Helper()
	id, err := statement.ParseDigest(study)
	must(r.t, err)
	envelope, err := statement.Sign(statement.KindStart, statement.Start{
		Study: id, Researcher: r.Node.Name(), Time: r.clock.Now(),
	}, r.Node.Name(), r.Node.Keys().Signing())
	must(r.t, err)
	_, err = r.Studies.Start(context.Background(), &consiliumv1.StartRequest{Study: study, Start: envelope}, grpc.WaitForReady(true))
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
