package statement

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// plan returns a valid plan for five sites.
func plan(t testing.TB) *Plan {
	t.Helper()
	sites := []string{"east", "middle", "north", "south", "west"}
	layout := []secagg.Field{{Name: "count", Length: 1, FracBits: 0, Bound: 1e6}, {Name: "sum", Length: 20, FracBits: 30, Bound: 1e4}}
	suite, err := secagg.SelectSuite(layout, 5, 5, 4)
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	p := &Plan{
		Study: DigestOf([]byte("study")), Step: "glm/gram", Parameters: DigestOf(nil), Epoch: "1",
		Roster: DigestOf([]byte("roster")), Invited: sites, Committee: slices.Clone(sites),
		Threshold: 4, MinimumContributors: 3, Layout: layout, Suite: suite,
		Issued: issued, CollectUntil: issued.Add(2 * time.Minute), OpenUntil: issued.Add(4 * time.Minute),
		Nonce: strings.Repeat("0a", 16),
	}
	p.Question = p.QuestionDigest()
	return p
}

func TestAPlanThatFollowsFromItsInputsIsValid(t *testing.T) {
	if err := plan(t).Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAPlanThatDoesNotFollowIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(p *Plan){
		"no step":                       func(p *Plan) { p.Step = "" },
		"nonce missing":                 func(p *Plan) { p.Nonce = "" },
		"nonce short":                   func(p *Plan) { p.Nonce = p.Nonce[2:] },
		"nonce in upper case":           func(p *Plan) { p.Nonce = strings.ToUpper(p.Nonce) },
		"nobody invited":                func(p *Plan) { p.Invited = nil },
		"invited out of order":          func(p *Plan) { p.Invited = []string{"middle", "east", "north", "south", "west"} },
		"invited twice":                 func(p *Plan) { p.Invited = []string{"east", "east", "north", "south", "west"} },
		"invited without a name":        func(p *Plan) { p.Invited = []string{"", "east", "middle", "north", "south", "west"} },
		"no committee":                  func(p *Plan) { p.Committee = nil; p.Threshold = 0 },
		"committee out of order":        func(p *Plan) { slices.Reverse(p.Committee) },
		"committee member twice":        func(p *Plan) { p.Committee = []string{"east", "east", "north"}; p.Threshold = 2 },
		"committee member uninvited":    func(p *Plan) { p.Committee = []string{"east", "far", "north"}; p.Threshold = 2 },
		"threshold not a majority":      func(p *Plan) { p.Committee = p.Committee[:4]; p.Threshold = 2 },
		"threshold above committee":     func(p *Plan) { p.Threshold = 6 },
		"threshold negative":            func(p *Plan) { p.Threshold = -1 },
		"minimum of one":                func(p *Plan) { p.MinimumContributors = 1 },
		"minimum above the invited":     func(p *Plan) { p.MinimumContributors = 6 },
		"another suite":                 func(p *Plan) { p.Suite = "rlwe9999" },
		"no layout":                     func(p *Plan) { p.Layout = nil },
		"layout bound is not a number":  func(p *Plan) { p.Layout[0].Bound = math.NaN() },
		"layout changed":                func(p *Plan) { p.Layout[0].Bound = 2e6 },
		"study changed":                 func(p *Plan) { p.Study = DigestOf(nil) },
		"parameters changed":            func(p *Plan) { p.Parameters = DigestOf([]byte("x")) },
		"epoch changed":                 func(p *Plan) { p.Epoch = "2" },
		"step changed":                  func(p *Plan) { p.Step = "glm/newton" },
		"question changed":              func(p *Plan) { p.Question = Digest{} },
		"collects before it is issued":  func(p *Plan) { p.CollectUntil = p.Issued },
		"opens before it has collected": func(p *Plan) { p.OpenUntil = p.CollectUntil },
		"times missing":                 func(p *Plan) { p.Issued, p.CollectUntil, p.OpenUntil = time.Time{}, time.Time{}, time.Time{} },
	} {
		p := plan(t)
		spoil(p)
		if err := p.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Asking again with another nonce, roster or set of sites is the same question.
func TestTheQuestionIsWhatIsAskedNotHow(t *testing.T) {
	p := plan(t)
	q := p.QuestionDigest()
	p.Nonce, p.Roster, p.Invited, p.Threshold = strings.Repeat("0b", 16), Digest{}, p.Invited[:3], 3
	p.Issued = p.Issued.Add(time.Hour)
	if p.QuestionDigest() != q {
		t.Error("the question depends on how it is asked")
	}
}

func TestTheRoundIdIsThePlansDigest(t *testing.T) {
	p := plan(t)
	payload, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	spec := p.RoundSpec()
	if spec.ID != DigestOf(payload) || spec.Suite != p.Suite || spec.Invited != 5 || spec.Committee != 5 || spec.Threshold != 4 || len(spec.Layout) != 2 {
		t.Errorf("%+v", spec)
	}
	p.Nonce = strings.Repeat("0b", 16)
	if p.RoundSpec().ID == spec.ID {
		t.Error("another nonce, the same round")
	}
}

// The encoding is frozen: a change of these digests is a change of protocol.
func TestTheEncodingOfAPlanIsFrozen(t *testing.T) {
	p := plan(t)
	const (
		question = "476c215b08a9a767c592ef64efe67ab6889565be1c04e4e9ee25f5651d6b8c46"
		round    = "1262eb6a3ebef5cd2e489bbf8872aa6a705de561c2581bcf89b2723601d88f3e"
	)
	if got := p.QuestionDigest().String(); got != question {
		t.Errorf("question %s, want %s", got, question)
	}
	if got := Digest(p.RoundSpec().ID).String(); got != round {
		t.Errorf("round %s, want %s", got, round)
	}
}
