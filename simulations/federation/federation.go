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
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

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

	usable []usable // by site, once the records are checked

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
	if err := s.readAll(protocol); err != nil {
		return nil, err
	}
	least := protocol.MinimumContributors()
	if len(names) < least {
		return nil, fmt.Errorf("the data has %d sites and the study needs at least %d contributors", len(names), least)
	}
	able := 0
	for _, u := range s.usable {
		if u.rows > 0 {
			able++
		}
	}
	if able < least {
		return nil, fmt.Errorf("%d of %d sites have records that the study can use, and it needs at least %d: %s", able, len(names), least, s.unusable())
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

// usable is what a site's records are good for.
type usable struct {
	rows    int
	skipped map[study.SkipReason]int
}

// unusable says how many records the study cannot use, and why; empty if it
// can use all.
func (s *Spec) unusable() string {
	rows, skipped := 0, make(map[study.SkipReason]int)
	for _, u := range s.usable {
		rows += u.rows
		for reason, n := range u.skipped {
			skipped[reason] += n
		}
	}
	total := rows
	var why []string
	for _, reason := range study.SkipReasons() {
		if n := skipped[reason]; n > 0 {
			total += n
			why = append(why, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(reason), "_", " ")))
		}
	}
	if len(why) == 0 {
		return ""
	}
	return fmt.Sprintf("the study can use %d of %d records; skipped: %s", rows, total, strings.Join(why, ", "))
}

// readAll reads every site's records once, on all cores. A real site whose file
// is damaged would wait for a person to mend it; here nobody would.
func (s *Spec) readAll(protocol *study.Study) error {
	s.usable = make([]usable, len(s.Sites))
	return each(len(s.Sites), func(i int) error {
		matrix, skipped, err := records.Load(protocol, s.Sites[i].Records)
		if err != nil {
			return fmt.Errorf("site %s: %w", s.Sites[i].Name, err)
		}
		s.usable[i] = usable{matrix.Rows(), skipped}
		return nil
	})
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
		dir, disk, err := temporary(protocol, len(spec.Sites))
		defer os.RemoveAll(dir)
		defer os.RemoveAll(disk)
		if err != nil {
			return nil, err
		}
		spec.Dir, spec.disk = dir, disk
	}
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
