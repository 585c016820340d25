package federation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// noisyStudy asks for whom a dose is wrong without an exact count of anybody: sex
// is no feature, so that nothing else counts it.
const noisyStudy = `study: noisy
version: 1
title: A dose that scatters more in men
outcome: {column: dose, type: number, range: [0, 100], unit: mg}
features:
  - {column: age, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
    - {column: ward, levels: [north, south]}
  intersections: 2
  reference: {sex: female}
  noise: {epsilon: 1, clip: 25, colluding: 1}
  criteria:
    - {metric: mae, attribute: sex, margin: 1, on_fail: warn}
privacy: {minimum_contributors: 4, threshold: supermajority}
`

// wards are hospitals with patients of both sexes in two wards, and how many there
// are of each group over all hospitals.
func wards() (sites []Site, n map[string]int, off map[string]float64) {
	n, off = map[string]int{}, map[string]float64{}
	for i := range 4 {
		r := rand.New(rand.NewPCG(uint64(i), 9))
		var rows [][]string
		for j := range 1700 + 37*i {
			age, sex, ward, sd := 20+60*r.Float64(), "female", "north", 2.0
			if j%5 < 2 {
				sex, sd = "male", 8
			}
			if j%7 < 3 {
				ward = "south"
			}
			e := sd * r.NormFloat64()
			rows = append(rows, []string{strconv.FormatFloat(min(max(70-0.5*age+e, 0), 100), 'g', -1, 64), fmt.Sprint(age), sex, ward})
			n[sex]++
			n[ward]++
			n[sex+", "+ward]++
			off[sex] += math.Abs(e)
		}
		sites = append(sites, Site{Name: fmt.Sprintf("site-%02d", i+1), Records: records.Memory([]string{"dose", "age", "sex", "ward"}, rows)})
	}
	return sites, n, off
}

// A study under noise runs from enrolment to release; both verifiers hold it for
// true; its report says what epsilon is and what it covers; its figures are near the
// exact ones; and no exact count of a group is in any file that leaves a hospital.
func TestStudyUnderNoise(t *testing.T) {
	t.Parallel()
	sites, n, off := wards()
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle")
	result := run(t, Spec{Protocol: []byte(noisyStudy), Sites: sites, Dir: filepath.Join(dir, "consortium"), Bundle: bundle})
	if result.Study.State != "completed" {
		t.Fatalf("the study is %s: %s", result.Study.State, result.Study.Reason)
	}
	_, err := independent.Verify(os.DirFS(bundle), "")
	ok(t, err)

	_, payload, err := statement.Payload(result.SignedAudit)
	ok(t, err)
	var a fairness.Audit
	ok(t, json.Unmarshal(payload, &a))
	if a.Noise == nil || a.Noise.Epsilon != 1 || a.Noise.Holders != 3 || a.Noise.Cells != 9 {
		t.Fatalf("the report says of its noise: %+v", a.Noise)
	}
	total := 0.0
	for _, q := range a.Noise.Queries {
		total += q.Epsilon
	}
	if total != a.Noise.Epsilon {
		t.Errorf("the queries' epsilons add up to %g, not to %g", total, a.Noise.Epsilon)
	}
	shown := map[int]bool{}
	for _, g := range a.Groups {
		if g.N == nil {
			continue
		}
		shown[*g.N] = true
		if exact := n[g.Level]; exact > 0 && math.Abs(float64(*g.N-exact)) > 8**g.Noise {
			t.Errorf("%s: %d patients, and %d exactly: the noise has a standard deviation of %.1f", g.Level, *g.N, exact, *g.Noise)
		}
		if exact, known := off[g.Level]; known {
			m, want := g.Metrics["mae"], exact/float64(n[g.Level])
			if spread := *m.Upper - *m.Lower; math.Abs(m.Estimate-want) > 2*spread {
				t.Errorf("%s: a mean absolute error of %.2f (%.2f to %.2f), and %.2f exactly", g.Level, m.Estimate, *m.Lower, *m.Upper, want)
			}
		}
	}
	if a.Criteria[0].Verdict != fairness.Fail {
		t.Errorf("the planted disparity is not found: %+v", a.Criteria[0])
	}
	for _, words := range []string{"epsilon", "differential privacy", "random noise"} {
		if !strings.Contains(string(result.Page), words) {
			t.Errorf("the report's page does not say %q", words)
		}
	}

	var counts []string
	for _, exact := range n {
		if !shown[exact] { // by chance the noise of a count is zero now and then
			text := strconv.Itoa(exact) // of four digits, which pages divide by a narrow space
			counts = append(counts, text[:1]+"[\\x{a0}\\x{202f}\\x{2009}]?"+text[1:])
		}
	}
	if len(counts) < 4 {
		t.Fatalf("only %d of %d counts carry noise", len(counts), len(n))
	}
	// Not as part of a longer number, of a digest or of a signature.
	exactly := regexp.MustCompile(`(^|[^0-9A-Za-z+/=._-])(` + strings.Join(counts, "|") + `)($|[^0-9A-Za-z+/=._-])`)
	searched := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(filepath.Base(path), "comparison.") { // the hospital's own page, for itself
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && utf8.Valid(content) {
			searched++
			if found := exactly.Find(content); found != nil {
				t.Errorf("%s holds the count %q", strings.TrimPrefix(path, dir), found)
			}
		}
		return err
	})
	ok(t, err)
	if searched < 20 || !exactly.MatchString(fmt.Sprintf(`"n":%d,`, n["female"])) && !exactly.MatchString(fmt.Sprintf(`"n":%d,`, n["male"])) {
		t.Errorf("%d files searched: the search has lost its point", searched)
	}
	for _, r := range result.Rounds {
		if slices.Contains([]string{"fairness/sizes", "fairness/shares", "fairness/errors", "fairness/recalibration", "fairness/hospitals"}, r.Step) {
			t.Errorf("an exact question was asked: %s", r.Step)
		}
	}
}

// Each hospital draws its share of the noise that all who are asked make together,
// not of what the study's minimum would make. So the sum is opened over all of them
// or not at all: where one drops out it is asked anew of the rest, who draw for their
// number. Both verifiers hold that for true.
func TestNoiseIsDrawnForThoseWhoAreAsked(t *testing.T) {
	long(t)
	t.Parallel()
	const gone, noisy = "site-03", 9 * (6 + 3) // numbers of the noisy vector
	for name, leave := range map[string]struct {
		drops []Drop
		with  func(o *siteagent.Options)
	}{
		"silent": {[]Drop{{Site: gone, Phase: Collecting}}, func(o *siteagent.Options) { // of the noisy sum alone
			o.SkipContribution = func(step string) bool { return step == fairness.StepNoisy }
		}},
		"declines": {nil, func(o *siteagent.Options) {
			o.Seal = func(r *secagg.Round, values []float64, emit func(int, []byte) error, seeds ...[secagg.SeedBytes]byte) ([][]byte, error) {
				if len(values) == noisy {
					return nil, errors.New("not this one")
				}
				return siteagent.Seal(r, values, emit, seeds...)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sites, _, _ := wards()
			dir := t.TempDir()
			bundle := filepath.Join(dir, "bundle")
			result := run(t, Spec{
				Protocol: []byte(strings.Replace(noisyStudy, "minimum_contributors: 4", "minimum_contributors: 2", 1)),
				Sites:    sites, Drops: leave.drops, Dir: filepath.Join(dir, "consortium"), Bundle: bundle,
				onSite: func(site string, o *siteagent.Options) {
					if site == gone {
						leave.with(o)
					}
				},
			})
			if result.Study.State != "completed" {
				t.Fatalf("the study is %s: %s", result.Study.State, result.Study.Reason)
			}
			_, err := independent.Verify(os.DirFS(bundle), "")
			ok(t, err)
			_, payload, err := statement.Payload(result.SignedAudit)
			ok(t, err)
			var a fairness.Audit
			ok(t, json.Unmarshal(payload, &a))
			if n := a.Noise; a.Contributors != 3 || n.Required != 3 || n.Holders != 2 {
				t.Errorf("%d hospitals contributed, %d were required, and %d make all of the noise", a.Contributors, n.Required, n.Holders)
			}
			asked := 0
			for _, r := range result.Rounds {
				if r.Step == fairness.StepNoisy {
					asked++
				}
			}
			if asked != 2 {
				t.Errorf("the noisy sum was asked for %d times, not twice: first of four hospitals, then of three", asked)
			}
		})
	}
}
