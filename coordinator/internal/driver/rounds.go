package driver

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// roundState is a round with what the driver keeps beside the machine.
type roundState struct {
	*round.Machine
	study     *studyState
	startedAt time.Time
	end       statement.Digest // envelope of the signed account, once ended

	secagg  *secagg.Round                            // made at first use
	headers map[string]*statement.ContributionHeader // decoded at first use
	stored  map[string][]bool                        // chunks known to be stored, for progress
	shown   *RoundStatus                             // once it has ended
	sum     *secagg.Sum                              // from its opening until the computation has had it
}

func (d *Driver) applyRound(hex string, record round.Record) error {
	id, err := statement.ParseDigest(hex)
	if err != nil {
		return err
	}
	if planned, ok := record.(round.Planned); ok {
		m, err := round.New(planned)
		if err != nil {
			return err
		}
		s, ok := d.studies[planned.Plan.Study]
		if !ok || d.rounds[id] != nil || id != planned.Round {
			return fmt.Errorf("round %s is of no study, is already there, or has another id", id)
		}
		r := &roundState{
			Machine: m, study: s, startedAt: planned.At,
			headers: map[string]*statement.ContributionHeader{}, stored: map[string][]bool{},
		}
		d.rounds[id] = r
		s.rounds = append(s.rounds, r)
		return nil
	}
	r, ok := d.rounds[id]
	if !ok {
		return fmt.Errorf("no round %s", id)
	}
	if err := r.Apply(record); err != nil {
		return err
	}
	if r.State() == round.Published {
		d.opened[r.Plan().Question] = r
	}
	return nil
}

// account is the coordinator's signed word on how a round ends.
func account(r *roundState, end round.Ended) statement.RoundEnd {
	s := statement.RoundEnd{
		Round: r.ID(), Question: r.Plan().Question, State: string(end.State), Reason: end.Reason,
		Contributors: r.Contributors(), Openers: r.Openers(), Missing: end.Missing, AtFault: end.AtFault,
		SharesGiven: r.SharesGiven(), Sum: end.Sum,
	}
	if requested, ok := r.Requested(); ok {
		s.Request = &requested.Request
	}
	return s
}

// crypto returns the round's cryptography.
func (r *roundState) crypto() (*secagg.Round, error) {
	if r.secagg == nil {
		made, err := secagg.NewRound(r.Plan().RoundSpec())
		if err != nil {
			return nil, fmt.Errorf("round %s has a plan that cannot be computed: %w", r.ID(), err)
		}
		r.secagg = made
	}
	return r.secagg, nil
}

// header returns a site's header, which was verified when it came.
func (d *Driver) header(r *roundState, site string) (*statement.ContributionHeader, error) {
	if h, ok := r.headers[site]; ok {
		return h, nil
	}
	begun, ok := r.Begun(site)
	if !ok {
		return nil, fmt.Errorf("site has begun no contribution")
	}
	envelope, err := d.bulk(r).Get(begun.Envelope)
	if err != nil {
		return nil, err
	}
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return nil, err
	}
	h := new(statement.ContributionHeader)
	if err := statement.Decode(payload, h); err != nil {
		return nil, err
	}
	r.headers[site] = h
	return h, nil
}

// openPlan makes the next round of a study durable, with the parameters that its
// plan names. Nothing has been signed or sent yet: that is the Announce job's.
func (d *Driver) openPlan(plan *statement.Plan, exact bool, parameters []byte) error {
	payload, err := statement.Encode(plan)
	if err != nil {
		return err
	}
	// What is kept is what was encoded: times are whole seconds there.
	var canonical statement.Plan
	if err := statement.Decode(payload, &canonical); err != nil {
		return err
	}
	planned := round.Planned{
		Round: statement.DigestOf(payload), Plan: canonical, Exact: exact,
		At: d.Now().UTC().Round(0).Truncate(time.Millisecond),
	}
	if _, err := round.New(planned); err != nil {
		return err
	}
	if err := d.putAll(d.Blobs.In(planned.Round), blobs.New(parameters)); err != nil {
		return err
	}
	return d.commit([]write{{roundStream(planned.Round), planned}})
}

// announce signs the plan and puts it in the ledger, after which sites see it.
func (t *trial) announce(r *roundState) error {
	d := t.driver
	if r.Plan().Roster != d.Roster().Digest() {
		return t.feed(r, round.Withdraw{Reason: "another roster came into force before the plan was announced"})
	}
	envelope, err := d.signIn(d.bulk(r), statement.KindPlan, r.Plan())
	if err != nil {
		return err
	}
	return t.feed(r, round.PlanLedgered{Envelope: envelope, Leaf: t.leaves()},
		d.entry(ledger.TypePlan, r.Plan().Study, r.ID(), envelope, d.Node.Name()))
}

// request signs the opening request and puts it in the ledger, after which those
// of the committee see it who are asked first.
func (t *trial) request(r *roundState) error {
	d, fixed := t.driver, t.now(r)
	request := statement.OpeningRequest{Round: r.ID(), Contributors: fixed.Contributors()}
	for _, site := range request.Contributors {
		c, _ := fixed.Contribution(site)
		request.Headers = append(request.Headers, c.Header)
	}
	payload, err := statement.Encode(request)
	if err != nil {
		return err
	}
	envelope, err := d.signIn(d.bulk(r), statement.KindOpeningRequest, request)
	if err != nil {
		return err
	}
	earlier := r.study.earlier(r)
	present := func(site string) bool { return d.present(site, d.Now(), r.PresenceWindow()) }
	in := round.RequestLedgered{
		Request: statement.DigestOf(payload), Envelope: envelope, Leaf: t.leaves(),
		First: fixed.First(earlier, present), Patience: round.Patience(earlier),
	}
	return t.feed(r, in, d.entry(ledger.TypeOpeningRequest, r.Plan().Study, r.ID(), envelope, d.Node.Name()))
}

// earlier are the rounds of a study before one of them, oldest first.
func (s *studyState) earlier(than *roundState) (all []*round.Machine) {
	for _, r := range s.rounds {
		if r == than {
			break
		}
		all = append(all, r.Machine)
	}
	return all
}

// round returns a round by its id in hex.
func (d *Driver) round(hex string) (*roundState, error) {
	id, err := statement.ParseDigest(hex)
	if err != nil {
		return nil, problem(Invalid, "not-a-digest", "this names no round", err.Error(), "send the round id as 64 hex digits")
	}
	return d.roundByID(id)
}

func (d *Driver) roundByID(id statement.Digest) (*roundState, error) {
	r, ok := d.rounds[id]
	if !ok {
		return nil, problem(NotFound, "no-such-round", "the coordinator knows no such round", "it made no plan with this id", "poll for the rounds that wait for you")
	}
	return r, nil
}

// find returns a round and its cryptography to a caller without the lock.
func (d *Driver) find(id statement.Digest) (*roundState, *secagg.Round, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.roundByID(id)
	if err != nil {
		return nil, nil, err
	}
	crypto, err := r.crypto()
	return r, crypto, err
}

// wants reports whether an input would change a round as it is now, for a
// caller without the lock who is about to store what the input names.
func (d *Driver) wants(r *roundState, in round.Input) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	records, err := r.Decide(d.Now(), in)
	if err != nil {
		return false, refused(err)
	}
	return len(records) > 0, nil
}

// keyOf offers only the caller's own key to statement.Open.
func (d *Driver) keyOf(caller string, role identity.Role) func(string) (ed25519.PublicKey, error) {
	roster := d.Roster()
	return func(keyid string) (ed25519.PublicKey, error) {
		if keyid != caller {
			return nil, fmt.Errorf("%w: signed by another member than the caller", identity.ErrSecurity)
		}
		return roster.KeyOfRole(role)(keyid)
	}
}

// refused turns a machine's refusal into a problem.
func refused(err error) error {
	refusal, ok := errors.AsType[*round.Refusal](err)
	if !ok {
		return err
	}
	class := Precondition
	switch refusal.Code {
	case round.CodeNotInvited, round.CodeNotOnCommittee:
		class = Denied
	case round.CodeOtherHeader, round.CodeOtherShare, round.CodeOtherRequest:
		class = Conflict
	case round.CodeNotContributor:
		class = Invalid
	}
	return &Problem{
		Class: class, Code: refusal.Code, What: "this does not count for the round", Why: refusal.Message,
		Next: "poll for what the round expects from this site", Security: refusal.Security,
	}
}
