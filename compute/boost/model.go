package boost

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

// Model is a fitted ensemble. It holds no record and nothing of a single site,
// and marshals to JSON without losing a bit.
type Model struct {
	Kind         string          `json:"kind"`
	Loss         string          `json:"loss"`
	Transform    string          `json:"transform,omitempty"` // of a number before the fit: identity, sqrt, log
	Outcome      string          `json:"outcome"`             // column
	Unit         string          `json:"unit,omitempty"`
	N            int             `json:"n"`
	Contributors int             `json:"contributors"`
	Base         float64         `json:"base_score"`
	Trees        []Tree          `json:"trees"`
	Bins         []Bins          `json:"edges"` // by column: the study's terms but the intercept, then the references of its categories
	Curve        []compute.Point `json:"curve,omitempty"`
	// BestRound is the number of trees kept, of those that early stopping saw.
	BestRound  *int         `json:"best_round,omitempty"`
	Importance []Importance `json:"importance"`
	// Baseline of a patient whose score is 0, at the ends of the merged intervals
	// of the study's grid; only where the study asks for it.
	Baseline []hazard.Point `json:"baseline,omitempty"`
}

// Bins cut a column: bin k ends with edge k, which it holds. Without a bin for
// missing values one counts as in the middle bin, len(edges)/2.
type Bins struct {
	Name    string    `json:"name"` // of the term
	Edges   []float64 `json:"edges"`
	Missing bool      `json:"missing"`
}

// Tree as flat arrays by node, level by level; the first node is the root.
type Tree struct {
	Column      []int     `json:"column"`       // into the model's edges; -1 for a leaf
	Bin         []int     `json:"bin"`          // values in this bin or below go left
	MissingLeft []bool    `json:"missing_left"` // where a missing value goes
	Left        []int     `json:"left"`         // the left child, the right one follows; -1 for a leaf
	Value       []float64 `json:"value"`        // of a leaf, added to the score
}

// Importance of a feature: what its splits lowered the loss by, in the loss of
// the training patients to second order. A category's levels are gathered.
type Importance struct {
	Feature string  `json:"feature"`
	Gain    float64 `json:"gain"`
	Splits  int     `json:"splits"`
}

// Model is the result, when Next says done.
func (f *Fit) Model() *Model {
	s := f.study
	m := &Model{Kind: study.Boost, Loss: f.loss.kind, Outcome: s.Outcome.Column, Unit: s.Outcome.Unit,
		N: f.patients, Contributors: f.contributors, Base: f.base, Trees: []Tree{}, Curve: f.curve, Importance: f.importance(), Baseline: f.baseline}
	if s.Outcome.Type == study.Number {
		m.Transform = string(s.Outcome.Scale)
	}
	if s.Model.Boost.Patience > 0 {
		m.BestRound = &f.best
	}
	for j, t := range columnsOf(s)[1:] {
		c := f.bins[j+1]
		m.Bins = append(m.Bins, Bins{t.Name, append([]float64{}, c.edges...), c.missing})
	}
	for _, t := range f.trees {
		var flat Tree
		for _, n := range t {
			left := int(n.child)
			if n.leaf() {
				left = -1
			}
			goes := !n.leaf() && f.bins[n.column].goesLeft(n, f.bins[n.column].bin(math.NaN()))
			flat.Column = append(flat.Column, int(n.column)-1)
			flat.Bin = append(flat.Bin, int(n.bin))
			flat.MissingLeft = append(flat.MissingLeft, goes)
			flat.Left = append(flat.Left, left)
			flat.Value = append(flat.Value, float64(n.value))
		}
		m.Trees = append(m.Trees, flat)
	}
	return m
}

// importance by feature, the greatest first.
func (f *Fit) importance() []Importance {
	out := make([]Importance, len(f.study.Features))
	for i, feature := range f.study.Features {
		out[i].Feature = feature.Column
	}
	columns := columnsOf(f.study)
	for _, gains := range f.gains {
		for _, g := range gains {
			i := &out[columns[g.column].Feature]
			i.Gain += g.by
			i.Splits++
		}
	}
	slices.SortStableFunc(out, func(a, b Importance) int {
		switch {
		case a.Gain > b.Gain:
			return -1
		case a.Gain < b.Gain:
			return 1
		}
		return strings.Compare(a.Feature, b.Feature)
	})
	return out
}

// encoded is the part of a model that predicts.
type encoded struct {
	Base  float64 `json:"base"`
	Edges []byte  `json:"edges"`
	Trees []byte  `json:"trees,omitempty"`
	// Cumulative hazards of a score of 0, where the model has a baseline.
	Times   []float64 `json:"times,omitempty"`
	Hazards []float64 `json:"hazards,omitempty"`
}

// Encode writes what predicts, for a question to carry.
func (m *Model) Encode() ([]byte, error) {
	b := make(bins, len(m.Bins)+1)
	for j, c := range m.Bins {
		b[j+1] = column{c.Edges, c.Missing}
	}
	var trees []tree
	for _, flat := range m.Trees {
		var t tree
		n := len(flat.Column)
		if len(flat.Bin) != n || len(flat.MissingLeft) != n || len(flat.Left) != n || len(flat.Value) != n {
			return nil, errors.New("the model is damaged: the arrays of a tree differ in length")
		}
		for i := range n {
			at := flat.Column[i] + 1
			switch {
			case at < 0 || at >= len(b) || flat.Bin[i] < 0 || flat.Bin[i] > 255:
				return nil, errors.New("the model is damaged: a node has no such column or bin")
			case at == 0:
				t = append(t, node{value: float32(flat.Value[i])})
			default:
				t = append(t, node{column: uint16(at), bin: uint8(flat.Bin[i]), left: flat.MissingLeft[i] && b[at].missing, child: int32(flat.Left[i])})
			}
		}
		trees = append(trees, t)
	}
	baseline := hazard.CurveOf(m.Baseline)
	return compute.EncodeParameters(encoded{m.Base, b.encode(), appendTrees(trees), baseline.Times, baseline.Hazards})
}

// Decode checks an encoded model and makes it predict.
func Decode(s *study.Study, in []byte) (compute.Predictor, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	var e encoded
	err := compute.DecodeParameters(in, &e)
	if err != nil {
		return nil, err
	}
	p := &ensemble{study: s, loss: newLoss(s), base: e.Base, references: referencesOf(s)}
	if err := checkBase(e.Base, p.loss); err != nil {
		return nil, err
	}
	b, err := decodeBins(s, e.Edges)
	if err != nil { // a model of before there were columns of references
		if b, err = decodeColumns(s, len(s.Terms()), e.Edges); err != nil {
			return nil, err
		}
	}
	trees, err := readTrees(b, s.Model.Boost.Depth, s.Model.Boost.Trees, e.Trees)
	if err != nil {
		return nil, err
	}
	for _, t := range trees {
		p.trees = append(p.trees, thresholds(b, t))
	}
	baseline := hazard.Curve{Times: e.Times, Hazards: e.Hazards}
	if s.HasBaseline() {
		return &survivor{p, baseline}, baseline.Check(s.Outcome.Grid, highestHazard)
	}
	if e.Times != nil || e.Hazards != nil {
		return nil, errors.New("the model has a baseline, but the study asks for none")
	}
	return p, nil
}

// survivor is an ensemble with a baseline: a compute.Survivor.
type survivor struct {
	*ensemble
	hazard.Curve
}

// ensemble walks trees by thresholds instead of bins.
type ensemble struct {
	study *study.Study
	loss  *loss
	base  float64
	trees [][]threshold

	references references
}

// threshold is a node: values up to it go left.
type threshold struct {
	column int
	upTo   float64
	left   bool // missing values go left
	child  int
	value  float64
}

func thresholds(b bins, t tree) []threshold {
	out := make([]threshold, len(t))
	for i, n := range t {
		if n.leaf() {
			out[i].value = float64(n.value)
			continue
		}
		c := b[n.column]
		out[i] = threshold{column: int(n.column), upTo: math.Inf(1), left: c.goesLeft(n, c.bin(math.NaN())), child: int(n.child)}
		if int(n.bin) < len(c.edges) {
			out[i].upTo = c.edges[n.bin]
		}
	}
	return out
}

// Predict gives the outcome in its unit, a probability, a mean count, or the
// log relative hazard. Trees have no offset.
func (p *ensemble) Predict(row []float64, _ float64) float64 {
	score := p.base
	for _, t := range p.trees {
		k := 0
		for t[k].column != 0 {
			n := &t[k]
			x := p.value(row, n.column)
			k = n.child
			if left := x <= n.upTo || x != x && n.left; !left {
				k++
			}
		}
		score += t[k].value
	}
	return p.loss.predict(p.study, score)
}

// value of a column in a row of terms.
func (p *ensemble) value(row []float64, column int) float64 {
	if column < len(row) {
		return row[column]
	}
	return p.references.value(row, column-len(row))
}

func (l *loss) predict(s *study.Study, score float64) float64 {
	score = l.clamp(score)
	switch l.kind {
	case study.LossSquared:
		return s.Outcome.Inverse(score)
	case study.LossLogistic:
		return 1 / (1 + math.Exp(-score))
	case study.LossPoisson:
		return math.Exp(score)
	}
	return score
}
