package driver

import (
	"errors"
	"fmt"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// sealingOverhead is more than HPKE with ML-KEM-768 and P-256 adds to a share.
const sealingOverhead = 4096

// Begin records which contribution a site is about to send and returns the
// chunks of it that are not stored yet.
func (d *Driver) Begin(site string, header []byte, sealed [][]byte) (missing []uint32, counted bool, err error) {
	a, err := d.announcement(site, header, sealed)
	if err != nil {
		return nil, false, err
	}
	// Whether the site may begin is asked first: nothing is stored for one that
	// may not.
	if wanted, err := d.wants(a.round, a.begin); err != nil {
		return nil, false, err
	} else if wanted {
		if err := d.putAll(d.bulk(a.round), append(a.shares, a.envelope)...); err != nil {
			return nil, false, err
		}
	}
	err = d.enter(&offer{round: a.round, in: a.begin, then: func() {
		a.round.headers[site] = a.header
		_, counted = a.round.Contribution(site)
	}})
	if err != nil || counted {
		return nil, counted, err
	}
	missing, err = d.missing(a.round, site, a.header)
	return missing, false, err
}

// Contribute counts a contribution that came whole and returns the signed
// receipt. It is Begin, StoreChunk for every chunk, and Commit, with one write.
func (d *Driver) Contribute(site string, header []byte, sealed, chunks [][]byte) (receipt []byte, err error) {
	a, err := d.announcement(site, header, sealed)
	if err != nil {
		return nil, err
	}
	stored := append(a.shares, a.envelope)
	bytes := a.shareBytes()
	if len(chunks) != len(a.header.Chunks) {
		return nil, malformed(fmt.Sprintf("it brings %d of its %d chunks: all of them or none", len(chunks), len(a.header.Chunks)))
	}
	for i, chunk := range chunks {
		named := blobs.New(chunk)
		if named.Name() != a.header.Chunks[i] {
			return nil, malformed(fmt.Sprintf("chunk %d does not have the digest in the header", i))
		}
		if err := a.crypto.CheckChunk(chunk); err != nil {
			return nil, malformed(fmt.Sprintf("chunk %d: %v", i, err))
		}
		stored = append(stored, named)
		bytes += named.Len()
	}
	r, in := a.round, round.Whole{Begin: a.begin, Bytes: int64(bytes)}
	entry := d.entry(ledger.TypeContribution, r.Plan().Study, r.ID(), a.begin.Envelope, site)
	counts := func() { r.headers[site] = a.header }
	if err := d.take(&offer{round: r, in: in, entry: []ledger.Entry{entry}, then: counts}, stored...); err != nil {
		return nil, err
	}
	return d.signed(statement.KindReceipt, statement.Receipt{Round: r.ID(), Site: site, Header: a.begin.Header})
}

// announcement is a contribution's header and sealed shares, verified.
type announcement struct {
	round    *roundState
	crypto   *secagg.Round
	header   *statement.ContributionHeader
	envelope blobs.Blob
	shares   []blobs.Blob // sealed, by committee member
	begin    round.Begin
}

func (a *announcement) shareBytes() (bytes int) {
	for _, share := range a.shares {
		bytes += share.Len()
	}
	return bytes
}

func (d *Driver) announcement(site string, header []byte, sealed [][]byte) (*announcement, error) {
	var h statement.ContributionHeader
	payload, err := statement.Open(header, statement.KindContributionHeader, &h, d.keyOf(site, identity.RoleSite))
	if err != nil {
		return nil, unsigned("the contribution's header", err)
	}
	r, crypto, err := d.find(h.Round)
	if err != nil {
		return nil, err
	}
	shares, err := checkHeader(r, crypto, &h, sealed)
	if err != nil {
		return nil, err
	}
	a := &announcement{round: r, crypto: crypto, header: &h, envelope: blobs.New(header), shares: shares}
	a.begin = round.Begin{Site: site, Header: statement.DigestOf(payload), Envelope: a.envelope.Name()}
	return a, nil
}

func malformed(why string) error {
	return problem(Invalid, "contribution-malformed", "the contribution does not fit the round", why, "update the site agent; if it is current, report this")
}

// checkHeader holds a header against its round and names the sealed shares.
func checkHeader(r *roundState, crypto *secagg.Round, h *statement.ContributionHeader, sealed [][]byte) (shares []blobs.Blob, err error) {
	switch {
	case len(h.Chunks) != crypto.Chunks():
		return nil, malformed(fmt.Sprintf("it names %d chunks where the plan has %d", len(h.Chunks), crypto.Chunks()))
	case len(h.Shares) != len(r.Plan().Committee) || len(sealed) != len(h.Shares):
		return nil, malformed(fmt.Sprintf("it names %d key shares and brings %d where the committee has %d members", len(h.Shares), len(sealed), len(r.Plan().Committee)))
	}
	for j, share := range sealed {
		if len(share) > crypto.ShareBytes()+sealingOverhead {
			return nil, malformed("a sealed key share is longer than any can be")
		}
		named := blobs.New(share)
		if named.Name() != h.Shares[j] {
			return nil, malformed("a sealed key share does not have the digest in the header")
		}
		shares = append(shares, named)
	}
	return shares, nil
}

// missing lists the chunks of a begun contribution that are not stored. The
// caller does not hold the lock.
func (d *Driver) missing(r *roundState, site string, h *statement.ContributionHeader) ([]uint32, error) {
	stored := make([]bool, len(h.Chunks))
	var missing []uint32
	bulk := d.bulk(r)
	for i, chunk := range h.Chunks {
		has, err := bulk.Has(chunk)
		if err != nil {
			return nil, err
		}
		if stored[i] = has; !has {
			missing = append(missing, uint32(i))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.stored[site] = stored
	return missing, nil
}

// StoreChunk stores one chunk of a begun contribution. What its header does not
// name is refused BEFORE it is stored. A power cut may still take the chunk away,
// until Commit counts the contribution.
func (d *Driver) StoreChunk(site, roundID string, index uint32, chunk []byte) error {
	r, want, err := d.expectChunk(site, roundID, index)
	if err != nil {
		return err
	}
	wrong := func(why string) error {
		return problem(Invalid, "chunk-malformed", "the chunk was not stored", why, "send the chunk that the contribution's header names at this index")
	}
	named := blobs.New(chunk)
	if named.Name() != want {
		return wrong(fmt.Sprintf("chunk %d does not have the digest in the header", index))
	}
	if err := r.secagg.CheckChunk(chunk); err != nil {
		return wrong(fmt.Sprintf("chunk %d: %v", index, err))
	}
	if err := d.unstored(d.bulk(r).Stage(named)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if stored := r.stored[site]; int(index) < len(stored) {
		stored[index] = true
	}
	return nil
}

func (d *Driver) expectChunk(site, roundID string, index uint32) (*roundState, statement.Digest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.round(roundID)
	if err != nil {
		return nil, statement.Digest{}, err
	}
	if _, begun := r.Begun(site); !begun {
		return nil, statement.Digest{}, problem(Precondition, round.CodeNotBegun, "the chunk was not stored",
			"this site has announced no contribution for the round", "begin the contribution first")
	}
	if _, counted := r.Contribution(site); r.State() != round.Collecting && !counted {
		return nil, statement.Digest{}, problem(Precondition, round.CodeTooLate, "the chunk was not stored",
			"the round is no longer collecting", "poll for how the round went on")
	}
	h, err := d.header(r, site)
	if err != nil {
		return nil, statement.Digest{}, err
	}
	if uint64(index) >= uint64(len(h.Chunks)) {
		return nil, statement.Digest{}, problem(Invalid, "chunk-malformed", "the chunk was not stored",
			fmt.Sprintf("the contribution has %d chunks, there is no chunk %d", len(h.Chunks), index), "send the chunks that the contribution's header names")
	}
	if _, err := r.crypto(); err != nil {
		return nil, statement.Digest{}, err
	}
	return r, h.Chunks[index], nil
}

// Commit counts a complete contribution and returns the signed receipt, the
// same bytes however often it is asked for.
func (d *Driver) Commit(site, roundID string) (receipt []byte, err error) {
	r, begun, h, err := d.begun(site, roundID)
	if err != nil {
		return nil, err
	}
	if h != nil {
		if err := d.count(r, site, begun, h); err != nil {
			return nil, err
		}
	}
	return d.signed(statement.KindReceipt, statement.Receipt{Round: r.ID(), Site: site, Header: begun.Header})
}

// begun returns what a site has announced. The header is nil where the
// contribution counts already.
func (d *Driver) begun(site, roundID string) (r *roundState, begun round.Begun, h *statement.ContributionHeader, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, err = d.round(roundID); err != nil {
		return nil, begun, nil, err
	}
	begun, ok := r.Begun(site)
	if !ok {
		return nil, begun, nil, problem(Precondition, round.CodeNotBegun, "the contribution does not count",
			"this site has announced none for the round", "begin the contribution first")
	}
	if _, counted := r.Contribution(site); counted {
		return r, begun, nil, nil
	}
	if _, err := r.crypto(); err != nil {
		return nil, begun, nil, err
	}
	h, err = d.header(r, site)
	return r, begun, h, err
}

func (d *Driver) count(r *roundState, site string, begun round.Begun, h *statement.ContributionHeader) error {
	missing, err := d.missing(r, site, h)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return problem(Precondition, "contribution-incomplete", "the contribution does not count yet",
			fmt.Sprintf("%d of its %d chunks are missing, the first is chunk %d", len(missing), len(h.Chunks), missing[0]),
			"begin the contribution again to learn which, and send them")
	}
	sealed, err := getAll(d.bulk(r), h.Shares...)
	if err != nil {
		return err
	}
	// Its chunks were staged. They are durable BEFORE the contribution counts.
	if err := d.unstored(d.bulk(r).Sync()); err != nil {
		return err
	}
	bytes := int64(len(h.Chunks)) * int64(r.secagg.ChunkBytes())
	for _, share := range sealed {
		bytes += int64(len(share))
	}
	entry := d.entry(ledger.TypeContribution, r.Plan().Study, r.ID(), begun.Envelope, site)
	return d.enter(&offer{round: r, in: round.Commit{Site: site, Header: begun.Header, Bytes: bytes}, entry: []ledger.Entry{entry}})
}

// Decline records that a site will not contribute to a round.
func (d *Driver) Decline(site string, envelope []byte) error {
	var decline statement.Decline
	if _, err := statement.Open(envelope, statement.KindDecline, &decline, d.keyOf(site, identity.RoleSite)); err != nil {
		return unsigned("the refusal", err)
	}
	if err := checkReason(decline.Reason); err != nil {
		return err
	}
	r, _, err := d.find(decline.Round)
	if err != nil {
		return err
	}
	signed := blobs.New(envelope)
	entry := d.entry(ledger.TypeDecline, r.Plan().Study, r.ID(), signed.Name(), site)
	return d.take(&offer{round: r, in: round.Decline{Site: site, Reason: decline.Reason}, entry: []ledger.Entry{entry}}, signed)
}

// checkReason keeps reasons what they are: one sentence for people.
func checkReason(reason string) error {
	if len(reason) > 500 {
		return problem(Invalid, "reason-too-long", "the statement was not recorded",
			fmt.Sprintf("its reason has %d bytes, 500 are allowed", len(reason)), "give the reason in one sentence")
	}
	return nil
}

// unsigned is the problem of a statement that its caller did not sign.
func unsigned(what string, err error) error {
	p := problem(Invalid, "statement-unreadable", what+" was not accepted", "it is not a statement in its canonical form", "update the program that sent it")
	if errors.Is(err, statement.ErrSecurity) || errors.Is(err, identity.ErrNotMember) {
		p = violation(Denied, "signature-refused", what+" was not accepted",
			"it is not signed, as the statement that it is, by the member who sent it", "do not retry; find out what made it")
	}
	return p
}
