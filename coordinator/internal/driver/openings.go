package driver

import (
	"fmt"

	"github.com/consilium-fl/consilium/coordinator/blobs"
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
	named := blobs.New(share)
	if named.Name() != s.Share {
		return wrong("it does not have the digest in its statement")
	}
	r, crypto, err := d.find(s.Round)
	if err != nil {
		return err
	}
	if err := crypto.CheckShare(share); err != nil {
		return wrong(fmt.Sprint(err))
	}
	signed := blobs.New(envelope)
	in := round.Share{Member: member, Request: s.Request, Share: s.Share, Envelope: signed.Name(), Bytes: int64(len(share))}
	entry := d.entry(ledger.TypeOpeningShare, r.Plan().Study, r.ID(), in.Envelope, member)
	return d.take(&offer{round: r, in: in, entry: []ledger.Entry{entry}}, named, signed)
}

// ReportFault records that a committee member could not open sealed shares.
func (d *Driver) ReportFault(member string, envelope []byte) error {
	var s statement.OpeningFault
	if _, err := statement.Open(envelope, statement.KindOpeningFault, &s, d.keyOf(member, identity.RoleSite)); err != nil {
		return unsigned("the fault report", err)
	}
	r, _, err := d.find(s.Round)
	if err != nil {
		return err
	}
	signed := blobs.New(envelope)
	in := round.Fault{Member: member, Request: s.Request, Envelope: signed.Name(), Senders: s.Senders}
	entry := d.entry(ledger.TypeOpeningFault, r.Plan().Study, r.ID(), in.Envelope, member)
	return d.take(&offer{round: r, in: in, entry: []ledger.Entry{entry}}, signed)
}

// take stores what a member sent and feeds it to the round's machine. Whether
// the machine wants it is asked first: nothing is stored of what it refuses or
// has already.
func (d *Driver) take(o *offer, bulk ...blobs.Blob) error {
	if wanted, err := d.wants(o.round, o.in); err != nil || !wanted {
		return err
	}
	if err := d.putAll(d.bulk(o.round), bulk...); err != nil {
		return err
	}
	return d.enter(o)
}
