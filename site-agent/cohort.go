package siteagent

import (
	"sync"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// cohort is the hospital's usable records under one study.
type cohort struct {
	matrix  *study.Matrix
	skipped map[study.SkipReason]int
	version records.Version
	used    time.Time // by the last round
	idle    time.Duration
}

// longestIdle is how long the records of a study stay in memory that no round uses,
// beside the time that a round may take to collect and to open: then it ended
// without a model.
const longestIdle = 24 * time.Hour

func idle(s *study.Study) time.Duration { return longestIdle + 2*s.Deadline() }

// cohorts keeps the matrices of the studies under way, so that every round of a
// study sees the same records even while the hospital's file is replaced.
type cohorts struct {
	mu         sync.Mutex
	loaded     map[statement.Digest]*cohort
	rehearsals rehearsals
}

func (c *cohorts) get(s *study.Study, source records.Source, now time.Time) (*cohort, error) {
	return c.as(s.Digest(), s, source, now)
}

// as keeps the records under a name of their own.
func (c *cohorts) as(id statement.Digest, s *study.Study, source records.Source, now time.Time) (*cohort, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.loaded[id]; known != nil {
		known.used = now
		return known, nil
	}
	loaded := c.rehearsals.take(id, source)
	if loaded == nil {
		var err error
		if loaded, err = loadCohort(s, source); err != nil {
			return nil, err
		}
	}
	if c.loaded == nil {
		c.loaded = make(map[statement.Digest]*cohort)
	}
	loaded.used, loaded.idle = now, idle(s)
	c.loaded[id] = loaded
	return loaded, nil
}

// drop frees a study's records when its rounds are over.
func (c *cohorts) drop(id statement.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loaded, id)
}

// expire frees what has been idle, or waited for its study, for too long.
func (c *cohorts) expire(now time.Time) {
	c.rehearsals.expire(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, known := range c.loaded {
		if now.Sub(known.used) > known.idle {
			delete(c.loaded, id)
		}
	}
}

func loadCohort(s *study.Study, source records.Source) (*cohort, error) {
	if source == nil {
		return nil, errNoSource
	}
	matrix, skipped, version, err := records.LoadVersion(s, source)
	if err != nil {
		return nil, err
	}
	return &cohort{matrix: matrix, skipped: skipped, version: version}, nil
}
