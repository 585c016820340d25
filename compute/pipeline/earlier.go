package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// After is the result beside earlier ones of the consortium: what they leave of it
// to show, and which they are. The windows of a monitor that were shown before stay
// as it was decided then: such a result goes on from its last one, which is nil for
// none.
func (r *Result) After(s *study.Study, last *Result, earlier []differencing.Report) (*Result, error) {
	before, shown := last.windows()
	known, err := r.Withhold(s, before)
	if err != nil {
		return nil, err
	}
	now := known.report(s)
	now.Shown = shown
	d := differencing.Decide(now, earlier)
	if d != nil && before != nil {
		d.Withheld = append(slices.Clone(before.Withheld), d.Withheld...)
	}
	return r.Withhold(s, d)
}

// windows are how many a result shows, and what of them is withheld.
func (r *Result) windows() (*differencing.Decision, int) {
	if r == nil || r.Monitor == nil {
		return nil, 0
	}
	return r.Earlier, len(r.Monitor.Windows)
}

func (r *Result) report(s *study.Study) differencing.Report {
	return differencing.Report{Study: s, Cohort: r.Cohort, Description: r.Description, Audit: r.Audit, Monitor: r.Monitor}
}

// ReadReport reads what an earlier result shows of groups of patients.
func ReadReport(s *study.Study, digest string, result []byte) (differencing.Report, error) {
	var r struct {
		Study       string                `json:"study"`
		Cohort      *describe.Cohort      `json:"cohort"`
		Description *describe.Description `json:"description"`
		Audit       *fairness.Audit       `json:"audit"`
		Monitor     *drift.Report         `json:"monitor"`
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return differencing.Report{}, fmt.Errorf("an earlier result cannot be read: %w", err)
	}
	out := differencing.Report{Study: s, Digest: digest, Cohort: r.Cohort, Description: r.Description, Audit: r.Audit, Monitor: r.Monitor}
	return out, out.Check()
}

// Withhold is the result without what a decision withholds. The result itself
// stays as it is.
func (r *Result) Withhold(s *study.Study, d *differencing.Decision) (*Result, error) {
	out := *r
	out.Earlier = d
	if d == nil || len(d.Withheld) == 0 {
		return &out, nil
	}
	var err error
	if out.Cohort, err = copied(r.Cohort); err != nil {
		return nil, err
	}
	if out.Description, err = copied(r.Description); err != nil {
		return nil, err
	}
	if out.Audit, err = copied(r.Audit); err != nil {
		return nil, err
	}
	why := make(map[string]string, len(d.Withheld))
	for _, w := range d.Withheld {
		why[w.Group] = w.Why(s.Fairness.MinimumCell)
	}
	gone := func(column, level string) bool {
		if column == "" {
			return why[differencing.All] != ""
		}
		return why[differencing.Named(column, level)] != ""
	}
	if out.Cohort != nil {
		out.Cohort.Withhold(gone)
	}
	if out.Description != nil {
		out.Description.Withhold(func(t describe.CrossTable, i, j int) bool { return why[differencing.TableCell(t, i, j)] != "" }, gone)
	}
	if out.Audit != nil {
		of := make(map[int]string)
		for i, g := range out.Audit.Groups {
			if reason := why[differencing.GroupName(g)]; reason != "" {
				of[i] = reason
			}
		}
		out.Audit.Withhold(of)
		if len(of) > 0 {
			out.Mitigation = nil // figures of the same groups under other models
		}
		out.Audit.Progress = out.Audit.Followed()
	}
	if r.watched != nil {
		out.Monitor = r.withoutWindows(s, why)
	}
	if gone("", "") { // of all patients there is nothing that could not be subtracted
		out.Description, out.Validation = nil, nil
	}
	return &out, nil
}

// withoutWindows is the report of a monitor without the groups that are withheld in
// a window.
func (r *Result) withoutWindows(s *study.Study, why map[string]string) *drift.Report {
	hidden := 0
	report := r.watched.Without(func(window, group int) bool {
		from, _ := s.Monitor.Window(window)
		gone := why[differencing.Shows(from, r.Monitor.Groups[group])] != ""
		if gone {
			hidden++
		}
		return gone
	})
	if hidden > 0 {
		report.Notes = append(report.Notes, fmt.Sprintf("%d times the figures of a group in a window are withheld, because with an earlier report they would tell of fewer than %d patients. A CUSUM goes on from the window before.", hidden, s.Fairness.MinimumCell))
	}
	return report
}

// copied is a copy by way of JSON, in which every number keeps its value.
func copied[T any](from *T) (*T, error) {
	if from == nil {
		return nil, nil
	}
	text, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	to := new(T)
	if err := json.Unmarshal(text, to); err != nil {
		return nil, errors.New("a part of the result does not survive its own JSON")
	}
	return to, nil
}
