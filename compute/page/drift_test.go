package page_test

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// The page of a monitor names the window that a chart counts, tells alerts in the
// order of time, and writes what was declared as it was declared.
func TestTheWatchTellsAlertsInOrder(t *testing.T) {
	after, n := 1.1309, 50
	at := drift.Interval{Estimate: 1.25, Lower: 1.19, Upper: 1.31}
	group := func(level string) drift.Group {
		return drift.Group{Attribute: "sex", Level: level, Verdict: drift.Alert, FoundAfter: &after,
			Points: []drift.Point{{State: "ok", N: &n, Ratio: &at}, {State: "ok", N: &n, Ratio: &at}}}
	}
	r := &drift.Report{OutcomeType: "binary", Verdict: drift.Alert, Limits: drift.Limits{Margin: 0.2, K: 0.5, H: 4, PSI: 0.2, InControl: 168},
		Windows: []drift.Window{{From: "2025-01-01", To: "2025-02-01", State: "ok", Contributors: 5}, {From: "2025-02-01", To: "2025-03-01", State: "ok", Contributors: 5}},
		Groups:  []drift.Group{group("f"), group("m")},
		Alerts: []drift.Signal{{Window: 1, From: "2025-02-01", Attribute: "sex", Level: "f", Chart: "cusum", Direction: "up", Value: 9.0807, Limit: 4},
			{Window: 0, From: "2025-01-01", Attribute: "sex", Level: "m", Chart: "cusum", Direction: "down", Value: 8.788, Limit: 4}},
	}
	html, err := page.Render(page.Document{Result: &pipeline.Result{Name: "watch", Monitor: r}})
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"Window 2, from 2025-02-01, sex: f: more is observed than the model expects (CUSUM at 9.081, limit 4).", "≈ 1.1 windows", "±20% of what", "window 2"} {
		if !strings.Contains(string(html), words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	if first, second := strings.Index(string(html), "Window 1, from"), strings.Index(string(html), "Window 2, from"); first < 0 || first > second {
		t.Error("a later alert is told before an earlier one")
	}
}
