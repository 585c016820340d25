package drift

import (
	"math/rand/v2"
	"testing"

	"github.com/consilium-fl/consilium/compute/disclosure/attack"
	"github.com/consilium-fl/consilium/study"
)

// Rule: of a window no small number of events follows from the groups' numbers
// together: with the exact limits of observed over expected goes the observed.
func TestEventsOfAWindowTellOfNoFew(t *testing.T) {
	s, err := study.Parse([]byte(`study: watch
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: age, type: number, range: [18, 99]}
model: {kind: glm, family: binomial}
fairness:
  attributes: [{column: g, levels: [A, B]}, {column: h, levels: [U, V]}]
  intersections: 2
  minimum_cell: 4
  minimum_sites: 1
  disclosure: complementary
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: number, cuts: [0, 1, 2]}
`))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(4, 4))
	const floor = 4
	tried, shown := 0, 0
	for range 200 {
		// Atoms: group of g, group of h, outcome.
		truth := make([]int, 18)
		for i := range truth {
			if truth[i] = random.IntN(1 << random.IntN(6)); i/6 == 2 || i/2%3 == 2 {
				truth[i] = 0
			}
		}
		session := New(s)
		session.sizes = make([]int, session.groups.Len())
		var of [][2][]int // by group, without the outcome and with it
		count := func(atoms []int) (n int) {
			for _, i := range atoms {
				n += truth[i]
			}
			return n
		}
		add := func(g, h int) {
			var own [2][]int
			for i := range truth {
				if (g < 0 || i/6 == g) && (h < 0 || i/2%3 == h) {
					own[i%2] = append(own[i%2], i)
				}
			}
			session.sizes[len(of)] = count(own[0]) + count(own[1])
			of = append(of, own)
		}
		add(-1, -1)
		for g := range 3 {
			add(g, -1)
		}
		for h := range 3 {
			add(-1, h)
		}
		for g := range 3 {
			for h := range 3 {
				add(g, h)
			}
		}
		session.small = make([]bool, len(of))
		for c, n := range session.sizes {
			session.small[c] = 0 < n && n < floor
		}
		tallies := make([]*tally, len(of))
		for _, c := range session.shown() {
			tallies[c] = &tally{n: float64(session.sizes[c]), observed: float64(count(of[c][1]))}
		}
		session.protect(tallies)
		reader := &attack.Attacker{Atoms: len(truth)}
		for c, own := range of {
			all := append(append([]int{}, own[0]...), own[1]...)
			switch {
			case session.sizes[c] == 0:
				reader.Is(all, 0)
			case tallies[c] == nil:
				reader.AtLeast(all, 1)
			default:
				reader.Is(all, session.sizes[c])
				if session.rate(tallies[c]) {
					reader.Is(own[1], count(own[1]))
					shown++
				}
			}
		}
		for c, own := range of {
			for _, part := range own {
				if n := count(part); tallies[c] != nil && 0 < n && n < floor {
					tried++
					if lo, hi := reader.Interval(part, n, floor); hi-lo < floor && hi-lo < n+1 {
						attribute, level := session.groups.Name(c)
						t.Errorf("%v: %d of %s %s are from %d to %d", truth, n, attribute, level, lo, hi)
					}
				}
			}
		}
	}
	if tried < 100 || shown < 200 {
		t.Errorf("%d small numbers and %d rates shown: the windows test too little", tried, shown)
	}
}
