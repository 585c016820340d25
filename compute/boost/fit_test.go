package boost

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// A value equal to an edge is in the bin that the edge ends, so a split there
// sends it left; the same in training and in prediction.
func TestAValueOnAnEdgeGoesLeft(t *testing.T) {
	c := column{edges: []float64{-1, 0, 2.5}, missing: true}
	for x, want := range map[float64]int{-9: 0, -1: 0, math.Nextafter(-1, 0): 1, 0: 1, math.Copysign(0, -1): 1, 1e-300: 2, 2.5: 2, 2.6: 3, math.Inf(1): 3} {
		if got := c.bin(x); got != want {
			t.Errorf("%v is in bin %d, want %d", x, got, want)
		}
	}
	if got := c.bin(math.NaN()); got != 4 {
		t.Errorf("a missing value is in bin %d, want the one after the last", got)
	}
	if got := (column{edges: c.edges}).bin(math.NaN()); got != 1 {
		t.Errorf("without a bin of its own a missing value is in bin %d, want the middle one", got)
	}
	b := bins{{}, c}
	for bin, edge := range c.edges {
		grown := tree(nil).split(1, uint8(bin), false).close(1).close(2)
		p := &ensemble{loss: &loss{kind: study.LossCox, lo: -9, hi: 9}, trees: [][]threshold{thresholds(b, grown)}}
		if at, above := p.Predict([]float64{1, edge}, 0), p.Predict([]float64{1, math.Nextafter(edge, 9)}, 0); at != 1 || above != 2 {
			t.Errorf("at the edge %v the prediction is %v and above it %v, want left and right", edge, at, above)
		}
	}
}

func TestBinsBelowTheMinimumCellAreMerged(t *testing.T) {
	raw := bins{{},
		{edges: []float64{1, 2, 3, 4}, missing: true},
		{edges: []float64{1, 2, 3}, missing: true},
		{edges: []float64{0.5}, missing: true},
		{edges: []float64{0.5}, missing: true},
		{edges: []float64{0.5}, missing: true},
		{edges: []float64{7}, missing: true}}
	got := raw.merge([][]int{nil,
		{3, 4, 5, 6, 1, 5}, // 3+4 | 5 | 6+1: the last is too small alone
		{0, 0, 9, 0, 4},    // all in one bin; too few missing
		{50, 4, 0},         // a rare level is no column
		{50, 5, 3},
		{2, 2, 90},  // hardly anybody has a value
		{0, 40, 20}, // one bin, but missing or not is a difference
	}, 5)
	want := bins{{}, {edges: []float64{2, 3}, missing: true}, {}, {}, {edges: []float64{0.5}}, {}, {missing: true}}
	for j := range want {
		if !slices.Equal(got[j].edges, want[j].edges) || got[j].missing != want[j].missing {
			t.Errorf("column %d is cut into %v, want %v", j, got[j], want[j])
		}
	}
}

// Everything that the coordinator opens at a tree's root is of at least the
// minimum cell of patients, and every leaf of at least min_leaf.
func TestRootBinsAndLeavesAreLargeEnough(t *testing.T) {
	const cell, leaf = 8, 11
	random := rand.New(rand.NewPCG(3, 4))
	for _, loss := range losses {
		s := parse(t, protocol(loss, ", trees: 5, depth: 6, bins: 100, min_leaf: 11", 3, cell))
		sites := divide(t, random, s, columns(3), patients(random, loss, 400, 3), 7)
		f, _ := federate(t, s, sites)
		w := newTwin(f, sites)
		for j, c := range f.bins {
			n := make([]int, c.width())
			for i := range w.binned {
				if c.width() > 0 {
					n[w.binned[i][j]]++
				}
			}
			for bin := range n {
				if n[bin] < cell {
					t.Errorf("%s: bin %d of column %d has %d patients", loss, bin, j, n[bin])
				}
			}
		}
		for _, grown := range f.trees {
			n := make([]int, len(grown))
			for i := range w.binned {
				k := 0
				for n[k]++; !grown[k].leaf(); n[k]++ {
					x := grown[k]
					if k = int(x.child); !f.bins[x.column].goesLeft(x, w.binned[i][x.column]) {
						k++
					}
				}
			}
			if slices.Min(n) < leaf {
				t.Errorf("%s: a node has %d patients", loss, slices.Min(n))
			}
		}
	}
}

func TestMonotoneColumnsAreMonotone(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 1))
	for _, loss := range losses {
		s := parse(t, protocol(loss, ", trees: 20, depth: 4, bins: 16, min_leaf: 5, learning_rate: 0.3, monotone: {x0: 1, x2: -1}", 3, 5))
		f, _ := federate(t, s, divide(t, random, s, columns(3), patients(random, loss, 800, 3), 3))
		p := predictor(t, s, f.Model())
		split := map[int]bool{}
		for _, grown := range f.trees {
			for _, n := range grown {
				split[int(n.column)] = true
			}
		}
		if !split[1] || !split[3] {
			t.Fatalf("%s: the monotone columns are not used", loss)
		}
		for range 200 {
			row := []float64{1, 0, random.Float64()*6 - 3, 0, float64(random.IntN(2)), 0}
			if random.IntN(5) == 0 {
				row[2] = math.NaN()
			}
			for _, c := range []struct {
				column int
				sign   float64
			}{{1, 1}, {3, -1}} {
				last := math.Inf(-1)
				for x := -10.0; x <= 10; x += 0.25 {
					row[c.column] = x
					y := c.sign * p.Predict(row, 0)
					if y < last {
						t.Fatalf("%s: column %d is not monotone at %v", loss, c.column, x)
					}
					last = y
				}
				row[c.column] = 0
			}
		}
	}
}

func TestEarlyStoppingKeepsTheBestTrees(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 1))
	for _, loss := range losses {
		s := parse(t, protocol(loss, ", trees: 300, depth: 5, bins: 16, min_leaf: 5, learning_rate: 0.5, early_stopping: {patience: 3, fraction: 0.3}", 3, 5))
		f, _ := federate(t, s, divide(t, random, s, columns(3), patients(random, loss, 600, 3), 4))
		m := f.Model()
		last := m.Curve[len(m.Curve)-1].Round
		if last != len(m.Trees)+3 || *m.BestRound != len(m.Trees) || last >= 300 || m.N != 600 {
			t.Errorf("%s: %d trees of %d, best %d, %d patients", loss, len(m.Trees), last, *m.BestRound, m.N)
		}
		for _, p := range m.Curve {
			if *p.HeldOut < *m.Curve[len(m.Trees)].HeldOut {
				t.Errorf("%s: %d trees are better than those kept", loss, p.Round)
			}
		}
	}
}

// Deviations of the loss from finite differences, and the loss of a Cox model
// from its definition.
func TestSlopesAreThoseOfTheLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 1))
	for _, kind := range losses[:3] {
		l := newLoss(parse(t, protocol(kind, "", 1, 5)))
		for range 1000 {
			score, y := random.Float64()*4-2, float64(random.IntN(2))
			const e = 1e-4
			at := func(score float64) float64 {
				_, _, v := l.at(score, y)
				if kind != study.LossLogistic {
					v /= 2 // a squared error and a deviance are twice the loss that trees descend
				}
				return v
			}
			g, h, _ := l.at(score, y)
			if d := (at(score+e) - at(score-e)) / (2 * e); math.Abs(d-g) > 1e-6 {
				t.Fatalf("%s: the slope at %v is %v, by differences %v", kind, score, g, d)
			}
			if d := (at(score+e) - 2*at(score) + at(score-e)) / (e * e); math.Abs(d-h) > 1e-5 {
				t.Fatalf("%s: the curvature at %v is %v, by differences %v", kind, score, h, d)
			}
		}
	}
	l := newLoss(parse(t, protocol(study.LossCox, "", 1, 5)))
	times := []float64{9, 7, 7, 7, 4, 4, 2}
	events := []bool{true, false, true, true, true, false, true}
	scores := []float64{0.3, -0.2, 0.7, 0, 1.1, -0.9, 0.4}
	for _, weights := range [][]float64{{1, 1, 1, 1, 1, 1, 1}, {0.3, 2, 5.5, 1, 0.04, 7, 1.25}} {
		// Breslow's negative partial log-likelihood, straight from its definition.
		likelihood := func(scores []float64) float64 {
			total := 0.0
			for i := range times {
				if !events[i] {
					continue
				}
				risk := 0.0
				for j := range times {
					if times[j] >= times[i] {
						risk += weights[j] * math.Exp(scores[j])
					}
				}
				total += weights[i] * (math.Log(risk) - scores[i])
			}
			return total
		}
		n := len(times)
		g, h, v := make([]float64, n), make([]float64, n), make([]float64, n)
		l.coxSlopes(times, events, weights, scores, g, h, v)
		sum := 0.0
		for i := range times {
			sum += v[i]
			if events[i] { // which the loss leaves out
				sum += weights[i] * math.Log(weights[i])
			}
			const e = 1e-4
			up, down := slices.Clone(scores), slices.Clone(scores)
			up[i] += e
			down[i] -= e
			if d := (likelihood(up) - likelihood(down)) / (2 * e); math.Abs(d-g[i]) > 1e-7 {
				t.Errorf("the slope of record %d is %v, by differences %v", i, g[i], d)
			}
			if d := (likelihood(up) - 2*likelihood(scores) + likelihood(down)) / (e * e); math.Abs(d-h[i]) > 1e-5 {
				t.Errorf("the curvature of record %d is %v, by differences %v", i, h[i], d)
			}
		}
		if math.Abs(sum-likelihood(scores)) > 1e-12 {
			t.Errorf("the losses add up to %v, want %v", sum, likelihood(scores))
		}
	}
}

func TestWhatCannotBeFittedIsSaid(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 1))
	diagnosis := func(err error, kind string) {
		t.Helper()
		var d *compute.Diagnosis
		if !errors.As(err, &d) || d.Kind != kind {
			t.Errorf("got %v, want the diagnosis %s", err, kind)
		}
	}
	huge := parse(t, protocol(study.LossSquared, ", bins: 255, depth: 10", 400, 10))
	if _, err := New(huge, &describe.Counts{Patients: 1e6}); err == nil {
		t.Error("a question of 10^8 numbers is asked")
	}
	few := parse(t, protocol(study.LossSquared, ", min_leaf: 20", 1, 10))
	_, err := New(few, &describe.Counts{Patients: 39})
	diagnosis(err, compute.TooFewPatients)

	for _, loss := range losses {
		s := parse(t, protocol(loss, ", min_leaf: 10", 1, 5))
		records := patients(random, loss, 100, 1)
		for i := range records {
			records[i][2], records[i][3] = "0", "0"
		}
		f := begin(t, s, []*study.Matrix{matrix(t, s, columns(1), records)})
		for err = error(nil); err == nil; {
			q, done, e := f.Next()
			if done || e != nil {
				t.Fatal(done, e)
			}
			err = f.Absorb(ask(t, s, q, []*study.Matrix{matrix(t, s, columns(1), records)}))
		}
		diagnosis(err, compute.ConstantTarget)
	}

	// Nothing to split: a model, and a remark.
	s := parse(t, protocol(study.LossSquared, ", min_leaf: 10", 1, 5))
	records := patients(random, study.LossSquared, 100, 1)
	for i := range records {
		records[i][0], records[i][1] = "1", "GG"
	}
	f, _ := federate(t, s, []*study.Matrix{matrix(t, s, columns(1), records)})
	if m := f.Model(); len(m.Trees) != 0 || len(m.Curve) != 1 || len(f.Remarks()) != 2 || f.Remarks()[0].Kind != compute.UnusedColumn || f.Remarks()[1].Kind != compute.NoSplit {
		t.Errorf("%v, remarks %v", m, f.Remarks())
	}
}

// Trees that overshoot are a model, with a remark.
func TestTreesThatAreNoBetterThanNoneAreRemarked(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 1))
	records := patients(random, study.LossLogistic, 600, 3)
	for _, r := range records { // rare, and of nothing
		r[4] = strconv.Itoa(max(0, random.IntN(20)-18))
	}
	for settings, want := range map[string]bool{"learning_rate: 0.1": false, "learning_rate: 1, lambda: 0": true} {
		s := parse(t, protocol(study.LossLogistic, ", trees: 20, depth: 4, min_leaf: 5, "+settings, 3, 5))
		f, _ := federate(t, s, divide(t, random, s, columns(3), records, 3))
		c := f.Model().Curve
		got := slices.ContainsFunc(f.Remarks(), func(d compute.Diagnosis) bool { return d.Kind == compute.Divergence })
		if got != want || got != (c[len(c)-1].Loss >= c[0].Loss) {
			t.Errorf("%s: from %v to %v, remarks %v", settings, c[0].Loss, c[len(c)-1].Loss, f.Remarks())
		}
	}
}

// A column far from zero is split like one around it, and those that cannot be
// split are named.
func TestColumnsFarFromZeroAreSplitAndUnusedOnesNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 1))
	near := protocol(study.LossSquared, ", trees: 5, depth: 4, min_leaf: 10", 3, 5)
	far := strings.Replace(near, "column: x0, type: number, range: [-10, 10]", "column: x0, type: number, range: [999990, 1000010]", 1)
	wide := strings.Replace(near, "column: x0, type: number, range: [-10, 10]", "column: x0, type: number, range: [0, 1e12]", 1)
	records := patients(random, study.LossSquared, 500, 3)
	moved := make([][]string, len(records))
	for i, r := range records {
		moved[i] = slices.Clone(r)
		if x, err := strconv.ParseFloat(r[0], 64); err == nil {
			moved[i][0] = strconv.FormatFloat(1e6+x, 'f', -1, 64)
		}
	}
	fit := func(protocol string, records [][]string) (*Fit, *Model) {
		s := parse(t, protocol)
		f, _ := federate(t, s, divide(t, random, s, columns(3), records, 4))
		return f, f.Model()
	}
	_, m := fit(near, records)
	f, n := fit(far, moved)
	if len(n.Bins[0].Edges) != len(m.Bins[0].Edges) || len(f.Remarks()) != 0 {
		t.Errorf("a column has %d edges, and %d a million further on; remarks %v", len(m.Bins[0].Edges), len(n.Bins[0].Edges), f.Remarks())
	}
	s := parse(t, far)
	p := predictor(t, s, n)
	if a, b := p.Predict([]float64{1, 1e6, 1, 1, 0, 0}, 0), p.Predict([]float64{1, 1e6 + 3, 1, 1, 0, 0}, 0); b < a+2 {
		t.Errorf("where the outcome rises by about 9, predictions go from %v to %v", a, b)
	}
	for i := range moved {
		moved[i][0] = strconv.Itoa(1 + i%9)
	}
	f, n = fit(wide, moved)
	if r := f.Remarks(); len(r) != 1 || r[0].Kind != compute.UnusedColumn || !slices.Equal(r[0].Terms, []string{"x0"}) || n.Bins[0].Edges == nil {
		t.Errorf("a range in which all patients look alike: edges %v, remarks %v", n.Bins[0].Edges, r)
	}
}

// The predictor that a question carries gives what the trees gave in training.
func TestPredictionsAreTheScoresOfTraining(t *testing.T) {
	random := rand.New(rand.NewPCG(16, 1))
	for _, loss := range losses {
		s := parse(t, protocol(loss, ", trees: 8, depth: 4, bins: 12, min_leaf: 5", 3, 5))
		m := matrix(t, s, columns(3), patients(random, loss, 400, 3))
		f, _ := federate(t, s, []*study.Matrix{m})
		p := predictor(t, s, f.Model())
		c := known(m)
		for k, i := range c.records.order {
			want := f.loss.predict(s, c.scores[k])
			if got := p.Predict(m.Row(i), 0); got != want {
				t.Fatalf("%s: the prediction is %v, in training %v", loss, got, want)
			}
		}
		encoded, _ := f.Model().Encode()
		for _, damaged := range [][]byte{nil, encoded[:len(encoded)-1], append(slices.Clone(encoded), ' '), []byte("{}"), []byte(`{"base":0,"edges":"AA=="}`)} {
			if _, err := Decode(s, damaged); err == nil {
				t.Errorf("%.20q is a model", damaged)
			}
		}
	}
}

func TestASquareRootIsUndone(t *testing.T) {
	random := rand.New(rand.NewPCG(17, 1))
	old := outcomes[study.LossSquared]
	outcomes[study.LossSquared] = "{column: y, type: number, range: [0, 100], transform: sqrt}"
	defer func() { outcomes[study.LossSquared] = old }()
	s := parse(t, protocol(study.LossSquared, ", trees: 60, min_leaf: 10", 1, 5))
	var records [][]string
	for range 500 {
		x := random.IntN(2)
		records = append(records, []string{strconv.Itoa(x), "GG", strconv.Itoa(16 + 65*x), "0"})
	}
	f, _ := federate(t, s, []*study.Matrix{matrix(t, s, columns(1), records)})
	p := predictor(t, s, f.Model())
	for x, want := range []float64{16, 81} {
		if got := p.Predict([]float64{1, float64(x), 0, 0}, 0); math.Abs(got-want) > 0.5 {
			t.Errorf("the prediction for %d is %v, want %v", x, got, want)
		}
	}
}

// One tree that may take a whole step finds what is free of noise, but for a
// rounding far below what doctors write down.
func TestATreeIsPreciseWithoutNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 1))
	s := parse(t, protocol(study.LossSquared, ", trees: 1, depth: 4, bins: 8, min_leaf: 5, learning_rate: 1, lambda: 0", 3, 5))
	var records [][]string
	want := map[[3]int]float64{}
	for range 600 {
		x := [3]int{random.IntN(2), random.IntN(2), random.IntN(2)}
		y := 17.3*float64(x[0]) - 9.1*float64(x[1]*x[2]) + 0.77*float64(x[2])
		want[x] = y
		records = append(records, []string{strconv.Itoa(x[0]), strconv.Itoa(x[1]), strconv.Itoa(x[2]), "GG", strconv.FormatFloat(y, 'g', -1, 64), "0"})
	}
	f, _ := federate(t, s, []*study.Matrix{matrix(t, s, columns(3), records)})
	p := predictor(t, s, f.Model())
	for x, y := range want {
		if got := p.Predict([]float64{1, float64(x[0]), float64(x[1]), float64(x[2]), 0, 0}, 0); math.Abs(got-y) > 1e-3 {
			t.Errorf("%v for %v, want %v", got, x, y)
		}
	}
}
