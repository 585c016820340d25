package fairness

import (
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/study"
)

// Verdicts of a declared criterion. To pass is to have found no disparity beyond
// the study's own margin in any group, with none left that could not be looked
// at; it is not to be fair.
const (
	Pass = "pass"
	Fail = "fail"
)

// Judged is a criterion of the study and what the audit says of it.
type Judged struct {
	Metric    string  `json:"metric"`
	Attribute string  `json:"attribute"` // a column, or all
	Kind      string  `json:"kind"`      // difference or ratio
	Margin    float64 `json:"margin"`
	// What the study has declared for the release, of a fail and of insufficient
	// evidence: block, warn or offer.
	OnFail         string `json:"on_fail,omitempty"`
	OnInsufficient string `json:"on_insufficient,omitempty"`
	Verdict        string `json:"verdict"` // pass, fail or insufficient evidence
	// By group: what was compared, and what could not be.
	Groups   []JudgedGroup `json:"groups"`
	Sentence string        `json:"sentence"`
}

const (
	difference = "difference"
	ratio      = "ratio"
)

// declared is a criterion as the report has it, before it is judged.
func declared(s *study.Study, c study.Criterion) Judged {
	j := Judged{Metric: c.Metric, Attribute: All, Kind: difference, Margin: c.Margin, OnFail: string(c.OnFail), OnInsufficient: string(c.OnInsufficient)}
	if c.Ratio {
		j.Kind = ratio
	}
	if c.Attribute >= 0 {
		j.Attribute = s.Fairness.Attributes[c.Attribute].Column
	}
	return j
}

// JudgedGroup is one comparison of a criterion.
type JudgedGroup struct {
	Attribute  string   `json:"attribute"`
	Level      string   `json:"level"`
	Reference  string   `json:"reference,omitempty"`
	Estimate   *float64 `json:"estimate,omitempty"`
	Lower      *float64 `json:"lower,omitempty"`
	Upper      *float64 `json:"upper,omitempty"`
	Detectable *float64 `json:"detectable,omitempty"` // smallest difference, or ratio above 1, that would be found in four of five studies
	Verdict    string   `json:"verdict"`
	Why        string   `json:"why,omitempty"` // there is no estimate
}

// judge holds the audit against the study's criteria.
func (a *Audit) judge(s *study.Study, tallies []*tally, against []int) {
	known := cells(s)
	measures := comparable(s, tallies[0])
	for _, criterion := range s.Fairness.Criteria {
		j := declared(s, criterion)
		var measure comparison
		for _, m := range measures {
			if m.metric == criterion.Metric {
				measure = m
			}
		}
		for i := 1; i < len(known); i++ {
			if criterion.Attribute >= 0 && (len(known[i].attributes) != 1 || known[i].attributes[0] != criterion.Attribute) {
				continue
			}
			if one, counts := a.judgeGroup(j, measure, i, tallies, against); counts {
				j.Groups = append(j.Groups, one)
			}
		}
		j.conclude()
		a.Criteria = append(a.Criteria, j)
	}
}

// judgeGroup is false for a group that is not compared: it has no patients, is
// counted in another's place, or is the reference itself.
func (a *Audit) judgeGroup(j Judged, m comparison, i int, tallies []*tally, against []int) (JudgedGroup, bool) {
	g := JudgedGroup{Attribute: a.Groups[i].Attribute, Level: a.Groups[i].Level, Verdict: Insufficient}
	switch {
	case a.Groups[i].State == Zero || a.Groups[i].State == Merged:
		return g, false
	case tallies[i] == nil:
		g.Why = "withheld"
		return g, true
	case against[i] < 0:
		return g, false
	}
	r := against[i]
	g.Reference = a.Groups[r].Level
	if m.metric == "" || tallies[r] == nil {
		g.Why = "not estimable"
		return g, true
	}
	var estimate, lower, upper float64
	var ok bool
	if j.Kind == ratio {
		estimate, lower, upper, ok = m.ratio(tallies[i], tallies[r])
	} else {
		estimate, lower, upper, _, ok = m.difference(tallies[i], tallies[r])
	}
	if !ok {
		g.Why = "not estimable"
		if !m.knows(tallies[i]) || !m.knows(tallies[r]) {
			g.Why = "withheld"
		}
		return g, true
	}
	g.Estimate, g.Lower, g.Upper = &estimate, &lower, &upper
	d := Detectable(lower, upper)
	if j.Kind != difference {
		d = math.Exp(Detectable(math.Log(lower), math.Log(upper)))
	}
	g.Detectable = &d
	if verdict, err := j.verdict(g); err == nil {
		g.Verdict = verdict
	}
	return g, true
}

// conclude: one group beyond the margin fails the criterion, and every group
// within it passes it.
func (j *Judged) conclude() {
	count := map[string]int{}
	var failed []string
	for _, g := range j.Groups {
		count[g.Verdict]++
		if g.Verdict == Fail {
			failed = append(failed, g.Attribute+" "+g.Level)
		}
	}
	switch {
	case count[Fail] > 0:
		j.Verdict = Fail
		j.Sentence = fmt.Sprintf("%s: %s was found for %s.", j.subject(), j.beyond(), strings.Join(failed, "; "))
	case count[Insufficient] == 0 && count[Pass] > 0:
		j.Verdict = Pass
		j.Sentence = fmt.Sprintf("%s: %s was found in none of %d comparisons.", j.subject(), j.beyond(), count[Pass])
		if count[Pass] == 1 {
			j.Sentence = fmt.Sprintf("%s: %s was not found in the one comparison.", j.subject(), j.beyond())
		}
	default:
		j.Verdict = Insufficient
		j.Sentence = fmt.Sprintf("%s: whether there is %s cannot be told for %d of %d groups.", j.subject(), j.beyond(), count[Insufficient], len(j.Groups))
	}
}

// inWords are metrics of criteria for people who do not know their names.
var inWords = map[string]string{
	"mae": "mean absolute error", "bias": "mean of predicted minus actual", "mse": "mean squared error", "rmse": "root mean square error",
	"correlation": "correlation of predicted and actual", "mean_predicted": "mean prediction", "log_fold_error": "mean logarithm of predicted over actual",
	"within10": "share predicted within 10%", "within20": "share predicted within 20%", "within30": "share predicted within 30%",
	"under20": "share predicted more than 20% too low", "over20": "share predicted more than 20% too high",
	"tpr": "true positive rate", "fpr": "false positive rate", "ppv": "positive predictive value", "npv": "negative predictive value",
	"accuracy": "accuracy", "selection_rate": "share called positive", "brier": "Brier score", "log_loss": "log loss",
	"calibration_in_the_large": "mean of predicted minus observed risk", "auc": "area under the curve",
	"ndcg": "discounted gain of the order", "ndcg_adjusted": "discounted gain of the order beyond chance",
	"event_share": "share with the event", "cindex": "C-index", "oe": "observed over expected events",
}

// subject is what a criterion is about.
func (j *Judged) subject() string {
	metric := j.Metric
	if words := inWords[metric]; words != "" {
		metric = words
	}
	if j.Attribute == All {
		return metric + ", by every attribute"
	}
	return metric + ", by " + j.Attribute
}

// beyond is what a criterion calls a disparity.
func (j *Judged) beyond() string {
	if j.Kind == ratio {
		return fmt.Sprintf("a ratio above %s or below %.2f", decimal(1+j.Margin), 1/(1+j.Margin))
	}
	return fmt.Sprintf("a difference of more than %s", decimal(j.Margin))
}

// crude are the differences over all hospitals of the measures that are compared
// inside them, by cell and measure.
func (a *Audit) crude(s *study.Study, tallies []*tally, against []int) map[[2]int]float64 {
	out := map[[2]int]float64{}
	for k, paired := range pairedMeasures(s) {
		for _, m := range comparable(s, tallies[0]) {
			if m.metric != paired.metric {
				continue
			}
			for i, r := range against {
				if r < 0 || tallies[i] == nil || tallies[r] == nil {
					continue
				}
				if d, _, _, _, ok := m.difference(tallies[i], tallies[r]); ok {
					out[[2]int{i, k}] = d
				}
			}
		}
	}
	return out
}
