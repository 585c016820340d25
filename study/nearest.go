package study

import "strings"

// Nearest returns the candidate closest to name by edit distance, ignoring
// case, spaces, hyphens and underscores, or "" if none differs in less than
// about a third of its letters. Too lax a rule would propose a stranger, which
// in a header that is really a patient's record would show a value.
func Nearest(name string, candidates []string) string {
	name = plain(name)
	best, least := "", len(name)/3+1
	for _, c := range candidates {
		p := plain(c)
		// The difference in length is a lower bound, and cheap.
		if p == "" || len(p)-len(name) >= least || len(name)-len(p) >= least {
			continue
		}
		if d := distance(name, p); d < least {
			best, least = c, d
		}
	}
	return best
}

func plain(name string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(name))
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
