package fairness

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Progress is the audit of the model as it was after so many rounds of training:
// of the groups that the final audit shows, on the same patients, so that what
// differs between two rounds is the model.
type Progress struct {
	Round        int     `json:"round"` // rounds of training, or trees
	Contributors int     `json:"contributors"`
	Groups       []Stand `json:"groups"`
}

// Stand is how a group fares at a round, by the metrics that groups are compared
// by and those that say how large the errors are.
type Stand struct {
	Attribute string            `json:"attribute"`
	Level     string            `json:"level"`
	Metrics   map[string]Metric `json:"metrics"`
}

// Following audits a model while it is trained. Which groups are large enough is
// asked once; then each audit is one sum.
type Following struct {
	study *study.Study // without what only the final audit has
	gate  *Session     // that knows which groups may be opened
	now   *Session     // nil between audits
	round int
	done  []stood
}

// stood is the errors of a model on the way.
type stood struct {
	round    int
	question question
	opened   compute.Sum
}

// NewFollowing begins to follow a model on so many patients.
func NewFollowing(s *study.Study, sizes Sizes) *Following {
	light := *s
	light.Fairness.Bootstrap, light.Fairness.Criteria, light.Fairness.Hospitals = 0, nil, nil
	f := &Following{study: &light}
	f.gate = New(&light, sizes)
	f.gate.refits = false
	return f
}

// Begin an audit of the model after so many rounds.
func (f *Following) Begin(round int) {
	f.round, f.now = round, f.gate
	if f.done != nil {
		f.now = &Session{study: f.study, sizes: f.gate.sizes, gate: f.gate.gate, dominated: f.gate.dominated, question: f.gate.question}
	}
}

// Open reports whether an audit is under way.
func (f *Following) Open() bool { return f.now != nil }

// Next is the question whose sum Absorb expects.
func (f *Following) Next() (q compute.Question, done bool, err error) {
	if f.now.question != nil {
		f.now.question.Against = nil // nothing is compared inside hospitals yet
	}
	return f.now.Next()
}

// Absorb takes the opened sum.
func (f *Following) Absorb(sum compute.Sum) error {
	if err := f.now.Absorb(sum); err != nil || f.now.audit == nil {
		return err
	}
	f.done, f.now = append(f.done, stood{f.round, *f.now.question, f.now.opened}), nil
	return nil
}

// onTheWay are the metrics of progress: those that groups are compared by, and the size of errors.
func onTheWay(t study.Type) []string {
	return append(study.ComparableMetrics(t), "auc", "concordance")
}

// Settle gives the final audit what is known of the sizes, which are not asked for
// a second time.
func (f *Following) Settle(a *Session) error {
	if f.done == nil || f.gate.gate == nil {
		return nil // nothing was followed, or the study has no groups
	}
	if a.gate != nil {
		return fmt.Errorf("the final audit knows the sizes of its groups already")
	}
	a.gate, a.dominated = f.gate.gate, f.gate.dominated
	a.sizes.Patients, a.sizes.Positives = f.gate.sizes.Patients, f.gate.sizes.Positives
	a.decided()
	return nil
}

// Progress until the final audit, which decides what may be shown of the patients:
// what is the same whatever the model predicts is shown in both or in none.
func (f *Following) Progress(final *Session) (out []Progress, err error) {
	for _, d := range f.done {
		r := reading{study: f.study, question: d.question, minimum: f.study.Fairness.MinimumCell, gate: f.gate.gate, beside: &final.hidden}
		a, err := r.read(d.opened)
		if err != nil {
			return nil, err
		}
		p := Progress{Round: d.round, Contributors: a.Contributors, Groups: []Stand{}}
		for _, g := range a.Groups {
			if g.State != OK {
				continue
			}
			stand := Stand{g.Attribute, g.Level, map[string]Metric{}}
			for name, m := range g.Metrics {
				if slices.Contains(onTheWay(f.study.Outcome.Type), name) {
					stand.Metrics[name] = m
				}
			}
			p.Groups = append(p.Groups, stand)
		}
		out = append(out, p)
	}
	return out, nil
}

// Followed is the progress of the groups that the audit shows; what became
// withheld at the end is withheld on the way.
func (a *Audit) Followed() (out []Progress) {
	for _, p := range a.Progress {
		p.Groups = slices.DeleteFunc(slices.Clone(p.Groups), func(s Stand) bool {
			g := a.Group(s.Attribute, s.Level)
			return g == nil || g.State != OK
		})
		out = append(out, p)
	}
	return out
}

// FollowedSteps adds to the steps of an audit what following a model for so many
// rounds asks besides.
func FollowedSteps(s *study.Study, steps []compute.StepSummary, rounds int) []compute.StepSummary {
	if s.Fairness.Every == 0 {
		return steps
	}
	for i := range steps {
		switch steps[i].Step {
		case Step:
			steps[i].Rounds += rounds / s.Fairness.Every
		case StepSizes, StepShares:
			steps[i].Rounds++
		}
	}
	return steps
}
