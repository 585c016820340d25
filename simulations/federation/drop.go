package federation

import (
	"fmt"
	"strings"
)

// Phase of a round in which a dropped site fails.
type Phase string

const (
	// Collecting: the site approves the study and is gone before the first round.
	Collecting Phase = "collecting"
	// Opening: the site contributes to every round and never answers an opening.
	Opening Phase = "opening"
)

// Drop makes one site fail.
type Drop struct {
	Site  string
	Phase Phase
}

// ParseDrop reads SITE@collecting or SITE@opening.
func ParseDrop(text string) (Drop, error) {
	site, phase, found := strings.Cut(text, "@")
	if !found || site == "" {
		return Drop{}, fmt.Errorf("drop %q names no phase: write SITE@%s or SITE@%s", text, Collecting, Opening)
	}
	drop := Drop{Site: site, Phase: Phase(phase)}
	if drop.Phase != Collecting && drop.Phase != Opening {
		return Drop{}, fmt.Errorf("drop %q: a site can be dropped at %s or at %s", text, Collecting, Opening)
	}
	return drop, nil
}

func (d Drop) String() string { return d.Site + "@" + string(d.Phase) }
