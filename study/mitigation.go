package study

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Methods of mitigation.
const (
	Reweigh          = "reweigh"            // patients weigh in the fit by group, and by outcome
	Recalibrate      = "recalibrate"        // predictions of a group are moved along a line of its own
	GroupThresholds  = "thresholds"         // a group is called positive from a probability of its own
	BoundedGroupLoss = "bounded-group-loss" // groups whose loss is above a bound weigh more
	QFedAvg          = "q-fedavg"           // hospitals where the network loses more count more
	FairFed          = "fairfed"            // hospitals whose gap between groups is that of the whole count more
)

// What reweighing balances.
const (
	BalanceOutcome = "outcome" // in every group the outcome weighs as in the whole
	BalanceSize    = "size"    // every group weighs as much as every other
)

// MostMitigationWeight is the largest weight that a mitigation gives a patient:
// it is part of the bounds of every weighted sum.
const MostMitigationWeight = 20

// Mitigation is what is to be done about errors that differ between groups, how
// strongly, and which of the models that come of it is released: all of it
// before there is a result. The model without mitigation is always among them.
type Mitigation struct {
	Method    string
	Attribute int       // of Fairness.Attributes
	Strengths []float64 // ascending, above 0 and up to 1
	Release   float64   // one of Strengths, or 0: the model without mitigation
	Measure   string    // one of ComparableMetrics, by which the gap between groups is measured

	Balance string // of reweigh

	Slope bool // of recalibrate, for a number or a binary outcome: the line has a slope of its own

	Equalize                     string  // of thresholds and fairfed: selection_rate, tpr or fpr; of fairfed also loss
	FalsePositive, FalseNegative float64 // of thresholds: what each costs

	Bound  float64 // of bounded-group-loss: of a group's root mean squared error, or log loss
	Rounds int     // of bounded-group-loss
	Rate   float64 // of bounded-group-loss: of the exponentiated gradient

	Q float64 // of q-fedavg, at strength 1

	Beta float64 // of fairfed, at strength 1
}

// EqualLoss is what fairfed compares where a model calls nobody positive: the mean
// loss of each side.
const EqualLoss = "loss"

// MostQ is the largest exponent of q-fedavg, MostBeta the largest step of fairfed.
const (
	MostQ    = 2
	MostBeta = 100
)

// MostFairFed bounds the parameters of a network times the rounds of fairfed: a
// question carries the networks of all rounds before it, from which a hospital
// works its weight out again.
const MostFairFed = 100_000

// Weighs reports whether patients have weights in the fit by their group.
func (m *Mitigation) Weighs() bool { return m.Method == Reweigh || m.Method == BoundedGroupLoss }

// Fits reports whether the method is one of the fit, so that a prediction does not
// ask for the group.
func (m *Mitigation) Fits() bool { return m.Weighs() || m.WeighsHospitals() }

// WeighsHospitals reports whether the method changes how much a hospital counts in
// a round of training.
func (m *Mitigation) WeighsHospitals() bool { return m.Method == QFedAvg || m.Method == FairFed }

// NeedsGroup reports whether the released model asks for a patient's group.
func (m *Mitigation) NeedsGroup() bool { return m != nil && !m.Fits() && m.Release > 0 }

// Cut is the probability from which a patient is called positive: the first
// threshold of the audit.
func (s *Study) Cut() float64 {
	if s.Fairness.Thresholds != nil {
		return s.Fairness.Thresholds[0]
	}
	return 0.5
}

// mitigationKeys are the keys of mitigation by its method, besides those that
// all have.
var mitigationKeys = map[string][]string{
	Reweigh:          {"balance"},
	Recalibrate:      {"slope"},
	GroupThresholds:  {"equalize", "cost"},
	BoundedGroupLoss: {"bound", "rounds", "rate"},
	QFedAvg:          {"q"},
	FairFed:          {"beta", "equalize"},
}

func (s *Study) readMitigation(r *reader, n *yaml.Node) {
	if n == nil || r.fault != nil {
		return
	}
	at := r.section(n, "mitigation", "method", "attribute", "strength", "release", "measure", "balance", "slope", "equalize", "cost", "bound", "rounds", "rate", "q", "beta")
	at.need("method", "reweigh, recalibrate, thresholds, bounded-group-loss, q-fedavg or fairfed")
	m := &Mitigation{Method: at.choice("method", "", Reweigh, Recalibrate, GroupThresholds, BoundedGroupLoss, QFedAvg, FairFed)}
	if r.fault != nil {
		return
	}
	for _, keys := range mitigationKeys {
		for _, key := range keys {
			if !slices.Contains(mitigationKeys[m.Method], key) {
				at.refuse(key, m.Method+" has none")
			}
		}
	}
	s.refuseMitigation(r, n, m.Method)
	if column := r.name(at.need("attribute", "name one of fairness.attributes"), "mitigation.attribute"); r.fault == nil {
		m.Attribute = s.attribute(r, at.values["attribute"], "mitigation.attribute", column)
	}
	m.readStrengths(r, at)
	known := s.ComparableMetrics()
	m.Measure = "mae"
	switch s.Outcome.Type {
	case Binary:
		m.Measure = "brier"
	case Survival:
		if m.Measure = "oe"; !s.HasBaseline() {
			m.Measure = "cindex"
		}
	}
	switch m.Method {
	case Reweigh:
		usual := BalanceOutcome
		if s.Outcome.Type == Survival {
			usual = BalanceSize
		}
		m.Balance = at.choice("balance", usual, BalanceOutcome, BalanceSize)
		if m.Balance == BalanceOutcome && s.Outcome.Type == Survival {
			r.fail(n, "mitigation.balance", "write balance: size", "mitigation.balance: who had the event depends on how long each patient was followed, so survival has no classes to balance")
		}
		if m.Balance == BalanceOutcome && s.Outcome.Type != Binary && s.Fairness.Bands == nil {
			r.fail(n, "mitigation.balance", "declare fairness.bands, or write balance: size", "mitigation.balance: to balance the outcome, a number or a count needs bands")
		}
	case Recalibrate:
		switch s.Outcome.Type {
		case Survival:
			at.refuse("slope", "a survival outcome is recalibrated by a factor on each group's hazard")
		case Count:
			at.refuse("slope", "a count is recalibrated by a factor on each group's predictions")
		default:
			m.Slope = at.choice("slope", "true", "true", "false") == "true"
		}
	case GroupThresholds:
		at.need("equalize", "selection_rate, tpr or fpr")
		m.Equalize = at.choice("equalize", "", "selection_rate", "tpr", "fpr")
		m.Measure, m.FalsePositive, m.FalseNegative = m.Equalize, 1, 1
		if at.has("cost") {
			of := r.section(at.values["cost"], "mitigation.cost", "false_positive", "false_negative")
			m.FalsePositive = of.real("false_positive", 1, 0, 1e6)
			m.FalseNegative = of.real("false_negative", 1, 0, 1e6)
			if r.fault == nil && m.FalsePositive+m.FalseNegative == 0 {
				r.fail(at.values["cost"], "mitigation.cost", "", "mitigation.cost: an error of some kind must cost something")
			}
		}
	case BoundedGroupLoss:
		m.Bound = at.real("bound", 0, 0, 1e12)
		m.Rounds = at.integer("rounds", 5, 1, 50)
		m.Rate = at.real("rate", 1, 0.01, 100)
	case QFedAvg:
		m.Q = at.real("q", 1, 0.01, MostQ)
	case FairFed:
		m.Beta = at.real("beta", 1, 0.001, MostBeta)
		m.Equalize = EqualLoss
		if s.Outcome.Type == Binary {
			m.Equalize = at.choice("equalize", "tpr", "selection_rate", "tpr", "fpr", EqualLoss)
		} else {
			m.Equalize = at.choice("equalize", EqualLoss, EqualLoss)
		}
		if m.Equalize != EqualLoss {
			m.Measure = m.Equalize
		}
	}
	if m.Measure = at.choice("measure", m.Measure, known...); r.fault == nil {
		s.Mitigation = m
	}
}

// refuseMitigation says where a method does not fit the study.
func (s *Study) refuseMitigation(r *reader, n *yaml.Node, method string) {
	refuse := func(key, hint, format string, args ...any) {
		at := keyValue(n, key)
		if at == nil {
			at = n
		}
		r.fail(at, "mitigation."+key, hint, "mitigation: "+format, args...)
	}
	switch {
	case r.fault != nil:
	case s.Model.Kind == Describe:
		refuse("method", "remove it", "describe fits no model")
	case s.Fairness.Attributes == nil:
		refuse("attribute", "declare fairness: {attributes: [...]}", "there are no groups without fairness.attributes")
	case method == BoundedGroupLoss && s.Outcome.Type == Survival:
		refuse("method", "use reweigh with balance: size, or recalibrate", "bounded-group-loss needs the loss of each patient, and a partial likelihood compares patients with each other")
	case method == Recalibrate && s.Outcome.Type == Survival && !s.HasBaseline():
		refuse("method", "use model: {kind: cox}, or baseline: breslow of boosted trees", "recalibrate compares the events of a group with those that the model expects, and kind %s has no baseline to expect them from", s.Model.Kind)
	case method == GroupThresholds && (s.Validation.Kind == KFold || s.Validation.Kind == LeaveOneSiteOut):
		refuse("method", "use validation: {kind: holdout} or {kind: external}", "an audit calls all patients of a group positive from one threshold, and each model of a %s validation has its own", s.Validation.Kind)
	case (method == QFedAvg || method == FairFed) && s.Model.Kind != Neural:
		refuse("method", "use reweigh or bounded-group-loss", "%s is a strategy of a neural network", method)
	case method == FairFed && s.Model.Neural.Strategy != FedAvg && s.Model.Neural.Strategy != FedProx:
		refuse("method", "write model: {strategy: fedavg} or fedprox", "fairfed weighs the changes that hospitals' own training makes, which is fedavg or fedprox")
	case method == QFedAvg && (s.Model.Neural.Strategy != FedAvg && s.Model.Neural.Strategy != FedProx || s.Model.Neural.Optimizer.Name != "sgd"):
		refuse("method", "write model: {strategy: fedavg, optimizer: {name: sgd, rate: 0.05}}", "q-fedavg takes the length of its steps from the rate of sgd at the hospitals, with fedavg or fedprox")
	case method == GroupThresholds && s.Outcome.Type != Binary:
		refuse("method", "", "thresholds are for a binary outcome: they say from which probability a patient is called positive")
	}
}

// readStrengths reads the grid, and which of it is released.
func (m *Mitigation) readStrengths(r *reader, at *section) {
	const path = "mitigation.strength"
	for i, element := range r.list(at.need("strength", "write [0.5, 1]: how much of the way to go, one model for each"), path, maxCuts) {
		x := r.number(element, fmt.Sprintf("%s[%d]", path, i))
		switch {
		case r.fault != nil:
		case x < 0 || x > 1:
			r.fail(element, path, "", "%s: a strength is from 0, no mitigation, to 1, all of it", path)
		case x == 0 && i == 0: // always there
		case len(m.Strengths) > 0 && x <= m.Strengths[len(m.Strengths)-1] || x == 0:
			r.fail(element, path, "", "%s must ascend", path)
		default:
			m.Strengths = append(m.Strengths, x)
		}
	}
	if r.fault == nil && m.Strengths == nil {
		r.fail(at.values["strength"], path, "", "%s: a strength of 0 is no mitigation", path)
	}
	n := at.need("release", "declare before there is a result which model is released: a strength, or none for the model without mitigation")
	if r.fault != nil || r.text(n, "mitigation.release") == "none" {
		return
	}
	m.Release = r.number(n, "mitigation.release")
	if r.fault == nil && m.Release != 0 && !slices.Contains(m.Strengths, m.Release) {
		var known []string
		for _, x := range m.Strengths {
			known = append(known, decimal(x))
		}
		r.fail(n, "mitigation.release", "", "mitigation.release must be none or one of the strengths, %s", strings.Join(known, ", "))
	}
}

// Classes is how many parts of the outcome reweighing tells apart.
func (s *Study) Classes() int {
	switch {
	case s.Mitigation == nil || s.Mitigation.Balance != BalanceOutcome:
		return 1
	case s.Outcome.Type == Binary:
		return 2
	}
	return len(s.Fairness.Bands) + 1
}

// Class is the part that an outcome is in.
func (s *Study) Class(y float64) int {
	switch {
	case s.Classes() == 1:
		return 0
	case s.Outcome.Type == Binary:
		return int(y)
	}
	class := 0
	for _, cut := range s.Fairness.Bands {
		if cut <= y {
			class++
		}
	}
	return class
}

// boundFairFed refuses questions that would carry too much.
func (s *Study) boundFairFed(r *reader, n *yaml.Node) {
	if m := s.Mitigation; r.fault != nil || m == nil || m.Method != FairFed {
		return
	}
	if carried := s.Parameters() * s.Schedule.Rounds; carried > MostFairFed {
		r.fail(keyValue(n, "method"), "mitigation.method", "make model.hidden smaller, or schedule.rounds fewer",
			"mitigation: fairfed carries the network of every round before, here %d numbers at last, more than %d", carried, MostFairFed)
	}
}

// Group is the record's group under the attribute of the mitigation, by index:
// unknown for whatever is not declared. It is -1 where the released model does
// not ask for it.
func (p *Predictor) Group(record []string) int {
	switch {
	case p.group == nil:
		return -1
	case len(record) != p.width:
		return p.group.none
	}
	if g, ok := p.group.words.index(strings.TrimSpace(record[p.group.at])); ok {
		return g
	}
	return p.group.none
}

// groupColumn is where a predictor finds the group; nil where it does not ask.
func (s *Study) groupColumn(h *header) *attributeColumn {
	if !s.Mitigation.NeedsGroup() {
		return nil
	}
	a := s.Fairness.Attributes[s.Mitigation.Attribute]
	return &attributeColumn{h.index[a.Column], vocabularyOfLevels(a.Levels), len(a.Levels)}
}
