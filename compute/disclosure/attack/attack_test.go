package attack

import "testing"

// The attacker is no straw man: it finds what subtraction finds, and what a share
// beside a number of patients tells.
func TestAttackerSubtracts(t *testing.T) {
	a := &Attacker{Atoms: 6} // two rows of three
	a.Is([]int{0, 1, 2, 3, 4, 5}, 60)
	a.Is([]int{0, 1, 2}, 30)
	a.Is([]int{0}, 10)
	a.Is([]int{1}, 17)
	a.AtLeast([]int{2}, 1)
	if lo, hi := a.Interval([]int{2}, 3, 100); lo != 3 || hi != 3 {
		t.Errorf("the rest of a row is from %d to %d", lo, hi)
	}
	if lo, hi := a.Interval([]int{3}, 10, 100); lo != 0 || hi != 30 {
		t.Errorf("what nothing is known of is from %d to %d", lo, hi)
	}
	a.Share([]int{3}, []int{3, 4, 5}, 2.0/30)
	if lo, hi := a.Interval([]int{3}, 2, 100); lo != 2 || hi != 2 {
		t.Errorf("a fifteenth of 30 is from %d to %d", lo, hi)
	}
}

// A share alone tells the denominator's divisor: 3 of 7 is of 7, 14, 21 or 28.
func TestWholeNumbersNarrow(t *testing.T) {
	a := &Attacker{Atoms: 2}
	a.AtLeast([]int{0, 1}, 1)
	a.rows = append(a.rows, known{sum([]int{0, 1}), 0, 30})
	a.Share([]int{0}, []int{0, 1}, 3.0/7)
	if lo, hi := a.Interval([]int{0, 1}, 7, 100); lo != 7 || hi != 28 {
		t.Errorf("from %d to %d", lo, hi)
	}
}
