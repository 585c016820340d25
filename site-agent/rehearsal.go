package siteagent

import (
	"slices"
	"sync"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// rehearsals are what dry runs read, kept for the start of their studies. A study
// sees the records as they are when it starts: what its dry run read serves only if
// the source still says the same then, and is otherwise read again.
type rehearsals struct {
	mu   sync.Mutex
	kept []rehearsal // the oldest first, one of a study
}

type rehearsal struct {
	study  *study.Study
	cohort *cohort
	since  time.Time
}

const (
	// longestWait is how long a rehearsal is kept. A study that needs no person's
	// decision starts within minutes, and patients' data should not lie in memory
	// until a person has decided.
	longestWait = time.Hour
	// mostWaiting bounds the bytes of all rehearsals together.
	mostWaiting = 256 << 20
)

// read reads the records for a dry run, and keeps them if there is room. Of a study
// that watches a release the patients are still to come, so nothing is kept.
func (r *rehearsals) read(s *study.Study, source records.Source, now time.Time) (*cohort, error) {
	own, err := loadCohort(s, source)
	if err != nil {
		return nil, err
	}
	if s.Monitor == nil && own.version.Known() {
		r.keep(rehearsal{s, own, now}, mostWaiting)
	}
	return own, nil
}

// keep keeps a rehearsal, for which the oldest make room.
func (r *rehearsals) keep(new rehearsal, room int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(new.study.Digest())
	if new.bytes() > room {
		return
	}
	r.kept = append(r.kept, new)
	total := 0
	for _, k := range r.kept {
		total += k.bytes()
	}
	for total > room {
		total -= r.kept[0].bytes()
		r.kept = slices.Delete(r.kept, 0, 1)
	}
}

// take is what a study's dry run read, nil if nothing is kept or the source says
// something else by now. It is kept no longer.
func (r *rehearsals) take(study statement.Digest, source records.Source) *cohort {
	r.mu.Lock()
	taken := r.remove(study)
	r.mu.Unlock()
	if taken == nil || !taken.cohort.version.Same(records.VersionOf(source)) {
		return nil
	}
	return taken.cohort
}

// forget frees what is kept for a study that will not start here.
func (r *rehearsals) forget(study statement.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(study)
}

// expire frees what has been kept for too long.
func (r *rehearsals) expire(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = slices.DeleteFunc(r.kept, func(k rehearsal) bool { return now.Sub(k.since) > longestWait })
}

func (r *rehearsals) remove(study statement.Digest) *rehearsal {
	i := slices.IndexFunc(r.kept, func(k rehearsal) bool { return k.study.Digest() == study })
	if i < 0 {
		return nil
	}
	removed := r.kept[i]
	r.kept = slices.Delete(r.kept, i, i+1)
	return &removed
}

// bytes is about what the matrix takes: eight for each feature, and for the outcome,
// offset, weight and what else a record has one of; one for each group.
func (r *rehearsal) bytes() int {
	const others = 5
	return r.cohort.matrix.Rows() * (8*(len(r.study.Features)+others) + len(r.study.Fairness.Attributes))
}
