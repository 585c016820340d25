package neural

import (
	"fmt"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// BenchmarkLocalRound is a site's work in a round of a network with a million
// parameters: the question read and checked, the loss, one epoch in minibatches
// of 32, and the vector.
func BenchmarkLocalRound(b *testing.B) {
	const rows = 512
	for _, strategy := range []string{study.FedAvg, study.Scaffold, study.FedSGD} {
		settings := map[string]string{
			study.FedAvg:   "optimizer: {name: adam, rate: 0.001}",
			study.Scaffold: "optimizer: {name: sgd, rate: 0.01}",
			study.FedSGD:   "server: {name: sgd, rate: 0.01}",
		}[strategy]
		s := parse(b, numberOutcome, fmt.Sprintf("{kind: neural, hidden: [1000, 1000], strategy: %s, %s}", strategy, settings), "{rounds: 5}")
		m := divide(b, s, patients(rows, 1), 1, apart(1))[0]
		n, err := newNetwork(s)
		if err != nil {
			b.Fatal(err)
		}
		w := n.initial(0)
		n.settle(w)
		q := question{round: 0, patients: rows, fitted: fitted{someScaling(n), w}}
		if strategy == study.Scaffold {
			q.round, q.previous, q.control = 1, w, make([]float64, len(w))
		}
		parameters, err := n.encodeRound(q)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("strategy=%s/parameters=%d/rows=%d", strategy, n.parameters(), rows), func(b *testing.B) {
			for b.Loop() {
				if _, err := Answer(s, StepRound, parameters, m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(len(parameters)), "question-bytes")
		})
	}
}
