package driver

import (
	"fmt"

	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// SubmitShare records a committee member's answer to the opening request.
func (d *Driver) SubmitShare(member string, envelope, share []byte) error {
	var s statement.OpeningShare
	if _, err := statement.Open(envelope, statement.KindOpeningShare, &s, d.keyOf(member, identity.RoleSite)); err != nil {
		return unsigned("the opening share", err)
	}
	wrong := func(why string) error {
		return problem(Invalid, "opening-share-malformed", "the opening share was not accepted", why, "update the site agent; if it is current, report this")
	}
	if statement.DigestOf(share) != s.Share {
		return wrong("it does not have the digest in its statement")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.roundByID(s.Round)
	if err != nil {
		return err
	}
	crypto, err := r.crypto()
	if err != nil {
		return err
	}
	if err := crypto.CheckShare(share); err != nil {
		return wrong(fmt.Sprint(err))
	}
	in := round.Share{Member: member, Request: s.Request, Share: s.Share, Envelope: statement.DigestOf(envelope), Bytes: int64(len(share))}
	if records, err := r.Decide(d.Now(), in); err != nil || len(records) == 0 {
		return refused(err)
	}
	if _, err := d.put(share); err != nil {
		return err
	}
	if _, err := d.put(envelope); err != nil {
		return err
	}
	return d.feed(r, in, d.entry(ledger.TypeOpeningShare, r.Plan().Study, r.ID(), in.Envelope, member))
}

// ReportFault records that a committee member could not open sealed shares.
func (d *Driver) ReportFault(member string, envelope []byte) error {
	var s statement.OpeningFault
	if _, err := statement.Open(envelope, statement.KindOpeningFault, &s, d.keyOf(member, identity.RoleSite)); err != nil {
		return unsigned("the fault report", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.roundByID(s.Round)
	if err != nil {
		return err
	}
	in := round.Fault{Member: member, Request: s.Request, Envelope: statement.DigestOf(envelope), Senders: s.Senders}
	if records, err := r.Decide(d.Now(), in); err != nil || len(records) == 0 {
		return refused(err)
	}
	if _, err := d.put(envelope); err != nil {
		return err
	}
	return d.feed(r, in, d.entry(ledger.TypeOpeningFault, r.Plan().Study, r.ID(), in.Envelope, member))
}
