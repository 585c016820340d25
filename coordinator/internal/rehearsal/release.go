package rehearsal

import (
	"context"

	"google.golang.org/grpc"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// Auditor overrides what a study's criteria block.
type Auditor struct {
	Node    *identity.Node
	Studies consiliumv1.StudyServiceClient
	c       *Consortium
}

// Auditor connects as an enrolled member who acts as an auditor, one or not.
func (c *Consortium) Auditor(name string) *Auditor {
	c.t.Helper()
	node, conn := c.Connect(name)
	return &Auditor{node, consiliumv1.NewStudyServiceClient(conn), c}
}

// Sign signs the override of a study's blocked release. The audit is the one that
// the coordinator hands out, if there is one.
func (a *Auditor) Sign(study, reason string) ([]byte, statement.ReleaseOverride) {
	a.c.t.Helper()
	id, err := statement.ParseDigest(study)
	must(a.c.t, err)
	answer, err := a.Studies.Result(context.Background(), &consiliumv1.ResultRequest{Study: study}, grpc.WaitForReady(true))
	must(a.c.t, err)
	o := statement.ReleaseOverride{Study: id, Gate: fairness.Blocked, Auditor: a.Node.Name(), Reason: reason, Time: a.c.Clock.Now()}
	if _, payload, err := statement.Payload(answer.GetAudit()); err == nil {
		o.Audit = statement.DigestOf(payload)
	}
	return a.SignAs(o), o
}

// SignAs signs whatever override it is given.
func (a *Auditor) SignAs(o statement.ReleaseOverride) []byte {
	a.c.t.Helper()
	envelope, err := statement.Sign(statement.KindReleaseOverride, o, o.Auditor, a.Node.Keys().Signing())
	must(a.c.t, err)
	return envelope
}

// Send hands an override in.
func (a *Auditor) Send(study string, envelope []byte) (release string, err error) {
	answer, err := a.Studies.OverrideRelease(context.Background(), &consiliumv1.OverrideReleaseRequest{Study: study, Override: envelope}, grpc.WaitForReady(true))
	return answer.GetRelease(), err
}

// Override overrides a study's blocked release.
func (a *Auditor) Override(study, reason string) error {
	a.c.t.Helper()
	envelope, _ := a.Sign(study, reason)
	_, err := a.Send(study, envelope)
	return err
}

// PublishCard puts a file beside a release as its model card.
func (r *Researcher) PublishCard(study, release, format string, card []byte) error {
	r.t.Helper()
	id, err := statement.ParseDigest(study)
	must(r.t, err)
	of, err := statement.ParseDigest(release)
	must(r.t, err)
	envelope, err := statement.Sign(statement.KindCard, statement.Card{
		Study: id, Release: of, Format: format, Card: statement.DigestOf(card), Researcher: r.Node.Name(), Time: r.clock.Now(),
	}, r.Node.Name(), r.Node.Keys().Signing())
	must(r.t, err)
	_, err = r.Studies.PublishCard(context.Background(), &consiliumv1.PublishCardRequest{Statement: envelope, Card: card}, grpc.WaitForReady(true))
	return err
}
