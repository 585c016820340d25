package participant_test

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
)

// local is a site: its disk, what it is at, what has left it, its backup.
type local struct {
	durable
	round, request uint8 // request accepted, from 1, and not yet sent
	fault          bool  // will report a fault
	synced         bool
	sent           [maxRounds]uint8 // requests whose share is out
	backup         durable
	backedUp       bool
	restored       bool
}

type step struct {
	what string
	to   int
}

// site is everything an honest site can reach: states, the steps between them,
// and how each was first reached.
type site struct {
	states []local
	steps  [][]step
	from   []int
	how    []string
}

// path is the way to a state.
func (s *site) path(who string, i int) (steps []string) {
	for ; i > 0; i = s.from[i] {
		steps = append(steps, who+": "+s.how[i])
	}
	slices.Reverse(steps)
	return steps
}

// explore finds everything a site can reach.
func (st *stage) explore(member int, restorable bool) *site {
	s := &site{}
	index := map[local]int{}
	number := func(l local, from int, how string) int {
		if i, known := index[l]; known {
			return i
		}
		index[l] = len(s.states)
		s.states, s.from, s.how = append(s.states, l), append(s.from, from), append(s.how, how)
		return index[l]
	}
	number(local{}, 0, "")
	for i := 0; i < len(s.states); i++ {
		var steps []step
		for what, next := range st.next(member, s.states[i], restorable) {
			if to := number(next, i, what); to != i {
				steps = append(steps, step{what, to})
			}
		}
		s.steps = append(s.steps, steps)
	}
	return s
}

// next yields every step that can come next at a site, and what it leads to.
func (st *stage) next(member int, l local, restorable bool) func(yield func(string, local) bool) {
	return func(yield func(string, local) bool) {
		idle := l.request == 0
		for r, mask := range st.rounds {
			if mask>>member&1 == 1 && idle && st.decide(decisionKey{member, l.durable, 'p', r, 0}).accepted {
				n := l
				n.asked[r] = true
				if !yield(fmt.Sprintf("plan %d, nothing to contribute", r), n) {
					return
				}
				n.contributed[r] = true
				if !yield(fmt.Sprintf("plan %d, contributes", r), n) {
					return
				}
			}
			for q := range st.requests {
				if st.asks[r][q] == nil || !idle {
					continue
				}
				d := st.decide(decisionKey{member, l.durable, 'o', r, q})
				if !d.accepted {
					continue
				}
				n := l
				if d.replay {
					if !l.durable.fault[r] {
						n.sent[r] |= 1 << q
					}
					if !yield(fmt.Sprintf("request %d of round %d, replayed", q, r), n) {
						return
					}
					continue
				}
				n.asked[r] = true
				if st.atOnce {
					n.answered[r] = uint8(q + 1)
					n.sent[r] |= 1 << q
					if !yield(fmt.Sprintf("request %d of round %d, answered", q, r), n) {
						return
					}
					n = l
					n.asked[r], n.answered[r], n.durable.fault[r] = true, uint8(q+1), true
					if st.sharesMayFail(q) && !yield(fmt.Sprintf("request %d of round %d, a fault reported", q, r), n) {
						return
					}
					continue
				}
				n.round, n.request = uint8(r), uint8(q+1)
				if !yield(fmt.Sprintf("request %d of round %d, accepted", q, r), n) {
					return
				}
				n.fault = true
				if st.sharesMayFail(q) && !yield(fmt.Sprintf("request %d of round %d, a share does not open", q, r), n) {
					return
				}
			}
			for _, e := range st.ends {
				if !l.asked[r] || l.end[r] != 0 || !st.decide(decisionKey{member, l.durable, 'e', r, e}).accepted {
					continue
				}
				n := l
				n.end[r] = uint8(e + 1)
				if !yield(fmt.Sprintf("round %d is said to be %s", r, ends[e].State), n) {
					return
				}
			}
		}
		if !idle {
			r := l.round
			sync := func(n local) local {
				n.answered[r], n.durable.fault[r] = l.request, l.fault
				n.synced = true
				return n
			}
			send := func(n local) local {
				if !l.fault {
					n.sent[r] |= 1 << (l.request - 1)
				}
				return n
			}
			done := func(n local) local { n.round, n.request, n.fault, n.synced = 0, 0, false, false; return n }
			first, then := sync, func(n local) local { return done(send(n)) }
			if st.sendsFirst {
				first = func(n local) local { n = send(n); n.synced = true; return n }
				then = func(n local) local { return done(sync(n)) }
			}
			n, what := first(l), "first half of an answer"
			if l.synced {
				n, what = then(l), "second half of an answer"
			}
			if !yield(what, n) || !yield("killed and restarted", done(l)) {
				return
			}
		}
		if restorable && !l.restored {
			n := l
			n.backup, n.backedUp = l.durable, true
			if !l.backedUp && !yield("backed up", n) {
				return
			}
			if l.backedUp {
				n = l
				n.durable, n.restored, n.backup = l.backup, true, durable{}
				n.round, n.request, n.fault, n.synced = 0, 0, false, false
				if st.shown {
					for r := range st.rounds {
						lost := l.contributed[r] && !n.contributed[r] || l.answered[r] != 0 && n.answered[r] == 0
						n.forgotten[r] = n.forgotten[r] || lost
					}
				}
				if !yield("restored from its backup", n) {
					return
				}
			}
		}
	}
}

// sharesMayFail: a corrupt contributor's share may not open.
func (st *stage) sharesMayFail(request int) bool {
	return st.corrupt > 0 && st.requests[request].set>>(len(siteNames)-1)&1 == 1
}

// violation says whether shares are out that open two sums whose difference is
// an honest site's: two requests of one round, or of two rounds of the question
// with different honest contributors.
func (st *stage) violation(all []local) string {
	honest := sitesMask(1)<<(len(siteNames)-st.corrupt) - 1
	type opened struct{ round, request int }
	var sums []opened
	for r := range st.rounds {
		corrupt := bits.OnesCount8(uint8(st.rounds[r] &^ honest))
		for q := range st.requests {
			answers := corrupt
			for _, l := range all {
				answers += int(l.sent[r] >> q & 1)
			}
			if answers >= st.parsed[r].Threshold {
				sums = append(sums, opened{r, q})
			}
		}
	}
	for i, a := range sums {
		for _, b := range sums[:i] {
			if a.round == b.round || st.requests[a.request].set&honest != st.requests[b.request].set&honest {
				return fmt.Sprintf("request %d of round %d and request %d of round %d are both open", b.request, b.round, a.request, a.round)
			}
		}
	}
	return ""
}

// check walks through all that the sites can reach together, breadth first, and
// returns how many states that is and the way to a violation if there is one.
func (st *stage) check(t testing.TB) (states int, trace string) {
	t.Helper()
	all := st.sites()
	size := 1
	for _, s := range all {
		size *= len(s.states)
	}
	seen := make([]uint64, size/64+1)
	queue := []int{0} // states as numbers, mixed radix over the sites' states
	seen[0] = 1
	at, ids := make([]local, len(all)), make([]int, len(all))
	for i := 0; i < len(queue); i++ {
		rest := queue[i]
		for m, s := range all {
			ids[m] = rest % len(s.states)
			rest /= len(s.states)
			at[m] = s.states[ids[m]]
		}
		if why := st.violation(at); why != "" {
			return len(queue), st.trace(all, ids, why)
		}
		weight := 1
		for m, s := range all {
			for _, next := range s.steps[ids[m]] {
				to := queue[i] + (next.to-ids[m])*weight
				if seen[to/64]>>(to%64)&1 == 0 {
					seen[to/64] |= 1 << (to % 64)
					if len(queue) == mostStates {
						t.Fatalf("more than %d states: the scenario is too large to be checked", mostStates)
					}
					queue = append(queue, to)
				}
			}
			weight *= len(s.states)
		}
	}
	return len(queue), ""
}

// checkProjected is check for scenarios that are too large for it. Sites share
// no state: every site's states can be combined with every other's, as check
// shows where it can, and whether a sum is open depends on what has left each
// site alone. So it is enough to combine what can have left them.
func (st *stage) checkProjected(t testing.TB) (states int, trace string) {
	t.Helper()
	all := st.sites()
	different := make([][]int, len(all)) // of each site, a state for each of what can have left it
	states = 1
	for m, s := range all {
		states *= len(s.states)
		seen := map[[maxRounds]uint8]bool{}
		for i, l := range s.states {
			if !seen[l.sent] {
				seen[l.sent] = true
				different[m] = append(different[m], i)
			}
		}
	}
	ids, at := make([]int, len(all)), make([]local, len(all))
	var combine func(m int) string
	combine = func(m int) string {
		if m == len(all) {
			if why := st.violation(at); why != "" {
				return st.trace(all, ids, why)
			}
			return ""
		}
		for _, i := range different[m] {
			ids[m], at[m] = i, all[m].states[i]
			if found := combine(m + 1); found != "" {
				return found
			}
		}
		return ""
	}
	return states, combine(0)
}

// sites explores every honest site.
func (st *stage) sites() (all []*site) {
	for i := range len(siteNames) - st.corrupt {
		all = append(all, st.explore(i, i < st.restores))
	}
	return all
}

func (st *stage) trace(all []*site, ids []int, why string) string {
	var lines []string
	for m, s := range all {
		lines = append(lines, s.path(name(m), ids[m])...)
	}
	return strings.Join(append(lines, why), "\n")
}
