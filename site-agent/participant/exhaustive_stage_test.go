package participant_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

// durable is what a site has on disk.
type durable struct {
	asked       [maxRounds]bool  // the plan was accepted
	contributed [maxRounds]bool  // and answered with a contribution
	answered    [maxRounds]uint8 // request, from 1
	fault       [maxRounds]bool  // answered with a report of a share that does not open
	end         [maxRounds]uint8 // account of the end, from 1
	forgotten   [maxRounds]bool
}

// stage holds the messages of a scenario.
type stage struct {
	scenario
	c       *consortium
	plans   []participant.PlanRequest
	parsed  []*statement.Plan
	ids     []statement.Digest
	asks    [][][]participant.OpeningRequest // round, request, member
	headers [][]statement.Digest             // round, site: of its first header
	decided map[decisionKey]decision
}

type decisionKey struct {
	member int
	disk   durable
	kind   byte // plan, opening or end
	round  int
	which  int
}

type decision struct{ accepted, replay bool }

func name(i int) string { return siteNames[i] }

func newStage(t testing.TB, s scenario) *stage {
	t.Helper()
	st := &stage{scenario: s, c: newConsortium(t), decided: map[decisionKey]decision{}}
	for r, mask := range s.rounds {
		p := st.c.plan()
		p.Nonce = fmt.Sprintf("%032x", r+1)
		p.Invited = names(mask)
		p.Committee, p.Threshold = p.Invited, secagg.Supermajority(len(p.Invited))
		derive(p)
		in := st.c.request(p)
		st.plans, st.parsed, st.ids = append(st.plans, in), append(st.parsed, p), append(st.ids, idOf(in.Envelope))
		st.asks = append(st.asks, nil)
		st.headers = append(st.headers, nil)
		chunks, err := secagg.NewRound(p.RoundSpec())
		check(t, err)
		header := func(i int, salt string) ([]byte, [][]byte) {
			h := statement.ContributionHeader{Round: st.ids[r], Site: name(i)}
			for k := range chunks.Chunks() {
				h.Chunks = append(h.Chunks, statement.DigestOf(fmt.Append(nil, salt, k)))
			}
			var sealed [][]byte
			for _, member := range p.Committee {
				sealed = append(sealed, fmt.Append(nil, "sealed", salt, i, member))
				h.Shares = append(h.Shares, statement.DigestOf(sealed[len(sealed)-1]))
			}
			return st.c.signAs(st.c.nodes[name(i)], statement.KindContributionHeader, h), sealed
		}
		first, sealed, other, otherSealed := map[int][]byte{}, map[int][][]byte{}, map[int][]byte{}, map[int][][]byte{}
		for i := range siteNames {
			first[i], sealed[i] = header(i, "first")
			other[i], otherSealed[i] = header(i, "other")
			st.headers[r] = append(st.headers[r], idOf(first[i]))
		}
		for _, w := range s.requests {
			if w.set&^mask != 0 {
				st.asks[r] = append(st.asks[r], nil)
				continue
			}
			request := statement.OpeningRequest{Round: st.ids[r], Contributors: names(w.set)}
			var envelopes [][]byte
			var shares [][][]byte
			for i := range siteNames {
				if w.set>>i&1 == 0 {
					continue
				}
				envelope, share := first[i], sealed[i]
				if w.other && i == len(siteNames)-1 {
					envelope, share = other[i], otherSealed[i]
				}
				envelopes = append(envelopes, envelope)
				shares = append(shares, share)
				request.Headers = append(request.Headers, idOf(envelope))
			}
			signed := st.c.sign(statement.KindOpeningRequest, request)
			logged := st.c.logged(ledger.TypeOpeningRequest, st.ids[r], signed)
			var forMember []participant.OpeningRequest
			for _, member := range siteNames {
				in := participant.OpeningRequest{Plan: st.plans[r].Envelope, Request: signed, Headers: envelopes, Logged: logged}
				at := max(0, slices.Index(p.Committee, member)) // a stranger is refused before
				for _, s := range shares {
					in.SealedShares = append(in.SealedShares, s[at])
				}
				forMember = append(forMember, in)
			}
			st.asks[r] = append(st.asks[r], forMember)
		}
	}
	return st
}

func names(mask sitesMask) (out []string) {
	for i, n := range siteNames {
		if mask>>i&1 == 1 {
			out = append(out, n)
		}
	}
	return out
}

// decide asks the real site, once for each memory and message.
func (st *stage) decide(k decisionKey) decision {
	if d, known := st.decided[k]; known {
		return d
	}
	s := &participant.Site{Name: name(k.member), Rosters: st.c.coordinator.Rosters(), Memory: &disk{st, k.member, k.disk}}
	var d decision
	switch k.kind {
	case 'p':
		_, err := s.AcceptPlan(now, st.plans[k.round])
		d.accepted = err == nil
	case 'o':
		opening, err := s.AcceptOpening(now, st.asks[k.round][k.which][k.member])
		d.accepted = err == nil
		d.replay = err == nil && opening.Replay
	case 'e':
		end := st.end(k.round, k.which)
		_, err := s.AcceptEnd(st.c.sign(statement.KindRoundEnd, end), st.ids[k.round], st.parsed[k.round].Question)
		d.accepted = err == nil
	}
	st.decided[k] = d
	return d
}

func (st *stage) end(round, which int) *statement.RoundEnd {
	end := ends[which]
	end.Round, end.Question = st.ids[round], st.parsed[round].Question
	return &end
}

// disk is a durable state as the real site reads it.
type disk struct {
	st     *stage
	member int
	d      durable
}

func (m *disk) round(id statement.Digest) int { return slices.Index(m.st.ids, id) }

func (m *disk) Study(statement.Digest) (*study.Study, bool) { return m.st.c.study, true }

func (m *disk) Asked(statement.Digest) (asked []participant.Asked) {
	for r, id := range m.st.ids {
		if !m.d.asked[r] {
			continue
		}
		a := participant.Asked{Round: id, Committee: m.st.parsed[r].Committee, Threshold: m.st.parsed[r].Threshold}
		a.ShareGiven = m.d.answered[r] > 0 && !m.d.fault[r] && !m.st.forgetsPast
		if m.d.fault[r] {
			a.AtFault = siteNames[3:]
		}
		a.End, _ = m.End(id)
		asked = append(asked, a)
	}
	return asked
}

func (m *disk) Questions(statement.Digest, string) int {
	for r := range m.st.ids {
		if m.d.asked[r] {
			return 1
		}
	}
	return 0
}

func (m *disk) Epoch(statement.Digest) (string, bool) { return "1", true }

func (m *disk) Header(id statement.Digest) (statement.Digest, bool) {
	r := m.round(id)
	if !m.d.contributed[r] {
		return statement.Digest{}, false
	}
	return m.st.headers[r][m.member], true
}

func (m *disk) Answered(id statement.Digest) (statement.Digest, bool) {
	r := m.round(id)
	if m.d.answered[r] == 0 || m.st.forgetful {
		return statement.Digest{}, false
	}
	return idOf(m.st.asks[r][m.d.answered[r]-1][0].Request), true
}

func (m *disk) Forgotten(id statement.Digest) bool { return m.d.forgotten[m.round(id)] }

func (m *disk) End(id statement.Digest) (*statement.RoundEnd, bool) {
	r := m.round(id)
	if m.d.end[r] == 0 {
		return nil, false
	}
	return m.st.end(r, int(m.d.end[r]-1)), true
}
