package siteagent

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// How studies and releases are decided.
const (
	Manual    = "manual"    // a person decides each one
	Listed    = "listed"    // studies on the list are approved, others wait for a person
	Any       = "any"       // every study that has usable records here is approved
	Automatic = "automatic" // releases that are good enough on own patients are accepted, others refused
)

// Policy is what a hospital has decided in advance. The zero Policy decides
// nothing in advance.
type Policy struct {
	Approve string             // Manual, Listed or Any; empty is Manual
	Studies []statement.Digest // for Listed

	// MinimumRows is the least number of own usable records for taking part;
	// 0 is 1.
	MinimumRows int
	// MinimumContributors is the least number of hospitals in any opened sum;
	// 0 is 3, and no policy goes below 2.
	MinimumContributors int

	Releases string // Manual or Automatic; empty is Manual
	// WorstErrorRatio bounds the mean absolute error on own patients as a
	// multiple of the whole's, for a number outcome; 0 is 1.5.
	WorstErrorRatio float64
	// WorstBrier bounds the Brier score on own patients, for a binary outcome;
	// 0 is 0.25, that of a coin.
	WorstBrier float64
}

func (p *Policy) check() error {
	if p.Approve == "" {
		p.Approve = Manual
	}
	if p.Releases == "" {
		p.Releases = Manual
	}
	if p.MinimumRows == 0 {
		p.MinimumRows = 1
	}
	if p.WorstErrorRatio == 0 {
		p.WorstErrorRatio = 1.5
	}
	if p.WorstBrier == 0 {
		p.WorstBrier = 0.25
	}
	switch {
	case !slices.Contains([]string{Manual, Listed, Any}, p.Approve):
		return fmt.Errorf("policy: studies are approved by %q: say %s, %s or %s", p.Approve, Manual, Listed, Any)
	case !slices.Contains([]string{Manual, Automatic}, p.Releases):
		return fmt.Errorf("policy: releases are decided by %q: say %s or %s", p.Releases, Manual, Automatic)
	case p.MinimumRows < 1:
		return fmt.Errorf("policy: a minimum of %d own records: it is at least 1", p.MinimumRows)
	case p.MinimumContributors != 0 && p.MinimumContributors < 2:
		return fmt.Errorf("policy: a minimum of %d contributors: a sum over fewer than 2 hospitals is one hospital's data", p.MinimumContributors)
	case !(p.WorstErrorRatio > 0) || !(p.WorstBrier > 0):
		return fmt.Errorf("policy: limits on local errors are above 0")
	}
	return nil
}

// approves reports whether a study is approved without asking a person.
func (p *Policy) approves(study statement.Digest) bool {
	return p.Approve == Any || p.Approve == Listed && slices.Contains(p.Studies, study)
}
