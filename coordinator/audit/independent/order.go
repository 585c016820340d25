package independent

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// ofRounds are the types of entries that belong to a round; the other ones name none.
var ofRounds = map[string]bool{"plan": true, "contribution": true, "decline": true, "opening-request": true, "opening-share": true, "opening-fault": true, "round-end": true}

// checkOrder holds what no signature covers: that an entry says of its statement what
// that says, that nothing counts twice, and that a study begins with its proposal and
// concludes with its result, then the audit, then the release.
func (v *verifier) checkOrder() error {
	entered := make(map[entry]int)
	seen := make(map[string]int) // types, with the index of the last one
	for i, e := range v.entries {
		if e.Type == "roster" && (e.Study != "" || e.Round != "" || e.Actor != "governance") {
			return fmt.Errorf("entry %d (roster): not entered as governance's, of no study and no round", i)
		}
		if e.Study != v.study || e.Type == "roster" {
			continue
		}
		fail := func(why string) error { return fmt.Errorf("entry %d (%s): %s", i, e.Type, why) }
		if _, proposed := seen["proposal"]; proposed == (e.Type == "proposal") {
			return fail("a second proposal, or before the first")
		}
		if (e.Round != "") != ofRounds[e.Type] {
			return fail("under a round where it belongs to none, or under none")
		}
		said := entry{Type: e.Type, Subject: e.Subject}
		if before, twice := entered[said]; twice {
			return fail(fmt.Sprintf("enters a second time what entry %d entered", before))
		}
		_, again := seen[e.Type]
		_, result := seen["result"]
		_, audited := seen["audit"]
		switch {
		case again && (e.Type == "start" || e.Type == "result"):
			return fail("a second one")
		case e.Type == "monitor-report" && result:
			return fail("after the result")
		case e.Type == "audit" && !result:
			return fail("before the result that it is part of")
		case e.Type == "release" && !audited:
			return fail("before its audit")
		}
		entered[said], seen[e.Type] = i, i
	}
	if at, audited := seen["audit"]; audited && v.released == nil && v.gate != blocked {
		return fmt.Errorf("entry %d (audit): lets the release pass, and none follows", at)
	}
	return nil
}

// result is the part of a study's result that somebody signs elsewhere.
type result struct {
	Audit any `json:"audit"`
	Model any `json:"model"`
}

// takeResult reads a result, or a report of windows, which carry no signature: the
// coordinator enters them.
func (v *verifier) takeResult(e entry, inForce *roster, data []byte) error {
	if _, key := inForce.key(e.Actor, "coordinator"); key == nil {
		return fmt.Errorf("entered under %q, who is no coordinator", e.Actor)
	}
	r := new(result)
	if err := json.Unmarshal(data, r); err != nil {
		return errors.New("cannot be read")
	}
	if e.Type == "result" {
		v.result = r
	}
	return nil
}

// checkSame holds that the result holds what is signed of it: the audit, the model.
func (v *verifier) checkSame(audit, model []byte) error {
	if v.result == nil {
		return nil
	}
	for _, pair := range []struct {
		what   string
		in     any
		signed []byte
	}{{"audit", v.result.Audit, audit}, {"model", v.result.Model, model}} {
		if pair.signed == nil {
			continue
		}
		var signed any
		if err := json.Unmarshal(pair.signed, &signed); err != nil || !reflect.DeepEqual(signed, pair.in) {
			return fmt.Errorf("the signed %s is not the one in the result", pair.what)
		}
	}
	return nil
}

// takeFault places a member's word that key shares did not open.
func (r *round) takeFault(s statement) error {
	gave := func(o statement) bool { return o.Member == s.Member }
	switch {
	case r.request == nil || s.Request != r.request.digest:
		return errors.New("answers no request, or another")
	case !slices.Contains(r.plan.Committee, s.Member) || slices.ContainsFunc(r.shares, gave) || slices.ContainsFunc(r.faults, gave):
		return errors.New("of nobody on the committee, or of a member that has answered")
	case len(s.Senders) == 0:
		return errors.New("names nobody")
	}
	for _, sender := range s.Senders {
		if !slices.Contains(r.request.Contributors, sender) {
			return errors.New("names a hospital whose contribution was not opened")
		}
	}
	r.faults = append(r.faults, s)
	return nil
}

// blamed are the senders that as many members name as it takes to put the threshold
// out of reach.
func (r *round) blamed() (senders []string) {
	enough := len(r.plan.Committee) - r.plan.Threshold + 1
	for _, site := range r.plan.Invited {
		n := 0
		for _, f := range r.faults {
			if slices.Contains(f.Senders, site) {
				n++
			}
		}
		if n >= enough {
			senders = append(senders, site)
		}
	}
	return senders
}

// sites are those that contributed, in ascending order.
func (r *round) sites() (names []string) {
	for _, c := range r.contributions {
		names = append(names, c.Site)
	}
	slices.Sort(names)
	return names
}

// checkEnd holds the coordinator's account of a round against the log.
func (r *round) checkEnd() error {
	var openers []string
	for _, s := range r.shares {
		openers = append(openers, s.Member)
	}
	slices.Sort(openers)
	e := r.end
	request, contributors := "", r.sites()
	if r.request != nil {
		request = r.request.digest
	}
	switch {
	case e.Question != r.plan.Question || e.Request != request || !slices.Equal(e.Contributors, contributors):
		return errors.New("its end is of another question, opening request or contributors")
	case !slices.Equal(e.Openers, openers) || len(slices.Compact(openers)) != len(r.shares) || e.SharesGiven != (len(r.shares) > 0):
		return errors.New("its end does not fit the opening request and the shares in the log")
	case !slices.Equal(e.AtFault, r.blamed()):
		return errors.New("its end blames others than the reports of the committee do")
	case (e.State == "published") != (e.Sum != "") || e.State != "published" && e.State != "abandoned" && e.State != "failed-integrity":
		return errors.New("its end has a sum that was not published, or none that was")
	}
	return nil
}

// checkQuestions holds that no question was opened over two sets of hospitals, whose
// difference is one hospital's numbers: again only after a failure that is pinned on
// some, over the same set without them.
func (v *verifier) checkQuestions() error {
	opened := make(map[string]*round)
	again := make(map[string]bool)
	for _, r := range v.rounds {
		if len(r.shares) == 0 {
			continue
		}
		first := opened[r.plan.Question]
		if first == nil {
			opened[r.plan.Question] = r
			continue
		}
		same := slices.DeleteFunc(slices.Clone(first.request.Contributors), func(s string) bool { return first.end != nil && slices.Contains(first.end.AtFault, s) })
		if first.end == nil || len(first.end.AtFault) == 0 || again[r.plan.Question] || !slices.Equal(r.request.Contributors, same) {
			return fmt.Errorf("round %.12s: opens the question of round %.12s again", r.id, first.id)
		}
		again[r.plan.Question] = true
	}
	return nil
}
