// Package federation runs a whole consortium in one process: a governance key,
// a coordinator, one agent for every site, a researcher and an auditor.
//
// Nothing is imitated. The coordinator and the agents are the packages that run
// in production, each in a folder of its own, and they meet over loopback TCP
// with mutual TLS. Members enrol with invitations, sites approve the study by
// policy, contributions are encrypted, the evidence is verified as an auditor
// would. What the federation adds is a clock that can be skipped to the next
// deadline when only the deadline is left to wait for, and sites that fail on
// request.
//
// Promised: a study that runs here runs in production, byte for byte the same
// question, and gives the same model. Not promised: that the time it takes says
// anything about a network, or that one machine hides anything from itself.
//
// With Unencrypted the sites send the same vectors without encryption, to
// compare and to debug. That choice exists in simulations only.
package federation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/internal/records"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/study"
)

// Site is a hospital and its patients.
type Site struct {
	Name    string
	Records records.Source
}

// Spec describes a federation and the one study it runs.
type Spec struct {
	Protocol []byte // of the study, YAML
	Sites    []Site
	Nowhere  int // records that Split found no site for: told in the result
	Drops    []Drop
	Seed     uint64 // of the simulator's own choices, such as the order in which sites start; never of keys or noise

	Unencrypted bool

	// Dir keeps everyone's folders; empty means temporary ones, removed at the end.
	Dir string
	// Bundle is where the evidence is left; empty means nowhere.
	Bundle string
	// Watch is run after a study that has released a model; may be nil.
	Watch *Watch

	Progress func(line string) // told what happens, for people; may be nil
	Logger   *zap.Logger       // of coordinator and agents; nil discards

	disk string // of temporary folders, the one for rounds that do not fit into memory; empty: none

	// For tests that pull plugs: they see the options before they are used.
	onCoordinator func(*coordinator.Options)
	onSite        func(site string, o *siteagent.Options)
}

func (s *Spec) check() (*study.Study, error) {
	protocol, err := study.Parse(s.Protocol)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(s.Sites))
	for _, site := range s.Sites {
		if names[site.Name] {
			return nil, fmt.Errorf("site %q is there twice", site.Name)
		}
		names[site.Name] = true
	}
	least := protocol.MinimumContributors()
	if len(names) < least {
		return nil, fmt.Errorf("the data has %d sites and the study needs at least %d contributors", len(names), least)
	}
	dropped := make(map[string]bool, len(s.Drops))
	for _, drop := range s.Drops {
		if !names[drop.Site] {
			return nil, fmt.Errorf("drop %q: the data has no such site", drop)
		}
		if dropped[drop.Site] {
			return nil, fmt.Errorf("drop %q: this site is dropped already", drop)
		}
		dropped[drop.Site] = true
	}
	if s.Watch != nil {
		if err := s.Watch.Check(s.Sites); err != nil {
			return nil, err
		}
		for i := range s.Sites {
			s.Sites[i].Records = &replaced{now: s.Sites[i].Records}
		}
	}
	if s.Progress == nil {
		s.Progress = func(string) {}
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	return protocol, nil
}

// Run takes one study from enrolment to the auditor's verification. A study
// that ends without a model is a result; an error means that the federation
// itself did not work.
func Run(ctx context.Context, spec Spec) (_ *Result, err error) {
	begun := time.Now()
	protocol, err := spec.check()
	if err != nil {
		return nil, err
	}
	if spec.Dir == "" {
		dir, disk, made := temporary(protocol, len(spec.Sites))
		if made != nil {
			return nil, made
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
		spec.Dir = dir.dir
		if disk != nil {
			defer func() { err = errors.Join(err, disk.Close()) }()
			spec.disk = disk.dir
		}
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	spec.Logger = zap.New(zapcore.NewTee(spec.Logger.Core(), noSpace{end}))
	defer func() {
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrNoSpace) {
			err = cause
		}
	}()
	c, err := newConsortium(ctx, spec, protocol)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.RunStudy(ctx); err != nil {
		return nil, err
	}
	result, err := c.Report(ctx)
	if err != nil {
		return nil, err
	}
	if spec.Watch != nil && result.Release != nil {
		if result.Watch, err = c.Watch(ctx, result.Release.Digest); err != nil {
			return nil, err
		}
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, nil
}

// dropped reports whether a site is dropped at a phase.
func (s *Spec) dropped(site string, phase Phase) bool {
	return slices.Contains(s.Drops, Drop{Site: site, Phase: phase})
}
