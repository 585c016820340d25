package siteagent

import (
	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// spent is what the studies so far have opened, or may yet open, about groups of
// patients, in thousandths of epsilon: those that are approved, and those that were
// and have asked.
func (a *Agent) spent() (thousandths int) {
	reviews, err := Studies(a.o.Dir)
	if err != nil {
		a.log.Warn("the epsilon of earlier studies cannot be added up", zap.Error(err))
	}
	for _, review := range reviews {
		if review.State != Approved && a.vault.Questions(review.Study, fairness.StepNoisy) == 0 {
			continue
		}
		protocol, err := StudyProtocol(a.o.Dir, review.Study)
		if err != nil {
			a.log.Warn("the epsilon of an earlier study is not known", zap.Stringer("study", review.Study), zap.Error(err))
			continue
		}
		if s, err := study.Parse(protocol); err == nil && s.Fairness.Noise != nil {
			thousandths += s.Fairness.Noise.Epsilon
		}
	}
	return thousandths
}
