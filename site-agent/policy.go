package siteagent

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// How studies and releases are decided.
const (
	Manual    = "manual"    // a person decides each one
	Listed    = "listed"    // studies on the list are approved, others wait for a person
	Any       = "any"       // every study that has usable records here is approved
	Accept    = "accept"    // of releases with a warning: decided like any other
	Ask       = "ask"       // a person decides
	Refuse    = "refuse"    // refused
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
	// MinimumShare is the least share of own records in a study's cohort that must be
	// usable for taking part, 0 to 1; not of a study that watches a release, whose
	// patients may be still to come.
	MinimumShare float64
	// MinimumContributors is the least number of hospitals in any opened sum;
	// 0 is 3, and no policy goes below 2.
	MinimumContributors int

	// LargestEpsilon is the most of the noise on a bias audit: a study that opens
	// more about groups of patients, or anything exact, is refused; 0 asks for no noise.
	LargestEpsilon float64
	// TotalEpsilon is the most of all studies together that this hospital approves,
	// whichever patients they are about; 0 sets no limit.
	TotalEpsilon float64

	// HospitalCounts says what becomes of a study that counts hospitals by a figure
	// of their own patients (fairness.hospitals): Accept decides it like any other,
	// Ask leaves it to a person whatever Approve says, Refuse refuses it; empty is
	// Accept.
	HospitalCounts string

	Releases string // Manual or Automatic; empty is Manual
	// Warnings says what becomes of a release that the study's criteria call for a
	// warning with: Accept, Ask or Refuse; empty is Ask. One that they block, which
	// an auditor had offered all the same, is never accepted without a person.
	Warnings string
	// WorstErrorRatio bounds the mean absolute error on own patients as a
	// multiple of the whole's, for a number outcome; 0 is 1.5.
	WorstErrorRatio float64
	// WorstBrier bounds the Brier score on own patients, for a binary outcome;
	// 0 is 0.25, that of a coin.
	WorstBrier float64
	// WorstConcordance is the least C-index on own patients, for a survival
	// outcome; 0 is 0.5, that of a coin. It is at most 1.
	WorstConcordance float64
	// WorstEventRatio bounds the events observed among own patients as a multiple
	// of those the model expects, and its inverse, for a survival outcome: a
	// release is refused whose ratio is beyond it by the whole of its 95%
	// interval; 0 is 2.
	WorstEventRatio float64
}

// Valid says why an agent would not start with a policy, nil if it would.
func (p Policy) Valid() error { return p.check() }

func (p *Policy) check() error {
	if p.Approve == "" {
		p.Approve = Manual
	}
	if p.Releases == "" {
		p.Releases = Manual
	}
	if p.Warnings == "" {
		p.Warnings = Ask
	}
	if p.HospitalCounts == "" {
		p.HospitalCounts = Accept
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
	if p.WorstConcordance == 0 {
		p.WorstConcordance = 0.5
	}
	if p.WorstEventRatio == 0 {
		p.WorstEventRatio = 2
	}
	switch {
	case !slices.Contains([]string{Manual, Listed, Any}, p.Approve):
		return fmt.Errorf("policy: studies are approved by %q: say %s, %s or %s", p.Approve, Manual, Listed, Any)
	case !slices.Contains([]string{Manual, Automatic}, p.Releases):
		return fmt.Errorf("policy: releases are decided by %q: say %s or %s", p.Releases, Manual, Automatic)
	case !slices.Contains([]string{Accept, Ask, Refuse}, p.Warnings):
		return fmt.Errorf("policy: releases with a warning are met with %q: say %s, %s or %s", p.Warnings, Accept, Ask, Refuse)
	case !slices.Contains([]string{Accept, Ask, Refuse}, p.HospitalCounts):
		return fmt.Errorf("policy: studies that count hospitals are met with %q: say %s, %s or %s", p.HospitalCounts, Accept, Ask, Refuse)
	case p.MinimumRows < 1:
		return fmt.Errorf("policy: a minimum of %d own records: it is at least 1", p.MinimumRows)
	case !(p.MinimumShare >= 0 && p.MinimumShare <= 1):
		return fmt.Errorf("policy: a minimum share of %g usable records: it is from 0 to 1", p.MinimumShare)
	case p.MinimumContributors != 0 && p.MinimumContributors < 2:
		return fmt.Errorf("policy: a minimum of %d contributors: a sum over fewer than 2 hospitals is one hospital's data", p.MinimumContributors)
	case !(p.LargestEpsilon >= 0) || !(p.TotalEpsilon >= 0):
		return fmt.Errorf("policy: a largest epsilon of %g and a total of %g: they are above 0, or 0 for none", p.LargestEpsilon, p.TotalEpsilon)
	case !(p.WorstErrorRatio > 0) || !(p.WorstBrier > 0):
		return fmt.Errorf("policy: limits on local errors are above 0")
	case !(p.WorstEventRatio >= 1):
		return fmt.Errorf("policy: a ratio of events of at most %g: it is at least 1, and bounds the inverse too", p.WorstEventRatio)
	case !(p.WorstConcordance > 0) || p.WorstConcordance > 1:
		return fmt.Errorf("policy: a C-index of at least %g: it is above 0 and at most 1, and 0.5 is what a coin gets", p.WorstConcordance)
	}
	return nil
}

// enough reports whether so many usable records, beside those skipped, are enough
// for taking part.
func (p *Policy) enough(rows int, skipped map[study.SkipReason]int) bool {
	return rows >= p.MinimumRows && study.UsableShare(rows, skipped) >= p.MinimumShare
}

// tooLoud reports whether a study opens more about groups of patients than the
// policy permits, where the approved ones have spent so many thousandths of epsilon.
func (p *Policy) tooLoud(s *study.Study, spent int) bool {
	f := s.Fairness
	switch {
	case p.LargestEpsilon == 0 && p.TotalEpsilon == 0, f.Attributes == nil && f.Noise == nil:
		return false
	case f.Noise == nil:
		return true
	}
	epsilon := f.Noise.Epsilon
	return p.LargestEpsilon > 0 && float64(epsilon) > 1000*p.LargestEpsilon+1e-6 ||
		p.TotalEpsilon > 0 && float64(spent+epsilon) > 1000*p.TotalEpsilon+1e-6
}

// countsUs reports whether a study counts this hospital by a figure of its own.
func countsUs(s *study.Study) bool { return s.Fairness.Hospitals != nil }

// approves reports whether a study is approved without asking a person.
func (p *Policy) approves(s *study.Study) bool {
	digest := statement.Digest(s.Digest())
	if countsUs(s) && p.HospitalCounts == Ask {
		return false
	}
	return p.Approve == Any || p.Approve == Listed && slices.Contains(p.Studies, digest)
}
