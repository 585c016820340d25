package siteagent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Health is how the agent of a state directory does, for a monitoring system to ask
// every few minutes. It is read from the state directory alone: nothing is sent,
// nothing is written, and no record is read.
type Health struct {
	Status
	Acknowledged int    `json:"acknowledged"` // of the violations, the first ones
	Studies      int    `json:"studies_waiting"`
	Releases     int    `json:"releases_waiting"`
	Undone       int    `json:"decisions_not_carried_out"`
	Free         uint64 `json:"free_bytes,omitempty"` // 0 where it is not known
	// Wrong is what a person has to look at; of a healthy agent, empty.
	Wrong []string `json:"wrong"`
}

const acknowledgedFile = "acknowledged.json"

// HealthOf reads how an agent does. News from the coordinator that are older than
// longest are too old.
func HealthOf(dir string, now time.Time, longest time.Duration) (*Health, error) {
	h := &Health{Wrong: []string{}}
	wrong := func(format string, args ...any) { h.Wrong = append(h.Wrong, fmt.Sprintf(format, args...)) }
	var err error
	if h.Status, err = ReadStatus(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no agent has run on this state directory yet")
	} else if err != nil {
		return nil, err
	}
	if age := now.Sub(h.Time); age > longest {
		wrong("the agent's last word is %s old: it does not run, or cannot write its state", age.Round(time.Second))
	}
	if h.Problem != "" {
		wrong("%s", h.Problem)
	}
	if h.Certificate.Before(now) {
		wrong("the certificate expired %s", h.Certificate.Format(time.RFC3339))
	}
	h.Acknowledged = min(acknowledged(dir), len(h.Violations))
	for _, violation := range h.Violations[h.Acknowledged:] {
		wrong("security violation: %s", violation)
	}
	if err := h.countWaiting(dir); err != nil {
		return nil, err
	}
	if h.Undone > 0 {
		wrong("%d decisions were not carried out: see the log, decide again, and remove them from %s", h.Undone, filepath.Join(dir, decisionsDir))
	}
	if free, known := freeBytes(dir); known {
		if h.Free = free; free < noSpace {
			wrong("%.1f GB of disk space are left", float64(free)/1e9)
		}
	}
	return h, nil
}

func (h *Health) countWaiting(dir string) error {
	studies, err := Studies(dir)
	if err != nil {
		return err
	}
	for _, s := range studies {
		if s.State == Waiting {
			h.Studies++
		}
	}
	releases, err := Releases(dir)
	if err != nil {
		return err
	}
	for _, r := range releases {
		if r.State == Waiting {
			h.Releases++
		}
	}
	decisions, err := os.ReadDir(filepath.Join(dir, decisionsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range decisions {
		if strings.HasSuffix(d.Name(), unreadable) || strings.HasSuffix(d.Name(), failed) {
			h.Undone++
		}
	}
	return nil
}

// Acknowledge notes that a person has seen all violations so far: they stay on
// record and are no longer alarmed about.
func Acknowledge(dir string) (violations int, err error) {
	status, err := ReadStatus(dir)
	if err != nil {
		return 0, err
	}
	return len(status.Violations), writeJSON(filepath.Join(dir, acknowledgedFile), len(status.Violations))
}

// acknowledged is how many violations a person has seen.
func acknowledged(dir string) (n int) {
	if readJSON(filepath.Join(dir, acknowledgedFile), &n) != nil {
		return 0
	}
	return max(n, 0)
}
