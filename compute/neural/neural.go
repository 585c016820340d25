// Package neural trains a multilayer perceptron without gathering the records.
// Without hidden layers it is a linear or a logistic model, or a Poisson
// regression: the baselines a network has to beat.
//
// Three questions make a fit, each answered by a vector of which only the sum is
// opened:
//
//	neural/moments     patients, sums and squares of every column and the outcome, once
//	neural/round       what training at the site does to the weights, once a round
//	neural/importance  how strongly the prediction follows each column, once
//
// FairFed, of a mitigation, asks two more before each round (fairfed.go).
//
// The inputs are standardised with the opened means and standard deviations and
// kept within ten of them. A round carries the weights; a site trains on its
// own records and answers with the change of each weight, times its share of
// the patients, so that the sum is the mean over patients. What the coordinator
// makes of it is the strategy:
//
//   - fedavg, fedprox: it adds the mean change (McMahan et al., AISTATS 2017);
//     fedprox pulls local training towards the weights it started from (Li et
//     al., MLSys 2020).
//   - scaffold: control variates correct the drift of local training
//     (Karimireddy et al., ICML 2020), option I: a site's control variate is its
//     full gradient at the weights of the round before. The question carries
//     those weights too, so the site works the variate out again and has nothing
//     to remember between rounds.
//   - fedadam, fedyogi: the mean change is a gradient for an adaptive step (Reddi
//     et al., ICLR 2021).
//   - fedsgd: a site answers with its full gradient, and the coordinator steps.
//     That is gradient descent on all records, equal to the pooled one to 1e-8.
//
// Every answer also holds the training loss of the weights it was asked about;
// their sums are the learning curve, at no round of its own. Training ends after
// the study's number of rounds, or when a round changes the loss by no more than
// the study's tolerance relative to it; the model is the last one. A loss that
// grows out of all proportion ends the study with a diagnosis.
//
// The same seed gives the same model. It draws the first weights (He et al. for
// relu, Glorot and Bengio for tanh) and, with the round, the order in which a
// site visits its records. Optimiser state at a site begins anew each round.
//
// A change or a gradient beyond its declared bound is clipped, and how often is
// reported. Nothing else of a site is known to the coordinator, and the site
// checks every number it is asked about before it computes.
package neural

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Steps of a fit.
const (
	StepMoments    = "neural/moments"
	StepRound      = "neural/round"
	StepImportance = "neural/importance"
)

const (
	maxRows = 1 << 24 // of one site, as the layouts assume

	maxInput  = 10      // standard deviations at which an input is cut off
	maxWeight = 1 << 20 // magnitude of a weight in a question
	maxLoss   = 1 << 20 // at which the loss of a record is cut off
	maxSlope  = 1 << 20 // at which a record's slope in an input is cut off
)

// Layout is the vector of a step. It checks the parameters completely.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	n, err := newNetwork(s)
	if err != nil {
		return nil, err
	}
	switch step {
	case StepMoments:
		return n.momentsLayout(), noParameters(step, parameters)
	case StepRound:
		_, err = n.readRound(parameters)
		return n.roundLayout(), err
	case StepImportance:
		_, err = n.readEncoded(parameters)
		return n.importanceLayout(), err
	}
	if n.model.GapWeights == nil {
		return nil, unknownStep(step)
	}
	switch step {
	case StepRates:
		_, _, err = n.readFair(step, parameters)
		return n.ratesLayout(), err
	case StepGap:
		_, _, err = n.readFair(step, parameters)
		return n.gapLayout(), err
	}
	return nil, unknownStep(step)
}

// Answer is a site's vector. A site without records answers with zeros.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	n, err := newNetwork(s)
	if err != nil {
		return nil, err
	}
	if m.Rows() > maxRows {
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	}
	switch step {
	case StepMoments:
		if err := noParameters(step, parameters); err != nil {
			return nil, err
		}
		return n.answerMoments(m), nil
	case StepRound:
		q, err := n.readRound(parameters)
		if err != nil {
			return nil, err
		}
		if m.Rows() > q.patients {
			return nil, fmt.Errorf("the question counts %d patients in all, fewer than this hospital alone has; start the study again", q.patients)
		}
		return n.answerRound(q, m), nil
	case StepImportance:
		f, err := n.readEncoded(parameters)
		if err != nil {
			return nil, err
		}
		return n.answerImportance(f, m), nil
	}
	if n.model.GapWeights == nil {
		return nil, unknownStep(step)
	}
	switch step {
	case StepRates, StepGap:
		f, w, err := n.readFair(step, parameters)
		if err != nil {
			return nil, err
		}
		if step == StepRates {
			return n.answerRates(f, m), nil
		}
		return n.answerGap(f, w, m), nil
	}
	return nil, unknownStep(step)
}

// Steps says what a study sends.
func Steps(s *study.Study) []compute.StepSummary {
	n, err := newNetwork(s)
	if err != nil {
		return nil
	}
	what := "how training at the hospital changes each weight of the network, and the training loss, summed over patients"
	if n.model.Strategy == study.FedSGD {
		what = "the slope of the training loss in each weight of the network, and the loss, summed over patients"
	}
	steps := []compute.StepSummary{{Step: StepMoments, Rounds: 1, Fields: n.momentsLayout(),
		Purpose: "the mean and spread of the columns and of the outcome, to which the network's inputs are scaled"}}
	if n.model.GapWeights != nil {
		steps = append(steps,
			compute.StepSummary{Step: StepRates, Rounds: s.Schedule.Rounds, Fields: n.ratesLayout(),
				Purpose: "how many patients of the reference group, and of the others, the network so far calls positive, or what it loses for them"},
			compute.StepSummary{Step: StepGap, Rounds: s.Schedule.Rounds, Fields: n.gapLayout(),
				Purpose: "how far hospitals' gaps between groups are from the gap over all patients, added up over hospitals"})
	}
	steps = append(steps,
		compute.StepSummary{Step: StepRound, Rounds: s.Schedule.Rounds, Fields: n.roundLayout(), Purpose: what},
		compute.StepSummary{Step: StepImportance, Rounds: 1, Fields: n.importanceLayout(),
			Purpose: "how strongly the prediction follows each column, and the loss of the finished network, summed over patients"})
	for i := range steps {
		for _, f := range steps[i].Fields {
			steps[i].Numbers += f.Length
		}
	}
	return steps
}

func noParameters(step string, parameters []byte) error {
	if len(parameters) != 0 {
		return fmt.Errorf("step %s takes no parameters", step)
	}
	return nil
}

func unknownStep(step string) error {
	return fmt.Errorf("a neural network has no step %q", step)
}
