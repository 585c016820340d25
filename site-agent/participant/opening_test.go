package participant_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

func TestAnOpeningThatHoldsIsAccepted(t *testing.T) {
	c := newConsortium(t)
	for _, set := range [][]string{siteNames, {"alpha", "beta", "gamma"}, {"beta", "delta", "gamma"}} {
		p := c.plan()
		p.Nonce = statement.DigestOf([]byte(set[1])).String()[:32]
		opening, err := c.site.AcceptOpening(now, c.opening(p, set))
		if err != nil {
			t.Fatalf("%v: %v", set, err)
		}
		if opening.Replay || !slices.Equal(opening.Contributors, set) {
			t.Fatalf("opening %+v", opening)
		}
	}
}

func TestASecondSetIsRefusedAndTheSameOneReplayed(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	first := c.opening(p, siteNames)
	opening, err := c.site.AcceptOpening(now, first)
	if err != nil {
		t.Fatal(err)
	}
	c.memory.answered[opening.Round.ID] = opening.Request
	// The same request is a replay, however long the round takes to end.
	again, err := c.site.AcceptOpening(now.Add(48*time.Hour), first)
	if err != nil || !again.Replay {
		t.Fatalf("the same request again: %+v, %v", again, err)
	}
	_, err = c.site.AcceptOpening(now, c.opening(p, []string{"alpha", "beta", "gamma"}))
	wants(t, err, participant.ErrSecondSet)
	// After that nobody needs the answer, and it need not be kept.
	c.memory.ends[opening.Round.ID] = &statement.RoundEnd{State: "published"}
	_, err = c.site.AcceptOpening(now, first)
	wants(t, err, participant.ErrRoundEnded)
	_, err = c.site.AcceptOpening(now, c.opening(p, []string{"alpha", "beta", "gamma"}))
	wants(t, err, participant.ErrSecondSet)
}

func TestEveryRefusalOfAnOpening(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	rewrite := func(change func(r *statement.OpeningRequest)) func(in *participant.OpeningRequest) {
		return func(in *participant.OpeningRequest) {
			_, payload, _ := statement.Payload(in.Request)
			var r statement.OpeningRequest
			check(t, statement.Decode(payload, &r))
			change(&r)
			c.sealRequest(in, r)
		}
	}
	reheader := func(i int, node string, change func(h *statement.ContributionHeader)) func(in *participant.OpeningRequest) {
		return func(in *participant.OpeningRequest) {
			_, payload, _ := statement.Payload(in.Headers[i])
			var h statement.ContributionHeader
			check(t, statement.Decode(payload, &h))
			change(&h)
			in.Headers[i] = c.signAs(c.nodes[node], statement.KindContributionHeader, h)
			rewrite(func(r *statement.OpeningRequest) { r.Headers[i] = idOf(in.Headers[i]) })(in)
		}
	}
	cases := []struct {
		name   string
		set    []string
		change func(in *participant.OpeningRequest)
		want   error
	}{
		{"signed by a member", siteNames, func(in *participant.OpeningRequest) {
			_, payload, _ := statement.Payload(in.Request)
			var r statement.OpeningRequest
			check(t, statement.Decode(payload, &r))
			in.Request = c.signAs(c.nodes["beta"], statement.KindOpeningRequest, r)
		}, participant.ErrRequestSignature},
		{"for another round", siteNames, rewrite(func(r *statement.OpeningRequest) { r.Round = statement.Digest{1} }), participant.ErrRequestPlan},
		{"not in the ledger", siteNames, func(in *participant.OpeningRequest) { in.Logged.Leaf = nil }, participant.ErrNotInLedger},
		{"another set in the ledger", siteNames, func(in *participant.OpeningRequest) { in.Logged = c.opening(p, siteNames[:3]).Logged }, participant.ErrNotInLedger},
		{"below the floor", []string{"alpha", "beta"}, nil, participant.ErrSetFloor},
		{"a site listed twice", siteNames, rewrite(func(r *statement.OpeningRequest) { r.Contributors[1] = r.Contributors[0] }), participant.ErrSetOrder},
		{"not in ascending order", siteNames, func(in *participant.OpeningRequest) {
			slices.Reverse(in.Headers)
			slices.Reverse(in.SealedShares)
			rewrite(func(r *statement.OpeningRequest) { slices.Reverse(r.Contributors); slices.Reverse(r.Headers) })(in)
		}, participant.ErrSetOrder},
		{"a site that was not invited", siteNames, rewrite(func(r *statement.OpeningRequest) { r.Contributors[3] = "zeta" }), participant.ErrSetStranger},
		{"a header missing", siteNames, func(in *participant.OpeningRequest) { in.Headers = in.Headers[1:] }, participant.ErrSetSize},
		{"a share missing", siteNames, func(in *participant.OpeningRequest) { in.SealedShares = in.SealedShares[1:] }, participant.ErrSetSize},
		{"a digest missing", siteNames, rewrite(func(r *statement.OpeningRequest) { r.Headers = r.Headers[1:] }), participant.ErrSetSize},
		{"a header signed by another site", siteNames, func(in *participant.OpeningRequest) {
			_, payload, _ := statement.Payload(in.Headers[1])
			var h statement.ContributionHeader
			check(t, statement.Decode(payload, &h))
			h.Site = "gamma" // signs as itself, in beta's place
			in.Headers[1] = c.signAs(c.nodes["gamma"], statement.KindContributionHeader, h)
			rewrite(func(r *statement.OpeningRequest) { r.Headers[1] = idOf(in.Headers[1]) })(in)
		}, participant.ErrHeaderRound},
		{"a header with a broken signature", siteNames, func(in *participant.OpeningRequest) {
			in.Headers[1] = bytes.Replace(in.Headers[1], []byte(`"sig":"`), []byte(`"sig":"AA`), 1)
		}, participant.ErrHeader},
		{"a header that is not the one named", siteNames, func(in *participant.OpeningRequest) {
			_, payload, _ := statement.Payload(in.Headers[1])
			var h statement.ContributionHeader
			check(t, statement.Decode(payload, &h))
			h.Chunks[0] = statement.Digest{9}
			in.Headers[1] = c.signAs(c.nodes["beta"], statement.KindContributionHeader, h)
		}, participant.ErrHeaderDigest},
		{"a header for another round", siteNames, reheader(1, "beta", func(h *statement.ContributionHeader) { h.Round = statement.Digest{1} }), participant.ErrHeaderRound},
		{"a header with a chunk too many", siteNames, reheader(1, "beta", func(h *statement.ContributionHeader) { h.Chunks = append(h.Chunks, statement.Digest{}) }), participant.ErrHeaderShape},
		{"a header with a share too few", siteNames, reheader(1, "beta", func(h *statement.ContributionHeader) { h.Shares = h.Shares[1:] }), participant.ErrHeaderShape},
		{"a sealed share that was exchanged", siteNames, func(in *participant.OpeningRequest) { in.SealedShares[1] = in.SealedShares[2] }, participant.ErrShareDigest},
		{"a contribution this site did not make", siteNames, func(in *participant.OpeningRequest) { c.memory.headers[idOf(in.Plan)] = statement.Digest{5} }, participant.ErrOwnHeader},
		{"a contribution this site has forgotten", siteNames, func(in *participant.OpeningRequest) { delete(c.memory.headers, idOf(in.Plan)) }, participant.ErrForgotten},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			in := c.opening(p, slices.Clone(test.set))
			if test.change != nil {
				test.change(&in)
			}
			_, err := c.site.AcceptOpening(now, in)
			wants(t, err, test.want)
		})
	}
}

func TestAnOpeningHoldsToTheSitesOwnFloor(t *testing.T) {
	c := newConsortium(t)
	c.site.Floor = 4
	p := c.plan()
	p.MinimumContributors = 4
	_, err := c.site.AcceptOpening(now, c.opening(p, []string{"alpha", "beta", "gamma"}))
	wants(t, err, participant.ErrSetFloor)
}

func TestAnOpeningAfterItsDeadlineIsRefused(t *testing.T) {
	c := newConsortium(t)
	_, err := c.site.AcceptOpening(now.Add(7*time.Minute), c.opening(c.plan(), siteNames))
	wants(t, err, participant.ErrTooLate)
}

func TestTheCommitteeHoldsToOneOpeningOfAQuestion(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	c.memory.asked[p.Question] = []participant.Asked{{Round: statement.Digest{7}, ShareGiven: true, End: &statement.RoundEnd{State: "published"}}}
	_, err := c.site.AcceptOpening(now, c.opening(p, siteNames))
	wants(t, err, participant.ErrQuestionOpened)
}

// A share is bound to its study, round, sender and recipient by the seal itself,
// also where the sender's encapsulation serves for several of them.
func TestAMovedShareDoesNotOpen(t *testing.T) {
	c := newConsortium(t)
	keys := c.nodes["alpha"].Keys()
	var sealer identity.Sealer
	unsealer := identity.NewUnsealer(keys)
	home := identity.ShareAddress{Study: [32]byte{1}, Round: [32]byte{1}, Sender: "beta", Recipient: "alpha"}
	sealed, err := sealer.Seal(keys.SealingPublic(), home, []byte("share"))
	check(t, err)
	_, err = unsealer.Unseal(home, sealed)
	check(t, err)
	for name, move := range map[string]func(*identity.ShareAddress){
		"another study":  func(a *identity.ShareAddress) { a.Study[0]++ },
		"another round":  func(a *identity.ShareAddress) { a.Round[0]++ },
		"another sender": func(a *identity.ShareAddress) { a.Sender = "gamma" },
		"another member": func(a *identity.ShareAddress) { a.Recipient = "gamma" },
	} {
		away := home
		move(&away)
		if _, err := unsealer.Unseal(away, sealed); err == nil {
			t.Errorf("%s: the share opens", name)
		}
	}
}

func TestReceiptsAndEndsAreTheCoordinators(t *testing.T) {
	c := newConsortium(t)
	round, header := statement.Digest{1}, statement.Digest{2}
	receipt := statement.Receipt{Round: round, Site: "alpha", Header: header}
	if err := c.site.AcceptReceipt(c.sign(statement.KindReceipt, receipt), round, header); err != nil {
		t.Fatal(err)
	}
	wants(t, c.site.AcceptReceipt(c.signAs(c.nodes["beta"], statement.KindReceipt, receipt), round, header), participant.ErrReceipt)
	wants(t, c.site.AcceptReceipt(c.sign(statement.KindReceipt, receipt), round, statement.Digest{3}), participant.ErrReceipt)

	sum := statement.Digest{4}
	end := statement.RoundEnd{Round: round, Question: header, State: "published", Sum: &sum}
	got, err := c.site.AcceptEnd(c.sign(statement.KindRoundEnd, end), round, header)
	if err != nil || got.State != "published" {
		t.Fatal(err)
	}
	for name, change := range map[string]func(e *statement.RoundEnd){
		"another round":          func(e *statement.RoundEnd) { e.Round = sum },
		"another question":       func(e *statement.RoundEnd) { e.Question = sum },
		"no such state":          func(e *statement.RoundEnd) { e.State = "opening" },
		"published without sum":  func(e *statement.RoundEnd) { e.Sum = nil },
		"abandoned with its sum": func(e *statement.RoundEnd) { e.State = "abandoned" },
	} {
		changed := end
		change(&changed)
		_, err := c.site.AcceptEnd(c.sign(statement.KindRoundEnd, changed), round, header)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c.memory.ends[round] = &end
	other := statement.RoundEnd{Round: round, Question: header, State: "abandoned"}
	_, err = c.site.AcceptEnd(c.sign(statement.KindRoundEnd, other), round, header)
	wants(t, err, participant.ErrEndContradicted)
}

func TestAStudyIsProposedByAResearcher(t *testing.T) {
	c := newConsortium(t)
	proposal := statement.Proposal{Study: c.study.Digest(), Researcher: "rita", Time: now}
	if _, _, err := c.site.AcceptStudy([]byte(protocol), c.signAs(c.nodes["rita"], statement.KindProposal, proposal)); err != nil {
		t.Fatal(err)
	}
	proposal.Researcher = "beta"
	_, _, err := c.site.AcceptStudy([]byte(protocol), c.signAs(c.nodes["beta"], statement.KindProposal, proposal))
	wants(t, err, participant.ErrProposal)
	proposal.Researcher = "rita"
	_, _, err = c.site.AcceptStudy([]byte(protocol+"\n"), c.signAs(c.nodes["rita"], statement.KindProposal, proposal))
	wants(t, err, participant.ErrProtocol)
	proposal.Study = statement.DigestOf([]byte("study: x\n"))
	_, _, err = c.site.AcceptStudy([]byte("study: x\n"), c.signAs(c.nodes["rita"], statement.KindProposal, proposal))
	wants(t, err, participant.ErrStudy)
}
