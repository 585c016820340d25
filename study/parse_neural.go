package study

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Most that a neural network may be asked for.
const (
	MaxHiddenLayers = 8
	MaxParameters   = 2_000_000
)

func (s *Study) readNeural(r *reader, at *section) {
	if s.Outcome.Type == Survival {
		r.fail(at.values["kind"], "model.kind", "use kind: cox or boost, or change outcome.type", "model.kind: neural does not fit a survival outcome")
		return
	}
	n := &NeuralModel{
		Activation: at.choice("activation", "relu", "relu", "tanh"),
		Strategy:   at.choice("strategy", FedAvg, FedAvg, FedProx, Scaffold, FedAdam, FedYogi, FedSGD),
		Epochs:     at.integer("epochs", 1, 1, 100),
		Batch:      at.integer("batch", 32, 0, 1_000_000),
		Clip:       at.real("clip", 0, 0, 1e6),
		Decay:      at.real("decay", 0, 0, 1e6),
		Seed:       1,
	}
	s.Model.Neural = n
	if hidden := at.values["hidden"]; hidden != nil && !isEmptyList(hidden) {
		for i, element := range r.list(hidden, "model.hidden", MaxHiddenLayers) {
			n.Hidden = append(n.Hidden, r.whole(element, fmt.Sprintf("model.hidden[%d]", i), 1, 100_000))
		}
	}
	n.Proximal = 0.01
	if n.Strategy != FedProx {
		at.refuse("proximal", "only strategy: fedprox has it")
		n.Proximal = 0
	} else {
		n.Proximal = at.real("proximal", 0.01, 0, 1e6)
	}
	if at.has("seed") {
		seed, err := strconv.ParseUint(r.text(at.values["seed"], "model.seed"), 10, 64)
		if err != nil {
			r.fail(at.values["seed"], "model.seed", "", "model.seed must be a whole number from 0 up, of at most 64 bits")
		}
		n.Seed = seed
	}
	s.readOptimizers(r, at)
}

func isEmptyList(n *yaml.Node) bool { return n.Kind == yaml.SequenceNode && len(n.Content) == 0 }

// readOptimizers reads the step rules of the sites and of the server, of which
// a strategy uses one or both.
func (s *Study) readOptimizers(r *reader, at *section) {
	n := s.Model.Neural
	switch n.Strategy {
	case FedSGD:
		// The sites of fedsgd send a gradient; the one step is the server's, by
		// whichever name it is given.
		if n.Epochs != 1 {
			at.refuse("epochs", "the sites of fedsgd send one gradient a round")
		}
		key := "server"
		if at.has("optimizer") {
			at.refuse("server", "fedsgd takes one step a round, and optimizer says which")
			key = "optimizer"
		}
		n.Server = r.optimizer(at.values[key], "model."+key, 0.1, "sgd", "adam", "yogi")
		if n.Server.Name == "sgd" && at.values[key] == nil {
			n.Server.Momentum = 0.9
		}
		return
	case Scaffold:
		// Its control variates correct gradients, which is a step of sgd.
		n.Optimizer = r.optimizer(at.values["optimizer"], "model.optimizer", 0.01, "sgd")
	default:
		rate := 0.001
		if len(n.Hidden) == 0 {
			rate = 0.01 // a linear model has no layers whose steps add up
		}
		n.Optimizer = r.optimizer(at.values["optimizer"], "model.optimizer", rate, "adam", "sgd")
	}
	switch n.Strategy {
	case FedAdam:
		n.Server = r.optimizer(at.values["server"], "model.server", 0.01, "adam")
	case FedYogi:
		n.Server = r.optimizer(at.values["server"], "model.server", 0.01, "yogi")
	default:
		at.refuse("server", fmt.Sprintf("the server of %s averages and takes no step; only fedadam, fedyogi and fedsgd have it", n.Strategy))
	}
}

// optimizer reads a step rule, by default the first of the names.
func (r *reader) optimizer(n *yaml.Node, key string, rate float64, names ...string) Optimizer {
	at := r.section(n, key, "name", "rate", "momentum")
	o := Optimizer{Name: at.choice("name", names[0], names...)}
	if !slices.Contains(names, o.Name) {
		return o
	}
	if o.Name != names[0] {
		rate = 0.01
	}
	o.Rate = at.real("rate", rate, 1e-9, 1000)
	if o.Name != "sgd" {
		at.refuse("momentum", "only sgd has it")
	}
	o.Momentum = at.real("momentum", 0, 0, 0.9999)
	return o
}

// boundNetwork counts the weights and biases, which depend on the terms.
func (s *Study) boundNetwork(r *reader, model *yaml.Node) {
	if s.Model.Neural == nil {
		return
	}
	if parameters := s.Parameters(); parameters > MaxParameters {
		r.fail(model, "model.hidden", "make the layers smaller", "the network has %d parameters, more than %d", parameters, MaxParameters)
	}
}
