package siteagent

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
)

// connect returns the link to the coordinator, a new one when the roster moved
// the coordinator.
func (a *Agent) connect(ctx context.Context) (*uplink.Link, error) {
	address := uplink.Address(a.o.Address, a.node.Rosters().Latest())
	a.linkMu.Lock()
	defer a.linkMu.Unlock()
	if a.link != nil && a.address == address {
		return a.link, nil
	}
	if err := a.readmit(ctx, address); err != nil {
		return nil, err
	}
	link, err := uplink.Connect(uplink.Options{Address: address, Proxy: a.o.Proxy, TLS: a.node.ClientTLS(a.o.Now), Outbox: a.outbox})
	if err != nil {
		return nil, err
	}
	if a.link != nil {
		a.link.Close()
	}
	a.link, a.address = link, address
	return link, nil
}

func (a *Agent) currentLink() *uplink.Link {
	a.linkMu.Lock()
	defer a.linkMu.Unlock()
	return a.link
}

// readmit gets a certificate in place of one that expired while the agent was
// off, by showing the old enrolment: the keys are still on the roster.
func (a *Agent) readmit(ctx context.Context, address string) error {
	if a.o.Now().Before(a.node.Certificate().NotAfter) {
		return nil
	}
	enrolment, err := a.node.Enrolment()
	if err != nil {
		return err
	}
	link, err := uplink.Connect(uplink.Options{Address: address, Proxy: a.o.Proxy, TLS: a.node.RenewalTLS(a.o.Now), Outbox: a.outbox})
	if err != nil {
		return err
	}
	defer link.Close()
	certificate, rosters, admitted, err := link.Admission(ctx, enrolment)
	if err != nil {
		return a.noteRemote(err)
	}
	for _, envelope := range rosters {
		if err := a.node.AppendRoster(envelope); err != nil {
			return a.stopIfSecurity("roster-forked", "the coordinator showed a roster that does not follow the last one", err)
		}
	}
	if !admitted {
		return errors.New("this site's certificate has expired and its keys are not on the roster: ask the consortium for a new invitation")
	}
	a.log.Info("certificate renewed after it had expired")
	return a.node.SetCertificate(certificate)
}

// renew replaces the certificate before it expires; connections made from then
// on use the new one.
func (a *Agent) renew(ctx context.Context, link *uplink.Link) error {
	request, err := a.node.CertificateRequest()
	if err != nil {
		return err
	}
	certificate, err := link.RenewCertificate(ctx, request)
	if err != nil {
		if left := a.node.Certificate().NotAfter.Sub(a.o.Now()); left > time.Minute {
			a.log.Warn("the certificate could not be renewed yet", zap.Duration("left", left), zap.Error(err))
			return nil
		}
		a.dropLink() // the next attempt goes by the enrolment
		return a.noteRemote(err)
	}
	if err := a.node.SetCertificate(certificate); err != nil {
		return err
	}
	a.log.Info("certificate renewed", zap.Time("until", a.node.Certificate().NotAfter))
	a.dropLink() // the old connection would be refused when its certificate expires
	return nil
}

func (a *Agent) dropLink() {
	a.linkMu.Lock()
	defer a.linkMu.Unlock()
	a.address = "" // replaced at the next use; what is cut off resumes
}
