package independent

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// report is what a bias audit says of the study's criteria. That they are the
// study's is for the first verifier, which reads the protocol file.
type report struct {
	Criteria []criterion `json:"criteria"`
	Decision *struct {
		Outcome string `json:"outcome"`
	} `json:"decision"`
}

type criterion struct {
	Kind           string  `json:"kind"`
	Margin         float64 `json:"margin"`
	OnFail         string  `json:"on_fail"`
	OnInsufficient string  `json:"on_insufficient"`
	Verdict        string  `json:"verdict"`
	Groups         []struct {
		Lower   *float64 `json:"lower"`
		Upper   *float64 `json:"upper"`
		Verdict string   `json:"verdict"`
	} `json:"groups"`
}

// Words of the report.
const (
	blocked      = "blocked"
	insufficient = "insufficient evidence"
)

// readReport reads what the audit's verdicts make of a release, which it works out
// from the intervals: any group surely beyond the margin fails a criterion, and all
// surely within it, of which there is one at least, pass it.
func (v *verifier) readReport(payload []byte) error {
	var r report
	if err := json.Unmarshal(payload, &r); err != nil {
		return errors.New("no report that can be read")
	}
	if (len(r.Criteria) > 0) != (r.Decision != nil) {
		return errors.New("a decision without criteria, or criteria without a decision")
	}
	if r.Decision == nil {
		return nil
	}
	v.gate = "offered"
	for i, c := range r.Criteria {
		verdict, err := c.judge()
		if err != nil || verdict != c.Verdict {
			return fmt.Errorf("the verdict on criterion %d does not follow from its intervals", i+1)
		}
		effect := map[string]string{"pass": "offer", "fail": c.OnFail, insufficient: c.OnInsufficient}[verdict]
		switch {
		case effect == "block":
			v.gate = blocked
		case effect == "warn" && v.gate != blocked:
			v.gate = "offered with a warning"
		case effect != "warn" && effect != "offer":
			return fmt.Errorf("criterion %d does not say what its verdict does", i+1)
		}
	}
	if r.Decision.Outcome != v.gate {
		return fmt.Errorf("it says that the release is %q, where its verdicts give %q", r.Decision.Outcome, v.gate)
	}
	return nil
}

// judge gives the verdict on a criterion.
func (c criterion) judge() (string, error) {
	low, high := -c.Margin, c.Margin
	if c.Kind == "ratio" {
		low, high = 1/(1+c.Margin), 1+c.Margin
	}
	seen := make(map[string]int)
	for _, g := range c.Groups {
		verdict := insufficient
		if (g.Lower == nil) != (g.Upper == nil) {
			return "", errors.New("half an interval")
		}
		switch {
		case g.Lower == nil:
		case low <= *g.Lower && *g.Upper <= high:
			verdict = "pass"
		case *g.Lower > high || *g.Upper < low:
			verdict = "fail"
		}
		if verdict != g.Verdict {
			return "", errors.New("a group's verdict")
		}
		seen[verdict]++
	}
	switch {
	case seen["fail"] > 0:
		return "fail", nil
	case seen["pass"] > 0 && seen[insufficient] == 0:
		return "pass", nil
	}
	return insufficient, nil
}

// takeOverride places an auditor's override, whose signature was verified.
func (v *verifier) takeOverride(s statement) error {
	switch {
	case v.override != "":
		return errors.New("a second override")
	case v.audit == "" || s.Audit != v.audit || s.Gate != v.gate:
		return errors.New("of another decision than that of the audit in the log")
	case v.gate != blocked:
		return errors.New("overrides a release that nothing blocks")
	case strings.TrimSpace(s.Reason) == "":
		return errors.New("gives no reason")
	}
	v.override = s.digest
	return nil
}

// checkGate holds a release against what the audit's verdicts make of it.
func (v *verifier) checkGate() error {
	if v.released == nil {
		if v.override != "" {
			return errors.New("an override that no release follows")
		}
		return nil
	}
	switch r := v.released; {
	case r.Gate != v.gate:
		return fmt.Errorf("the release says that the criteria make it %q, where the audit gives %q", r.Gate, v.gate)
	case v.gate == blocked && r.Override == "":
		return errors.New("the release is blocked by the study's criteria, and stands under no override")
	case r.Override != v.overrideBefore:
		return errors.New("the release names another override than the one before it in the log")
	}
	return nil
}
