package pipeline

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// course leads to a model, and to what a mitigation makes of it: the one that the
// study releases, or that of a fold of its validation. It is stages, one after the
// other.
type course struct {
	study      *study.Study
	now        *stage      // nil when done
	mitigation *mitigating // nil without one
	// audited makes a fit the next stage that is audited on the way, if that is asked
	// for; nil where it never is.
	audited func(within scope, f fit, counts *describe.Counts, then func() error) bool
}

// stage is a computation within a scope, and what follows it.
type stage struct {
	computation
	wrap func(parameters []byte) ([]byte, error) // the scope, or the models to try, beside the step's own parameters
	then func() error
}

// settle goes on to the stage that has a question to ask; diagnosed says whether
// the course goes on after an error.
func (c *course) settle(diagnosed func(error) bool) error {
	for c.now != nil {
		_, done, err := c.now.Next()
		if err == nil && !done {
			return nil
		}
		if err == nil {
			err = c.now.then()
		}
		if err != nil && !diagnosed(err) {
			return err
		}
	}
	return nil
}

// run makes a computation the next stage.
func (c *course) run(within scope, next computation, then func() error) {
	c.now = &stage{next, func(parameters []byte) ([]byte, error) {
		return scoped{within, parameters}.encode()
	}, then}
}

// count asks for the counts within a scope.
func (c *course) count(within scope, then func(*describe.Counts, []study.SiteID) error) {
	known, err := within.study(c.study)
	first := &counting{study: known, err: err}
	c.run(within, first, func() error { return then(first.counts, first.sites) })
}

// counting is the first sum as a computation.
type counting struct {
	study  *study.Study
	err    error
	counts *describe.Counts
	sites  []study.SiteID
}

func (c *counting) Next() (q compute.Question, done bool, err error) {
	if c.err != nil || c.counts != nil {
		return q, c.counts != nil, c.err
	}
	return compute.Question{Step: describe.Step, Layout: describe.CountsLayout(c.study)}, false, nil
}

func (c *counting) Absorb(sum compute.Sum) (err error) {
	for _, name := range sum.Sites {
		c.sites = append(c.sites, study.SiteID(name))
	}
	c.counts, err = describe.Read(c.study, sum)
	return err
}

// fit makes the fit of a model to the records of a scope the next stage.
func (c *course) fit(within scope, counts *describe.Counts, then func(*Model, *describe.Counts, []compute.Diagnosis) error) error {
	known, err := within.study(c.study)
	if err != nil {
		return err
	}
	if d := counts.Diagnose(); d != nil {
		return d
	}
	f, err := newFit(known, counts)
	if err != nil {
		return err
	}
	end := func() error { return then(modelOf(f, within.Knots, counts), counts, f.Remarks()) }
	if c.audited == nil || !c.audited(within, f, counts, end) {
		c.run(within, f, end)
	}
	return nil
}
