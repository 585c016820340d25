package siteagent

import (
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
)

// reviewed is what this process has shown to people and still waits for. The
// coordinator asks about a study or a release in every answer until it is decided,
// which can take weeks: the records are read again when their file was touched,
// and not every half minute, which would also keep what was read in memory.
type reviewed struct {
	mu    sync.Mutex
	shown map[statement.Digest]shown
}

type shown struct {
	stamp   records.Stamp
	stamped bool
	trouble string // why the records could not be used; they may be at any time
}

// still reports that nothing needs to be done again about a study or a release.
func (r *reviewed) still(id statement.Digest, source records.Source) bool {
	r.mu.Lock()
	before, ok := r.shown[id]
	r.mu.Unlock()
	if !ok || !before.stamped || before.trouble != "" {
		return false
	}
	stamp, stamped := records.StampOf(source)
	return stamped && stamp == before.stamp
}

// note remembers what was shown, with the stamp from BEFORE the records were read.
// It reports whether there is anything to tell that was not told before.
func (r *reviewed) note(id statement.Digest, now shown) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, ok := r.shown[id]
	if r.shown == nil {
		r.shown = make(map[statement.Digest]shown)
	}
	r.shown[id] = now
	return !ok || before.trouble != now.trouble
}
