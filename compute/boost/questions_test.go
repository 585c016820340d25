package boost

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// A site that was restarted knows nothing but the question, and answers the
// same; so does one without records.
func TestEveryQuestionCanBeAnsweredByItself(t *testing.T) {
	for _, loss := range losses {
		random := rand.New(rand.NewPCG(5, 5))
		s := parse(t, protocol(loss, ", trees: 3, depth: 4, bins: 8, min_leaf: 10, early_stopping: {patience: 5, fraction: 0.3}", 3, 5))
		records := patients(random, loss, 300, 3)
		m := matrix(t, s, columns(3), records)
		_, questions := federate(t, s, []*study.Matrix{m})
		for i := range questions {
			q := questions[len(questions)-1-i] // the caches are of later questions
			old, err := Answer(s, q.Step, q.Parameters, m)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := Answer(s, q.Step, q.Parameters, matrix(t, s, columns(3), records))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(old, fresh) {
				t.Fatalf("%s: question %d is answered differently after a restart", loss, len(questions)-1-i)
			}
			none, err := Answer(s, q.Step, q.Parameters, matrix(t, s, columns(3), nil))
			if err != nil || len(none) != len(old) || slices.ContainsFunc(none, func(v float64) bool { return v != 0 }) {
				t.Fatalf("%s: without records the answer is not zero: %v", loss, err)
			}
		}
	}
}

// What a site remembers of one model does not find its way into answers about
// another that is longer.
func TestAnswersAboutTwoModelsDoNotMix(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	s := parse(t, protocol(study.LossLogistic, ", trees: 4, depth: 2, bins: 8, min_leaf: 10", 3, 5))
	records := patients(random, study.LossLogistic, 300, 3)
	one := matrix(t, s, columns(3), records)
	_, first := federate(t, s, []*study.Matrix{one})
	f := begin(t, s, []*study.Matrix{one})
	// The same bins and base score, but other trees from the first sum on.
	var second []compute.Question
	for {
		q, done, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		second = append(second, q)
		sum := ask(t, s, q, []*study.Matrix{one})
		if q.Step == StepTree {
			turnGradients(t, f, sum)
		}
		if err := f.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
	warm := matrix(t, s, columns(3), records)
	for i := range min(len(first), len(second)) {
		for _, q := range []compute.Question{first[i], second[i]} {
			got, err := Answer(s, q.Step, q.Parameters, warm)
			if err != nil {
				continue // the other model counts fewer patients in a node than there are
			}
			want, err := Answer(s, q.Step, q.Parameters, matrix(t, s, columns(3), records))
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("question %d is answered from another model: %v", i, err)
			}
		}
		if q, err := readTreeQuestion(s, first[i].Parameters); err == nil && q.root() && len(q.trees) == 0 {
			// The same, but for one edge.
			q.bins[1].edges[0] = roundEdge(q.bins[1].edges[0]-0.5, 0)
			q.Edges = q.bins.encode()
			parameters, _ := compute.EncodeParameters(q)
			got, err := Answer(s, StepTree, parameters, warm)
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := Answer(s, StepTree, parameters, matrix(t, s, columns(3), records)); !slices.Equal(got, want) {
				t.Fatal("a question is answered in other bins")
			}
		}
		if i+3 < len(first) {
			ahead := first[i+3]
			if _, err := Answer(s, ahead.Step, ahead.Parameters, warm); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// turnGradients makes the opposite of every gradient in a sum.
func turnGradients(t *testing.T, f *Fit, sum compute.Sum) {
	t.Helper()
	q := f.question()
	for i := range q.Nodes {
		sum.Field("totals")[4*i] *= -1
	}
	cells := sum.Field("cells")
	from, to := q.limbs.read(cells), &classes{}
	for i, g := range q.grids {
		for k, l := range g {
			lot := make([]cell, len(l.groups))
			from.lot(lot, q.cells[i][k], q.loss.constant())
			for n := range lot {
				lot[n].gradient = -lot[n].gradient
			}
			to.putLot(lot, q.cells[i][k])
		}
	}
	if _, ok := q.limbs.write(cells[:0], to); !ok {
		t.Fatal("the opposites have no room")
	}
}

// Of two siblings the smaller is asked; it has the fewer records to add up and
// the shorter numbers.
func TestTheSmallerSiblingIsAsked(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	s := parse(t, protocol(study.LossSquared, ", trees: 3, depth: 4, bins: 16, min_leaf: 5", 3, 5))
	sites := []*study.Matrix{matrix(t, s, columns(3), patients(random, study.LossSquared, 500, 3))}
	f := begin(t, s, sites)
	asked := 0
	for {
		q, done, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		if g := f.growth; g != nil && !g.root() {
			for _, n := range g.asked {
				asked++
				if g.open[n].total.count > g.open[g.open[n].sibling].total.count || slices.Contains(g.asked, g.open[n].sibling) {
					t.Error("the larger sibling is asked, or both")
				}
			}
		}
		if err := f.Absorb(ask(t, s, q, sites)); err != nil {
			t.Fatal(err)
		}
	}
	if asked < 9 {
		t.Errorf("%d siblings asked", asked)
	}
}

// Two coordinators that absorb the same sums ask the same and find the same.
func TestReplayIsTheSameByteForByte(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 5))
	s := parse(t, protocol(study.LossLogistic, ", trees: 4, depth: 3, min_leaf: 10", 3, 5))
	sites := divide(t, random, s, columns(3), patients(random, study.LossLogistic, 400, 3), 4)
	a, asked := federate(t, s, sites)
	b, again := federate(t, s, sites)
	if !reflect.DeepEqual(asked, again) {
		t.Error("the questions differ")
	}
	one, _ := json.Marshal(a.Model())
	two, _ := json.Marshal(b.Model())
	if string(one) != string(two) {
		t.Error("the models differ")
	}
	var back Model
	if err := json.Unmarshal(one, &back); err != nil || !reflect.DeepEqual(&back, a.Model()) {
		t.Errorf("a model does not survive JSON: %v", err)
	}
}

// A hospital that leaves between a tree's levels makes the difference of two
// sums meaningless: the sibling is asked instead, and the tree goes on as that
// of the hospitals that are left.
func TestSiblingsAreAskedWhenAHospitalComesOrGoes(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for _, loss := range losses {
		s := parse(t, protocol(loss, ", trees: 6, depth: 3, bins: 8, min_leaf: 5", 3, 5))
		sites := divide(t, random, s, columns(3), patients(random, loss, 600, 3), 5)
		f := begin(t, s, sites)
		siblings, trees, asked := 0, 0, 0
		for round := 0; ; round++ {
			q, done, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			here := sites
			if f.growth != nil && !f.growth.root() && len(f.trees)%2 == 1 {
				here = sites[1:] // the largest is away, but for the roots
			}
			if f.growth != nil && f.growth.parted {
				siblings++
			}
			if q.Step == StepTree {
				asked++
			}
			if err := f.Absorb(ask(t, s, q, here)); err != nil {
				t.Fatal(err)
			}
			trees = len(f.trees)
			if g := f.growth; g != nil {
				for _, n := range g.open {
					for _, x := range n.histogram {
						if x.count < 0 || x.hessian < 0 {
							t.Fatalf("%s: a histogram has fewer than no patients", loss)
						}
					}
				}
			}
		}
		if most := Steps(s)[2].Rounds; asked > most {
			t.Errorf("%s: %d questions about trees, the summary allows %d", loss, asked, most)
		}
		if siblings == 0 || trees != 6 {
			t.Errorf("%s: siblings were asked %d times, and %d trees grew", loss, siblings, trees)
		}
	}
}

func TestASiteThatIsLargerThanAllWereDoesNotAnswer(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 8))
	s := parse(t, protocol(study.LossSquared, ", trees: 2, depth: 2, min_leaf: 10", 3, 5))
	site := matrix(t, s, columns(3), patients(random, study.LossSquared, 100, 3))
	_, questions := federate(t, s, []*study.Matrix{site})
	larger := matrix(t, s, columns(3), patients(random, study.LossSquared, 101, 3))
	q := questions[len(questions)-1]
	if _, err := Answer(s, q.Step, q.Parameters, larger); !errors.Is(err, errMore) {
		t.Errorf("got %v", err)
	}
}

// Who is held out hangs on the set of records, not on their order, and does not
// take all patients who are alike.
func TestHoldingOutDoesNotDependOnTheOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 1))
	s := parse(t, protocol(study.LossLogistic, ", early_stopping: {patience: 3, fraction: 0.25}", 1, 5))
	records := patients(random, study.LossLogistic, 1000, 1)
	for i := range 400 {
		records[i] = []string{"1", "GG", strconv.Itoa(i % 2), "0"} // few kinds of patients
	}
	multiset := func(records [][]string) (held map[[5]float64]int, total int) {
		m := matrix(t, s, columns(1), records)
		held = map[[5]float64]int{}
		for i, out := range heldOut(s, m) {
			if out {
				row := m.Row(i)
				if math.IsNaN(row[1]) {
					row[1] = -99
				}
				held[[5]float64{row[0], row[1], row[2], row[3], m.Outcome(i)}]++
				total++
			}
		}
		return held, total
	}
	want, n := multiset(records)
	if n < 200 || n > 300 {
		t.Errorf("%d of 1000 held out, want about 250", n)
	}
	for y := range 2 {
		if n := want[[5]float64{1, 1, 0, 0, float64(y)}]; n < 25 || n > 80 {
			t.Errorf("%d of more than 200 patients who are alike are held out", n)
		}
	}
	random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	if got, _ := multiset(records); !reflect.DeepEqual(got, want) {
		t.Error("another order holds out others")
	}
}

// The summary that people approve bounds what is asked.
func TestStepsBoundTheQuestions(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 1))
	for _, loss := range losses {
		s := parse(t, protocol(loss, ", trees: 3, depth: 4, bins: 40, min_leaf: 5", 3, 5))
		_, questions := federate(t, s, divide(t, random, s, columns(3), patients(random, loss, 900, 3), 3))
		most := map[string]compute.StepSummary{}
		for _, step := range Steps(s) {
			most[step.Step] = step
		}
		rounds := map[string]int{}
		for _, q := range questions {
			rounds[q.Step]++
			n := 0
			for _, f := range q.Layout {
				n += f.Length
			}
			if step := most[q.Step]; n > step.Numbers || rounds[q.Step] > step.Rounds {
				t.Errorf("%s: step %s asks %d numbers in round %d; its summary says %d in %d", loss, q.Step, n, rounds[q.Step], step.Numbers, step.Rounds)
			}
		}
	}
}
