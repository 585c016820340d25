package driver

import (
	"encoding/json"
	"fmt"

	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// beside is what a study may show of its result beside the results of the
// consortium that are in the ledger already. What they show is public to whoever
// reads reports, so what is withheld is decided before anything is signed.
func (d *Driver) beside(s *studyState, found *pipeline.Result) (*pipeline.Result, error) {
	leaves, err := d.log.Leaves(0, d.leaves)
	if err != nil {
		return nil, err
	}
	ends, err := audit.EarlierThan(s.id, leaves)
	if err != nil {
		return nil, err
	}
	var earlier []differencing.Report
	for _, end := range ends {
		other := d.studies[end.Study]
		if other == nil {
			return nil, fmt.Errorf("the ledger holds the end of study %s, which is not known", end.Study)
		}
		name := &end.Entry.Subject
		if end.Entry.Type == ledger.TypeStudyEnd {
			name = other.ended.Result
		}
		if name == nil {
			continue
		}
		result, err := d.Blobs.Get(*name)
		if err != nil {
			return nil, err
		}
		report, err := pipeline.ReadReport(other.study, name.String(), result)
		if err != nil {
			return nil, err
		}
		report.At = end.Entry.Time
		earlier = append(earlier, report)
	}
	last, err := d.lastReport(s)
	if err != nil {
		return nil, err
	}
	return found.After(s.study, last, earlier)
}

// lastReport is what a study that watches a release has shown; nil for nothing.
func (d *Driver) lastReport(s *studyState) (*pipeline.Result, error) {
	if s.report == nil {
		return nil, nil
	}
	text, err := d.Blobs.Get(*s.report)
	if err != nil {
		return nil, err
	}
	var last pipeline.Result
	return &last, json.Unmarshal(text, &last)
}

// earlier sends the results that a study's own was compared with, and their
// studies. Those of another researcher are for auditors: without them, what is
// withheld is the coordinator's word.
func (b *bundle) earlier(s *studyState, caller identity.Member, leaves [][]byte) error {
	ends, err := audit.EarlierEnds(s.id, leaves)
	if err != nil {
		return err
	}
	if caller.Role == identity.RoleResearcher && !b.driver.ownsAll(caller.Name, ends) {
		return nil
	}
	for _, end := range ends {
		subject, err := b.driver.Blobs.Get(end.Entry.Subject)
		if err != nil {
			return err
		}
		result := subject
		if end.Entry.Type == ledger.TypeStudyEnd {
			var stated statement.StudyEnd
			if err := inside(subject, &stated); err != nil {
				return err
			}
			if err := b.emit(audit.EarlierEndFile(end.Index), subject); err != nil {
				return err
			}
			if stated.Result == nil {
				continue
			}
			if result, err = b.driver.Blobs.Get(*stated.Result); err != nil {
				return err
			}
		}
		protocol, err := b.driver.Blobs.Get(end.Study)
		if err != nil {
			return err
		}
		if err := b.emit(audit.EarlierResultFile(end.Index), result); err != nil {
			return err
		}
		if err := b.emit(audit.EarlierStudyFile(end.Index), protocol); err != nil {
			return err
		}
	}
	return nil
}

// ownsAll reports whether a researcher proposed every one of the studies.
func (d *Driver) ownsAll(researcher string, ends []audit.EarlierEnd) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, end := range ends {
		if s := d.studies[end.Study]; s == nil || s.proposed.Researcher != researcher {
			return false
		}
	}
	return true
}
