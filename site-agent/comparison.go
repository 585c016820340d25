package siteagent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

// Comparison holds a release's errors on this hospital's patients beside those
// over all hospitals. It is for this hospital's own people: it is written to the
// state directory and to nothing else, and small groups are not suppressed,
// because the hospital sees its own records anyway.
type Comparison struct {
	Release statement.Digest  `json:"release"`
	Study   string            `json:"study"`
	Title   string            `json:"title"`
	Outcome string            `json:"outcome"`
	Unit    string            `json:"unit,omitempty"`
	Type    string            `json:"outcome_type"`
	Groups  []GroupComparison `json:"groups"` // all patients first
}

// GroupComparison is one group of patients, here and everywhere.
type GroupComparison struct {
	Attribute string             `json:"attribute"`
	Level     string             `json:"level"`
	OwnN      int                `json:"own_n"`
	WholeN    *int               `json:"whole_n,omitempty"` // nil where it is withheld
	Own       map[string]float64 `json:"own,omitempty"`
	// OwnLimits are the 95% intervals of own figures, of those that have one.
	OwnLimits map[string][2]float64 `json:"own_limits,omitempty"`
	Whole     map[string]float64    `json:"whole,omitempty"`
}

// compare tests a release on this hospital's own patients. It returns the
// figures, and a page of them for people.
func (a *Agent) compare(release *participant.Release) (*Comparison, []byte, error) {
	model, err := modelOf(release)
	if err != nil {
		return nil, nil, err
	}
	var whole fairness.Audit
	if err := json.Unmarshal(release.Audit, &whole); err != nil {
		return nil, nil, fmt.Errorf("the audit cannot be read by this agent's version: %w", err)
	}
	own, err := a.cohorts.get(release.Study, a.o.Source, a.o.Now())
	if err != nil {
		return nil, nil, err
	}
	forecast, err := model.Forecast(release.Study, own.matrix)
	if err != nil {
		return nil, nil, err
	}
	here, err := fairness.Local(release.Study, &whole, own.matrix, forecast)
	if err != nil {
		return nil, nil, err
	}
	var under *page.Override
	if o := release.Override; o != nil {
		under = &page.Override{Auditor: o.Auditor, Reason: o.Reason, Time: o.Time}
	}
	html, err := page.Compare(a.node.Name(), &whole, here, under)
	if err != nil {
		return nil, nil, err
	}
	c := &Comparison{
		Release: release.Digest, Study: release.Study.Name, Title: release.Study.Title,
		Outcome: release.Study.Outcome.Column, Unit: release.Study.Outcome.Unit, Type: string(release.Study.Outcome.Type),
	}
	for i, g := range here.Groups {
		row := GroupComparison{
			Attribute: g.Attribute, Level: g.Level,
			WholeN: whole.Groups[i].N, Own: estimates(g), OwnLimits: limits(g), Whole: estimates(whole.Groups[i]), // page.Compare has seen to it that the groups are the same
		}
		if g.N != nil {
			row.OwnN = *g.N
		}
		c.Groups = append(c.Groups, row)
	}
	return c, html, nil
}

func estimates(g fairness.Group) map[string]float64 {
	if len(g.Metrics) == 0 {
		return nil
	}
	m := make(map[string]float64, len(g.Metrics))
	for name, metric := range g.Metrics {
		m[name] = metric.Estimate
	}
	return m
}

func limits(g fairness.Group) map[string][2]float64 {
	m := make(map[string][2]float64)
	for name, metric := range g.Metrics {
		if metric.Lower != nil && metric.Upper != nil {
			m[name] = [2]float64{*metric.Lower, *metric.Upper}
		}
	}
	return m
}

// within says whether the errors on all own patients are within the policy's
// limits; known is false where they cannot be told.
func (c *Comparison) within(p *Policy) (good, known bool) {
	if len(c.Groups) == 0 {
		return false, false
	}
	all := c.Groups[0]
	switch study.Type(c.Type) {
	case study.Binary:
		brier, ok := all.Own["brier"]
		return brier <= p.WorstBrier, ok
	case study.Survival:
		// None where no two own patients can be compared: then a person decides.
		concordance, ok := all.Own["cindex"]
		return concordance >= p.WorstConcordance && all.expected(p.WorstEventRatio), ok
	}
	own, hasOwn := all.Own["mae"]
	whole, hasWhole := all.Whole["mae"]
	return own <= p.WorstErrorRatio*whole, hasOwn && hasWhole
}

// expected says whether as many own patients have the event as the model
// expects, give or take the ratio: at no time does the whole interval of observed
// over expected events lie beyond it.
func (g *GroupComparison) expected(ratio float64) bool {
	for name, interval := range g.OwnLimits {
		if (name == "oe" || strings.HasPrefix(name, "oe_")) && (interval[0] > ratio || interval[1] < 1/ratio) {
			return false
		}
	}
	return true
}
