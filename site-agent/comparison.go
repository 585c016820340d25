package siteagent

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"

	"github.com/consilium-fl/consilium/compute/fairness"
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
	Family  string            `json:"family"`
	Groups  []GroupComparison `json:"groups"` // all patients first
}

// GroupComparison is one group of patients, here and everywhere.
type GroupComparison struct {
	Attribute string             `json:"attribute"`
	Level     string             `json:"level"`
	OwnN      int                `json:"own_n"`
	WholeN    *int               `json:"whole_n,omitempty"` // nil where it is withheld
	Own       map[string]float64 `json:"own,omitempty"`
	Whole     map[string]float64 `json:"whole,omitempty"`
}

// compare tests a release on this hospital's own patients.
func (a *Agent) compare(release *participant.Release) (*Comparison, error) {
	model, err := modelOf(release)
	if err != nil {
		return nil, err
	}
	var whole fairness.Audit
	if err := json.Unmarshal(release.Audit, &whole); err != nil {
		return nil, fmt.Errorf("the audit cannot be read by this agent's version: %w", err)
	}
	own, err := a.cohorts.get(release.Study, a.o.Source)
	if err != nil {
		return nil, err
	}
	var prevalence *float64
	if release.Study.Outcome.Type == study.Binary && len(whole.Thresholds) == 2 {
		prevalence = &whole.Thresholds[1]
	}
	here, err := fairness.Local(release.Study, model.Coefficients(release.Study), prevalence, own.matrix)
	if err != nil {
		return nil, err
	}
	c := &Comparison{
		Release: release.Digest, Study: release.Study.Name, Title: release.Study.Title,
		Outcome: release.Study.Outcome.Column, Unit: release.Study.Outcome.Unit, Family: model.Family,
	}
	for _, g := range here.Groups {
		row := GroupComparison{Attribute: g.Attribute, Level: g.Level, Own: estimates(g)}
		if g.N != nil {
			row.OwnN = *g.N
		}
		at := slices.IndexFunc(whole.Groups, func(w fairness.Group) bool { return w.Attribute == g.Attribute && w.Level == g.Level })
		if at >= 0 {
			row.WholeN, row.Whole = whole.Groups[at].N, estimates(whole.Groups[at])
		}
		c.Groups = append(c.Groups, row)
	}
	return c, nil
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

// within says whether the errors on all own patients are within the policy's
// limits; known is false where they cannot be told.
func (c *Comparison) within(p *Policy) (good, known bool) {
	if len(c.Groups) == 0 {
		return false, false
	}
	all := c.Groups[0]
	if c.Family == study.Binomial {
		brier, ok := all.Own["brier"]
		return brier <= p.WorstBrier, ok
	}
	own, hasOwn := all.Own["mae"]
	whole, hasWhole := all.Whole["mae"]
	return own <= p.WorstErrorRatio*whole, hasOwn && hasWhole
}

//go:embed comparison.html
var comparisonHTML string

var comparisonPage = template.Must(template.New("comparison").Funcs(template.FuncMap{
	"columns": comparisonColumns,
	"figure": func(m map[string]float64, name string) string {
		if x, ok := m[name]; ok {
			return fmt.Sprintf("%.3g", x)
		}
		return "–"
	},
}).Parse(comparisonHTML))

// comparisonColumns are the measures that the page shows, by family.
func comparisonColumns(family string) []string {
	if family == study.Binomial {
		return []string{"brier", "tpr", "fpr", "ppv"}
	}
	return []string{"mae", "rmse", "bias", "within20"}
}

// page is a self-contained page for people.
func (c *Comparison) page() ([]byte, error) {
	var out bytes.Buffer
	if err := comparisonPage.Execute(&out, c); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
