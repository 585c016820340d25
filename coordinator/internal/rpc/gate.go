package rpc

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/crypto/identity"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// rule says who may call a method.
type rule struct {
	roles      []identity.Role
	governance bool // the governance key
	anyone     bool // no certificate is asked for; the request proves itself
}

var (
	anyone           = rule{anyone: true}
	governance       = rule{governance: true}
	sites            = rule{roles: []identity.Role{identity.RoleSite}}
	researchers      = rule{roles: []identity.Role{identity.RoleResearcher}}
	auditors         = rule{roles: []identity.Role{identity.RoleAuditor}}
	auditing         = rule{roles: []identity.Role{identity.RoleAuditor, identity.RoleResearcher}}
	clients          = rule{roles: []identity.Role{identity.RoleSite, identity.RoleResearcher, identity.RoleAuditor}}
	clientsOrKeyhold = rule{roles: clients.roles, governance: true}
)

// rules is the one place that says who may call what; the proto comments say it
// in words. Whose study, round or contribution it is, the driver checks.
var rules = map[string]rule{
	consiliumv1.EnrollmentService_Enroll_FullMethodName:    anyone,
	consiliumv1.EnrollmentService_Admission_FullMethodName: anyone,

	consiliumv1.MembershipService_Rosters_FullMethodName:           clientsOrKeyhold,
	consiliumv1.MembershipService_RenewCertificate_FullMethodName:  clients,
	consiliumv1.MembershipService_PendingEnrolments_FullMethodName: governance,
	consiliumv1.MembershipService_PublishRoster_FullMethodName:     governance,

	consiliumv1.SiteService_Poll_FullMethodName:               sites,
	consiliumv1.SiteService_DecideStudy_FullMethodName:        sites,
	consiliumv1.SiteService_DeclineRound_FullMethodName:       sites,
	consiliumv1.SiteService_BeginContribution_FullMethodName:  sites,
	consiliumv1.SiteService_UploadChunks_FullMethodName:       sites,
	consiliumv1.SiteService_CommitContribution_FullMethodName: sites,
	consiliumv1.SiteService_SubmitOpeningShare_FullMethodName: sites,
	consiliumv1.SiteService_ReportOpeningFault_FullMethodName: sites,
	consiliumv1.SiteService_DecideRelease_FullMethodName:      sites,

	consiliumv1.StudyService_Propose_FullMethodName: researchers,
	consiliumv1.StudyService_Start_FullMethodName:   researchers,
	consiliumv1.StudyService_List_FullMethodName:    clients,
	consiliumv1.StudyService_Watch_FullMethodName:   clients,
	consiliumv1.StudyService_Result_FullMethodName:  clients,

	consiliumv1.StudyService_OverrideRelease_FullMethodName: auditors,
	consiliumv1.StudyService_PublishCard_FullMethodName:     researchers,

	consiliumv1.LedgerService_Checkpoint_FullMethodName: clients,
	consiliumv1.LedgerService_Entries_FullMethodName:    clients,
	consiliumv1.LedgerService_Inclusion_FullMethodName:  clients,
	consiliumv1.LedgerService_Evidence_FullMethodName:   auditing,
}

// callerKey is where a call's context holds the identity.Member who calls.
type callerKey struct{}

// caller returns the member who calls; the zero Member for the governance key
// and for those who need no certificate.
func caller(ctx context.Context) identity.Member {
	m, _ := ctx.Value(callerKey{}).(identity.Member)
	return m
}

// gate applies the rules.
type gate struct {
	serving context.Context // ends when the coordinator stops
	driver  *driver.Driver
	log     *zap.Logger
	now     func() time.Time
}

// admit decides whether the peer of ctx may call a method now.
func (g *gate) admit(ctx context.Context, method string) (identity.Member, error) {
	r, known := rules[method]
	if !known {
		return identity.Member{}, denied("this method has no rule that says who may call it", "update the coordinator")
	}
	if r.anyone {
		return identity.Member{}, nil
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return identity.Member{}, denied("the connection is not known", "connect again")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return identity.Member{}, &driver.Problem{
			Class: driver.Denied, Code: "no-certificate", What: "the call was refused", Why: "it came without a client certificate",
			Next: "enrol with an invitation from the consortium", Security: true,
		}
	}
	if identity.PeerGovernance(info.State, g.driver.Node.Governance(), g.now()) {
		if r.governance {
			return identity.Member{}, nil
		}
		return identity.Member{}, denied("the governance key may not call this", "call it as a member who may")
	}
	m, err := identity.PeerMember(info.State, g.driver.Roster(), g.now())
	switch {
	case errors.Is(err, identity.ErrExpired), errors.Is(err, identity.ErrNotYetValid):
		return identity.Member{}, &driver.Problem{
			Class: driver.Denied, Code: "certificate-not-valid-now", What: "the call was refused", Why: err.Error(),
			Next: "renew the certificate, and check the clocks of both machines",
		}
	case err != nil:
		return identity.Member{}, denied("the certificate is not one of a member on the roster in force", "if you were a member, ask the consortium")
	case !slices.Contains(r.roles, m.Role):
		return identity.Member{}, denied("a "+string(m.Role)+" may not call this", "call it as a member who may")
	}
	return m, nil
}

func denied(why, next string) error {
	return &driver.Problem{Class: driver.Denied, Code: "not-allowed", What: "the call was refused", Why: why, Next: next, Security: true}
}

func (g *gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	m, err := g.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, g.answer(info.FullMethod, m, err)
	}
	if m.Role == identity.RoleSite {
		defer g.driver.Heard(m.Name)()
	}
	ctx, release := g.bounded(ctx, m)
	defer release()
	resp, err := handle(ctx, req)
	if err == nil {
		// Some calls wait; a member who was removed meanwhile gets no answer.
		_, err = g.admit(ctx, info.FullMethod)
	}
	if err != nil {
		return nil, g.answer(info.FullMethod, m, err)
	}
	return resp, nil
}

func (g *gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	m, err := g.admit(ss.Context(), info.FullMethod)
	if err == nil {
		if m.Role == identity.RoleSite {
			defer g.driver.Heard(m.Name)()
		}
		ctx, release := g.bounded(ss.Context(), m)
		defer release()
		err = handle(srv, &guarded{ServerStream: ss, gate: g, method: info.FullMethod, ctx: ctx})
	}
	if err != nil {
		return g.answer(info.FullMethod, m, err)
	}
	return nil
}

// bounded gives a call its caller, and ends it when the coordinator stops.
func (g *gate) bounded(ctx context.Context, m identity.Member) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, callerKey{}, m))
	stop := context.AfterFunc(g.serving, cancel)
	return ctx, func() { stop(); cancel() }
}

// guarded asks again, for every message, whether the peer may still call: a
// stream can outlive a membership.
type guarded struct {
	grpc.ServerStream
	gate   *gate
	method string
	ctx    context.Context
}

func (g *guarded) Context() context.Context { return g.ctx }

func (g *guarded) RecvMsg(m any) error {
	if err := g.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	_, err := g.gate.admit(g.ctx, g.method)
	return err
}

func (g *guarded) SendMsg(m any) error {
	if _, err := g.gate.admit(g.ctx, g.method); err != nil {
		return err
	}
	return g.ServerStream.SendMsg(m)
}
