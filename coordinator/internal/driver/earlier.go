package driver

import (
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
	var earlier []differencing.Report
	for _, other := range d.concluded {
		result, err := d.Blobs.Get(*other.ended.Result)
		if err != nil {
			return nil, err
		}
		report, err := pipeline.ReadReport(other.study, other.ended.Result.String(), result)
		if err != nil {
			return nil, err
		}
		earlier = append(earlier, report)
	}
	return found.After(s.study, earlier)
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
