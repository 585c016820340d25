package study

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const noisySource = `study: noisy
version: 1
outcome: {column: dose, type: number, range: [0, 10], unit: mg}
features:
  - {column: age, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
    - {column: race, levels: [a, b, c]}
  noise: {epsilon: 0.5, clip: 2}
privacy: {minimum_contributors: 4}
`

func TestNoiseIsDeclared(t *testing.T) {
	s, err := Parse([]byte(noisySource))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Fairness.Noise; n == nil || !reflect.DeepEqual(*n, Noise{Epsilon: 500, Clip: 2, Colluding: 1}) || s.Holders(0) != 3 || s.Holders(2) != 3 || s.Holders(9) != 8 || s.Fairness.BaseCells() != 12 {
		t.Errorf("%+v, held by %d, in %d cells", s.Fairness.Noise, s.Holders(0), s.Fairness.BaseCells())
	}
	if s.CountedAttributes() != nil {
		t.Error("groups are counted exactly under noise")
	}
	plain, err := Parse([]byte(strings.Replace(noisySource, "  noise: {epsilon: 0.5, clip: 2}\n", "", 1)))
	if err != nil || plain.Fairness.Noise != nil || len(plain.CountedAttributes()) != 2 {
		t.Errorf("without noise: %+v, %v", plain.Fairness.Noise, err)
	}
	binary, err := Parse([]byte(strings.NewReplacer("type: number, range: [0, 10], unit: mg", "type: binary, at_least: 5", ", clip: 2", "", "gaussian", "binomial").Replace(noisySource)))
	if err != nil || len(binary.Fairness.Thresholds) != 1 || binary.Fairness.Thresholds[0] != 0.5 {
		t.Errorf("a binary outcome under noise has thresholds %v, %v: the prevalence would be an exact one", binary.Fairness.Thresholds, err)
	}
}

// Whatever would open something exact about a group beside the noise is refused,
// and so is a noise that is none.
func TestWhatNoiseCannotStandBeside(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"no epsilon", "epsilon: 0.5, ", "", `missing key "fairness.noise.epsilon"`},
		{"an epsilon that hides nobody", "epsilon: 0.5", "epsilon: 11", "fairness.noise.epsilon must be from 0.05 to 10"},
		{"an epsilon that leaves nothing", "epsilon: 0.5", "epsilon: 0", "fairness.noise.epsilon must be from 0.05 to 10"},
		{"an epsilon that is no fraction", "epsilon: 0.5", "epsilon: 0.3333", "fairness.noise.epsilon has at most three decimals"},
		{"no clip", ", clip: 2", "", `missing key "fairness.noise.clip"`},
		{"a clip beyond the range", "clip: 2", "clip: 20", "fairness.noise.clip must be from"},
		{"everyone colludes", "clip: 2", "clip: 2, colluding: 4", "fairness.noise.colluding: of 4 hospitals, which suffice for a sum, 4 that collude leave none"},
		{"a misspelt key", "clip: 2", "clip: 2, seed: 1", `unknown key "seed"`},
		{"hospitals", "  noise:", "  hospitals: [{metric: mae, edges: [1]}]\n  noise:", "fairness.hospitals: to count hospitals by a metric"},
		{"bands", "  noise:", "  bands: [2, 5]\n  noise:", "fairness.bands: under noise"},
		{"sites of a group", "  noise:", "  minimum_sites: 2\n  noise:", "fairness.minimum_sites: in how many hospitals"},
		{"a largest share", "  noise:", "  largest_share: 0.5\n  noise:", "fairness.largest_share: whether one hospital"},
		{"complementary withholding", "  noise:", "  disclosure: complementary\n  noise:", "fairness.disclosure: under noise nothing can be worked out"},
		{"merges", "levels: [a, b, c]", "levels: [a, b, c], merge: {other: [b, c]}", "fairness.attributes: under noise no groups are joined"},
		{"a metric that noisy sums do not give", "  noise:", "  metrics: [log_fold_error]\n  noise:", `"log_fold_error" is no metric`},
		{"a criterion that noisy sums do not judge", "  noise:", "  criteria: [{metric: log_fold_error, margin: 1}]\n  noise:", `"log_fold_error" is no metric`},
		{"more cells than can be asked", "levels: [a, b, c]", "levels: [" + manyLevels(150) + "]}\n    - {column: more, levels: [x, y]", "fairness.attributes: noise is added to each of"},
		{"mitigation", "privacy:", "mitigation: {attribute: sex, method: reweigh, strength: [1], release: none, balance: size}\nprivacy:", "mitigation: it is made of exact sums"},
		{"a description", "{kind: glm, family: gaussian}", "{kind: describe}", "fairness.noise: describe fits no model"},
	} {
		src := strings.Replace(noisySource, c.from, c.to, 1)
		if src == noisySource {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// survivalSource is the noisy study with a survival outcome.
var survivalSource = strings.NewReplacer("{column: dose, type: number, range: [0, 10], unit: mg}", "{type: survival, time: {column: days, range: [0, 500]}, event: {column: died, positive: [\"1\"]}}",
	"{kind: glm, family: gaussian}", "{kind: cox}").Replace(noisySource)

// Observed and expected events have a noisy form, so the model must expect some; the
// C-index has one by bands of risk.
func TestNoiseOnASurvivalOutcome(t *testing.T) {
	s, err := Parse([]byte(survivalSource))
	if err != nil || s.Fairness.Noise.Clip != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := s.ComparableMetrics(); !slices.Equal(got, []string{"event_share", "oe"}) {
		t.Errorf("groups are compared by %v", got)
	}
	ranked, err := Parse([]byte(strings.Replace(survivalSource, "clip: 2", "clip: 2, risks: [0.2, 0.5]", 1)))
	if err != nil || !slices.Equal(ranked.ComparableMetrics(), []string{"event_share", "cindex", "oe"}) {
		t.Errorf("with bands of risk: %v", err)
	}
	if _, err := Parse([]byte(strings.Replace(noisySource, "clip: 2", "clip: 2, risks: [0.2]", 1))); err == nil || !strings.Contains(err.Error(), "fairness.noise.risks: only a survival outcome") {
		t.Errorf("a dose has risks: %v", err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"{kind: cox}", "{kind: boost, loss: cox}", "fairness.noise: of a survival outcome observed and expected events have a noisy form, and this model expects none"},
		{", clip: 2", "", `missing key "fairness.noise.clip"`},
		{"clip: 2", "clip: 2, risks: [0.5, 0.2]", "fairness.noise.risks must ascend"},
		{"clip: 2", "clip: 2, risks: [0.5, 1]", "fairness.noise.risks must be between 0 and 1"},
		{"clip: 2", "clip: 65", "fairness.noise.clip must be from 0.001 to 64"},
		{"  noise:", "  metrics: [cindex]\n  noise:", `"cindex" is no metric`},
	} {
		if _, err := Parse([]byte(strings.Replace(survivalSource, c.from, c.to, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

// What has to go under noise is refused for that, and not for something else that
// would have to be put right first.
func TestNoiseIsTheFirstReason(t *testing.T) {
	for _, key := range []string{"bands: [50, 20]", "every: 5", "hospitals: [{metric: nothing}]", "minimum_sites: 0"} {
		src := strings.Replace(noisySource, "  noise:", "  "+key+"\n  noise:", 1)
		name, _, _ := strings.Cut(key, ":")
		if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), "fairness."+name+": ") || !strings.Contains(err.Error(), "noise") && !strings.Contains(err.Error(), "epsilon") && !strings.Contains(err.Error(), "know its own exactly") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func manyLevels(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("level", i))
	}
	return strings.Join(names, ", ")
}
