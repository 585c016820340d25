// Package card writes the model card of a release: what a person who is about
// to use the model wants to know of it, in three forms. [Card.Markdown] is for
// reading, [Card.XML] is a CHAI Applied Model Card (coalition-for-health-ai/
// mc-schema, v0.2), and [Card.HTI1] holds the 31 source attributes of 45 CFR
// 170.315(b)(11)(iv)(B). The forms are aligned with those texts; that a card
// satisfies anybody's rules is not for software to say, and no card says it.
//
// A card has two authors. What follows from the study and from its opened sums
// is written by the software: outcome, inputs, cohort, figures with their
// intervals, groups, what is withheld. What only people know (who answers for
// the model, what it is for, where it must not be used) comes from [About].
// Nothing is made up in between: where nobody has stated a thing the card reads
// "Not stated by the developer", and where nobody has looked, "not examined".
//
// A figure that the audit or the cohort withholds reads "withheld", never 0.
// Titles, columns and levels are other people's words: every form writes them
// as text, so that nothing in them becomes markup. (A web address stays one: some
// readers make it a link to itself.)
//
// The package is pure, and the same release gives the same card.
package card

import (
	"errors"
	"time"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// Release is what a card is made of.
type Release struct {
	Study  *study.Study
	Result *pipeline.Result // with a model

	Digest   string // of the release, hex
	Signed   time.Time
	Rounds   []Round // every published one
	Accepted int     // hospitals that took the release after trying it on their own patients
	Refused  int

	// Override is who had the release offered although the study's criteria block
	// it; nil for nobody.
	Override *Override

	// Remark says what is unusual about how the release came about, such as that
	// it is a simulation; empty for a consortium's.
	Remark string

	About About // what people state
}

// Round is one opened sum.
type Round struct {
	Step         string
	Contributors int
}

// Card is a release that has everything a card needs.
type Card struct{ r Release }

// New checks that there is a model to write about.
func New(r Release) (*Card, error) {
	switch {
	case r.Study == nil || r.Result == nil || r.Result.Cohort == nil:
		return nil, errors.New("a model card needs the study and its result")
	case r.Result.Model == nil:
		return nil, errors.New("the study has no model, so there is nothing to write a model card about")
	case r.Digest == "":
		return nil, errors.New("there is no release, and a model card stands beside one")
	}
	if err := r.About.check(r.Study); err != nil {
		return nil, err
	}
	return &Card{r}, nil
}

// title of the study, or its name where it has none.
func (c *Card) title() string {
	if c.r.Study.Title != "" {
		return c.r.Study.Title
	}
	return c.r.Study.Name
}
