package boost

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

func TestEdgesKeepSeventeenBitsAndTheirOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	values := []float64{0, 1, -1, 0.5, 65536, 131071, -131071, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)}
	for range 10000 {
		values = append(values, math.Ldexp(random.NormFloat64(), random.IntN(200)-100))
	}
	slices.Sort(values)
	for _, finer := range []int{0, 1, 20, edgeDropped} {
		relative := math.Ldexp(1, -17-finer)
		for i, x := range values {
			e := roundEdge(x, finer)
			if math.Abs(e-x) > math.Abs(x)*relative && math.Abs(x) < math.MaxFloat64 && math.Abs(x) > 1e-300 || math.IsInf(e, 0) {
				t.Fatalf("the edge of %v is %v", x, e)
			}
			if e != roundEdge(e, finer) || keyEdge(edgeKey(e, finer), finer) != e || math.Signbit(e) && e == 0 {
				t.Fatalf("the edge %v does not survive", e)
			}
			if i == 0 {
				continue
			}
			if before := roundEdge(values[i-1], finer); before > e || before < e && edgeKey(before, finer) >= edgeKey(e, finer) {
				t.Fatalf("the edges of %v and %v are out of order", values[i-1], x)
			}
		}
	}
	for _, whole := range []float64{0, 1, 2015, -3, 131071} {
		if roundEdge(whole, 0) != whole {
			t.Errorf("the whole number %v is not an edge", whole)
		}
	}
}

// Where a range lies far from zero, edges are as close as in one that begins there.
func TestEdgesAreAsFineAsTheDeclaredRange(t *testing.T) {
	for _, lo := range []float64{0, 1, 1e3, -1e6, 20260101, 1.7e9, 1e12} {
		for _, width := range []float64{1, 100, 1e5} {
			finer := finer(study.Range{Lo: lo, Hi: lo + width})
			if lo == 0 && finer != 0 {
				t.Errorf("edges between 0 and %v are %d bits finer than others", width, finer)
			}
			for i := range 1000 {
				x := lo + width*float64(i)/1000
				if e := roundEdge(x, finer); math.Abs(e-x) > width/(1<<16) {
					t.Fatalf("between %v and %v the edge of %v is %v", lo, lo+width, x, e)
				}
			}
		}
	}
}

func someBins(s *study.Study) bins {
	return bins{{}, {edges: []float64{-2, -0.5, 0, 1.25}, missing: true}, {edges: []float64{3}}, {edges: []float64{0.5}}, {missing: true}, {}}
}

func someTree() tree {
	var t tree
	t = t.split(1, 2, true)
	t = t.split(4, 0, false).split(2, 0, false)
	return t.close(0.5).close(-0.25).close(0).close(1e-3)
}

func TestTreesAndEdgesAreReadAsWritten(t *testing.T) {
	s := parse(t, protocol(study.LossSquared, ", depth: 3, bins: 8, trees: 5, min_leaf: 20", 2, 5))
	b := someBins(s)
	got, err := decodeBins(s, b.encode())
	if err != nil {
		t.Fatal(err)
	}
	for j := range b {
		if !slices.Equal(got[j].edges, b[j].edges) || got[j].missing != b[j].missing {
			t.Errorf("column %d is %v, want %v", j, got[j], b[j])
		}
	}
	trees := []tree{someTree(), tree(nil).close(1), someTree()}
	read, err := readTrees(b, 3, 5, appendTrees(trees))
	if err != nil || len(read) != 3 || !slices.Equal(read[0], trees[0]) || !slices.Equal(read[1], trees[1]) || !slices.Equal(read[2], trees[2]) {
		t.Errorf("%v %v", read, err)
	}
	for n := range 4 {
		part := someTree()[:n]
		read, err := readGrowing(b, 3, part.append(nil))
		if n == 2 { // a level that is half decided
			if err == nil {
				t.Error("half a level is read as a tree that grows")
			}
			continue
		}
		if err != nil || !slices.Equal(read, part) || read.open() != []int{1, 2, 0, 4}[n] {
			t.Errorf("of %d nodes: %v %v", n, read, err)
		}
	}
}

// Edges far from zero have more bits, and one spelling.
func TestFineEdgesHaveOneSpelling(t *testing.T) {
	s := parse(t, protocol(study.LossSquared, ", depth: 3, bins: 8, trees: 5, min_leaf: 20", 2, 5))
	b := bins{{}, {edges: []float64{-3, 0, 1e6 + 0.125, 1e6 + 0.25}, missing: true}, {edges: []float64{math.Nextafter(1, 0), 1}}, {edges: []float64{0.5}}, {}, {}}
	got, err := decodeBins(s, b.encode())
	if err != nil {
		t.Fatal(err)
	}
	for j := range b {
		if !slices.Equal(got[j].edges, b[j].edges) || got[j].missing != b[j].missing {
			t.Errorf("column %d is %v, want %v", j, got[j], b[j])
		}
	}
	spell := func(finer int) []byte {
		out := binary.AppendUvarint(nil, uint64(finer)<<9|1<<1)
		return append(binary.AppendUvarint(out, edgeKey(1, min(finer, edgeDropped))), 0, 0, 0, 0)
	}
	if _, err := decodeBins(s, spell(0)); err != nil {
		t.Fatal(err)
	}
	for _, finer := range []int{1, edgeDropped, edgeDropped + 1} {
		if _, err := decodeBins(s, spell(finer)); err == nil {
			t.Errorf("an edge of 1 with %d bits more is read", finer)
		}
	}
}

// A site believes nothing that a question says: each of these is refused.
func TestDamagedQuestionsAreRefused(t *testing.T) {
	s := parse(t, protocol(study.LossLogistic, ", depth: 2, bins: 8, trees: 3, min_leaf: 20", 2, 5))
	b := someBins(s)
	l := newLoss(s)
	good := func() *treeQuestion {
		return &treeQuestion{Edges: b.encode(), Base: -0.5, Scale: l.scale(1000, 0, l.expected(moments{patients: 1000, mean: 0.4, spread: 0.5}), manyBits), Patients: 1000,
			Trees: appendTrees([]tree{someTree()}), Tree: someTree()[:1].append(nil), Nodes: []int{1}, Counts: []int{300}, Limb: 40}
	}
	encode := func(q *treeQuestion) []byte {
		out, err := compute.EncodeParameters(q)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := Layout(s, StepTree, encode(good())); err != nil {
		t.Fatal(err)
	}
	deep := tree(nil).split(1, 0, false).split(1, 1, false).split(1, 2, false)
	for name, change := range map[string]func(q *treeQuestion){
		"another number of columns":       func(q *treeQuestion) { q.Edges = b[:4].encode() },
		"more edges than bins":            func(q *treeQuestion) { q.Edges = bins{{}, {edges: make([]float64, 8)}, {}, {}, {}, {}}.encode() },
		"edges not ascending":             func(q *treeQuestion) { q.Edges = bins{{}, {edges: []float64{1, 1}}, {}, {}, {}, {}}.encode() },
		"an infinite edge":                func(q *treeQuestion) { q.Edges = bins{{}, {edges: []float64{math.Inf(1)}}, {}, {}, {}, {}}.encode() },
		"bytes after the edges":           func(q *treeQuestion) { q.Edges = append(q.Edges, 0) },
		"a long spelling":                 func(q *treeQuestion) { q.Edges = append([]byte{q.Edges[0] | 0x80, 0}, q.Edges[1:]...) },
		"a base out of range":             func(q *treeQuestion) { q.Base = 31 },
		"minus zero":                      func(q *treeQuestion) { q.Base = math.Copysign(0, -1) },
		"no patients":                     func(q *treeQuestion) { q.Patients = 0 },
		"held out without early stopping": func(q *treeQuestion) { q.HeldOut = 1 },
		"events of a binary outcome":      func(q *treeQuestion) { q.Events = 1 },
		"half a tree":                     func(q *treeQuestion) { q.Trees = q.Trees[:len(q.Trees)-1] },
		"more trees than the study":       func(q *treeQuestion) { q.Trees = bytes.Repeat(q.Trees, 4) },
		"another tree after all":          func(q *treeQuestion) { q.Trees = bytes.Repeat(q.Trees, 3) },
		"a split on no column":            func(q *treeQuestion) { q.Trees = tree{{column: 5, child: 1}, {}, {}}.append(nil) },
		"a split after the last bin":      func(q *treeQuestion) { q.Trees = tree{{column: 2, bin: 1, child: 1}, {}, {}}.append(nil) },
		"missing left without a bin":      func(q *treeQuestion) { q.Trees = tree{{column: 2, left: true, child: 1}, {}, {}}.append(nil) },
		"a leaf that is not a number":     func(q *treeQuestion) { q.Trees = tree{{value: float32(math.NaN())}}.append(nil) },
		"an infinite leaf":                func(q *treeQuestion) { q.Trees = tree{{value: float32(math.Inf(-1))}}.append(nil) },
		"a tree that is too deep":         func(q *treeQuestion) { q.Tree = deep.append(nil) },
		"a finished tree that grows":      func(q *treeQuestion) { q.Tree = someTree().append(nil) },
		"a node that is not open":         func(q *treeQuestion) { q.Nodes = []int{2} },
		"a negative node":                 func(q *treeQuestion) { q.Nodes = []int{-1} },
		"a node twice":                    func(q *treeQuestion) { q.Nodes, q.Counts = []int{1, 1}, []int{300, 300} },
		"no node of a tree":               func(q *treeQuestion) { q.Nodes, q.Counts = nil, nil },
		"a node without a count":          func(q *treeQuestion) { q.Counts = nil },
		"a node smaller than a leaf":      func(q *treeQuestion) { q.Counts = []int{19} },
		"a node larger than all":          func(q *treeQuestion) { q.Counts = []int{1001} },
		"limbs of no width":               func(q *treeQuestion) { q.Limb = 0 },
		"limbs of a bit":                  func(q *treeQuestion) { q.Limb = 1 },
		"limbs wider than a slot":         func(q *treeQuestion) { q.Limb = 60 },
		"limbs of nothing":                func(q *treeQuestion) { q.Tree, q.Nodes, q.Counts = nil, nil, nil },
		"squares of no node":              func(q *treeQuestion) { q.Squares = []int64{5, 5} },
		"curvatures beyond float64":       func(q *treeQuestion) { q.Scale.Hessian = 60 },
		"sums beyond float64":             func(q *treeQuestion) { q.Scale.Gradient = 60 },
		"rounding beyond exponents":       func(q *treeQuestion) { q.Scale.Loss = 2000 },
		"sums of nothing but zero":        func(q *treeQuestion) { q.Scale.Loss = -1001 },
	} {
		q := good()
		change(q)
		if _, err := Layout(s, StepTree, encode(q)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Answer(s, StepTree, encode(q), matrix(t, s, columns(2), nil)); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
	for _, step := range []string{"", "boost/leaves", "glm/gram"} {
		if _, err := Layout(s, step, encode(good())); err == nil {
			t.Errorf("there is a step %q", step)
		}
	}
	// The question about bins has one for missing values in every column.
	if p, _ := compute.EncodeParameters(binsQuestion{Edges: b.encode()}); p != nil {
		if _, err := Layout(s, StepBins, p); err == nil {
			t.Error("bins without one for missing values are accepted")
		}
	}
}

func FuzzQuestion(f *testing.F) {
	s := parse(f, protocol(study.LossPoisson, ", depth: 3, bins: 8, trees: 3, min_leaf: 5", 2, 5))
	l := newLoss(s)
	m := matrix(f, s, columns(2), patients(rand.New(rand.NewPCG(1, 1)), study.LossPoisson, 30, 2))
	q := &treeQuestion{Edges: someBins(s).encode(), Base: 0.5, Scale: l.scale(100, 0, l.expected(moments{patients: 100, mean: 2, spread: 1}), manyBits), Patients: 100,
		Trees: appendTrees([]tree{someTree()}), Tree: someTree()[:1].append(nil), Nodes: []int{0, 1}, Counts: []int{100, 50}, Limb: 36}
	seed, err := compute.EncodeParameters(q)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(bytes.Replace(seed, []byte(`"nodes":[0,1]`), []byte(`"nodes":[1,0]`), 1))
	f.Fuzz(func(t *testing.T, parameters []byte) {
		layout, err := Layout(s, StepTree, parameters)
		if err != nil {
			return
		}
		values, err := Answer(s, StepTree, parameters, m)
		if err != nil {
			return // more patients here than the question allows for
		}
		at := 0
		for _, field := range layout {
			for range field.Length {
				if !(math.Abs(values[at]) <= field.Bound) {
					t.Fatalf("a value of field %s is beyond its bound", field.Name)
				}
				at++
			}
		}
		if at != len(values) {
			t.Fatalf("%d values, the layout has %d", len(values), at)
		}
	})
}
