package federation

import (
	"fmt"
	"strings"
)

// Phase of a round in which a dropped site fails.
type Phase string

const (
	// Collecting: the site contributes to no round; it helps to open the others'.
	Collecting Phase = "collecting"
	// Opening: the site contributes to every round and never answers an opening.
	Opening Phase = "opening"
	// Away: the site approves the study and is gone before the first round.
	Away Phase = "away"
)

// Drop makes one site fail.
type Drop struct {
	Site  string
	Phase Phase
}

// ParseDrop reads SITE@collecting, SITE@opening or SITE@away.
func ParseDrop(text string) (Drop, error) {
	site, phase, found := strings.Cut(text, "@")
	if !found || site == "" {
		return Drop{}, fmt.Errorf("drop %q names no phase: write SITE@%s, SITE@%s or SITE@%s", text, Collecting, Opening, Away)
	}
	drop := Drop{Site: site, Phase: Phase(phase)}
	if drop.Phase != Collecting && drop.Phase != Opening && drop.Phase != Away {
		return Drop{}, fmt.Errorf("drop %q: a site can be dropped at %s, at %s, or be %s", text, Collecting, Opening, Away)
	}
	return drop, nil
}

func (d Drop) String() string { return d.Site + "@" + string(d.Phase) }
