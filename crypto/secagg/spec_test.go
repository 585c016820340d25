package secagg

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestRefusesLayoutsThatCannotBe(t *testing.T) {
	long := strings.Repeat("n", 300)
	tests := map[string]Layout{
		"no fields":                   {},
		"no name":                     {{"", 1, 0, 1}},
		"long name":                   {{long, 1, 0, 1}},
		"name that is not UTF-8":      {{"\xff", 1, 0, 1}},
		"the same name twice":         {{"a", 1, 0, 1}, {"a", 1, 0, 1}},
		"no values":                   {{"a", 0, 0, 1}},
		"negative length":             {{"a", -1, 0, 1}},
		"too many values":             {{"a", MaxLength + 1, 0, 1}},
		"too many values in all":      {{"a", MaxLength, 0, 1}, {"b", 1, 0, 1}},
		"lengths that overflow int":   {{"a", math.MaxInt, 0, 1}, {"b", math.MaxInt, 0, 1}},
		"negative fractional bits":    {{"a", 1, -1, 1}},
		"too many fractional bits":    {{"a", 1, 127, 1e-30}},
		"huge fractional bits":        {{"a", 1, math.MaxInt, 1}},
		"zero bound":                  {{"a", 1, 0, 0}},
		"negative bound":              {{"a", 1, 0, -1}},
		"NaN bound":                   {{"a", 1, 0, math.NaN()}},
		"infinite bound":              {{"a", 1, 0, math.Inf(1)}},
		"bound that rounds to zero":   {{"a", 1, 0, 0.5}},
		"slot one bit too wide":       {widthField(123, 1)}, // 123 + 1 + 4 = 128 for 9 sites
		"bound beyond 128 bits":       {{"a", 1, 126, 1e300}},
		"bound that overflows scaled": {{"a", 1, 126, math.MaxFloat64}},
	}
	for name, l := range tests {
		var spec *SpecError
		if err := l.Validate(9); !errors.As(err, &spec) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := SelectSuite(l, 9, 9, 7); err == nil {
			t.Errorf("%s: a suite was selected", name)
		}
		if _, err := NewRound(RoundSpec{Suite: "rlwe2048", Layout: l, Invited: 9, Committee: 9, Threshold: 7}); err == nil {
			t.Errorf("%s: a round was made", name)
		}
	}
	many := make(Layout, maxFields+1)
	for i := range many {
		many[i] = Field{fmt.Sprint(i), 1, 0, 1}
	}
	if many.Validate(9) == nil {
		t.Error("too many fields were accepted")
	}
	if err := many[:maxFields].Validate(9); err != nil {
		t.Errorf("the most fields: %v", err)
	}
	if err := (Layout{widthField(122, 1)}).Validate(9); err != nil {
		t.Errorf("the widest slot: %v", err)
	}
}

func TestRefusesAnOverflowAtTheNumberOfInvitedSites(t *testing.T) {
	l := Layout{widthField(124, 1)} // 124 + 1 + ceil(log2 n) <= 127 up to n = 4
	for n := 2; n <= 9; n++ {
		if err := l.Validate(n); (err == nil) != (n <= 4) {
			t.Errorf("%d sites: %v", n, err)
		}
	}
	for _, n := range []int{-1, 0, 1, MaxInvited + 1, math.MaxInt} {
		if (Layout{{"a", 1, 0, 1}}).Validate(n) == nil {
			t.Errorf("%d sites were accepted", n)
		}
	}
}

func TestRefusesSpecificationsThatDoNotFollow(t *testing.T) {
	good := RoundSpec{Suite: "rlwe2048", Layout: Layout{{"v", 10, 0, 1}}, Invited: 6, Committee: 5, Threshold: 4}
	if _, err := NewRound(good); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*RoundSpec){
		"another suite":               func(s *RoundSpec) { s.Suite = "rlwe8192" },
		"an unknown suite":            func(s *RoundSpec) { s.Suite = "rlwe1024" },
		"no suite":                    func(s *RoundSpec) { s.Suite = "" },
		"a committee beyond invited":  func(s *RoundSpec) { s.Committee = 7 },
		"a committee of one":          func(s *RoundSpec) { s.Committee, s.Threshold = 1, 1 },
		"no committee":                func(s *RoundSpec) { s.Committee, s.Threshold = 0, 0 },
		"a threshold beyond it":       func(s *RoundSpec) { s.Threshold = 6 },
		"a threshold of half":         func(s *RoundSpec) { s.Committee, s.Threshold = 4, 2 },
		"a threshold below half":      func(s *RoundSpec) { s.Threshold = 2 },
		"a negative threshold":        func(s *RoundSpec) { s.Threshold = -1 },
		"one invited site":            func(s *RoundSpec) { s.Invited, s.Committee, s.Threshold = 1, 1, 1 },
		"more invited than the limit": func(s *RoundSpec) { s.Invited = MaxInvited + 1 },
	}
	for name, change := range tests {
		spec := good
		change(&spec)
		var why *SpecError
		if _, err := NewRound(spec); !errors.As(err, &why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRoundKeepsItsOwnLayout(t *testing.T) {
	l := Layout{{"v", 10, 0, 1}}
	r := newRound(t, l, 3, 3)
	l[0].Bound = 1e9
	var out *RangeError
	if _, err := r.Seal(slices.Repeat([]float64{2}, 10)); !errors.As(err, &out) {
		t.Errorf("changing the caller's layout changed the round: %v", err)
	}
}

func TestSupermajority(t *testing.T) {
	for m, want := range map[int]int{2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 9: 7, 17: 12, 100: 67, MaxInvited: 683} {
		if got := Supermajority(m); got != want || got > m || 2*got <= m {
			t.Errorf("%d: %d, want %d", m, got, want)
		}
	}
}
