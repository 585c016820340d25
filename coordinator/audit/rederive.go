package audit

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Rederived is what the opened sums of a bundle give, computed anew.
type Rederived struct {
	Result []byte // JSON of the whole result
	Model  []byte // JSON of the model, as a release has it; nil while the study has none
	Audit  []byte // JSON of the bias audit; nil likewise

	Released bool // the ledger holds a release
	Equal    bool // and its model is this one, up to Rounding
	Rounding Rounding
	// Difference says where a release that is not equal differs first.
	Difference string
}

// Replay verifies a bundle as far as its opened sums and computes the model from
// them. What was released is compared and not relied on. There is nothing
// rederived where a check before the computation does not hold, which the
// findings name.
func Replay(bundle fs.FS, trust Trust) (*Rederived, *Findings, error) {
	if _, err := fs.ReadDir(bundle, "."); err != nil {
		return nil, nil, fmt.Errorf("cannot list the bundle: %w", err)
	}
	v := &verifier{bundle: bundle, trust: trust}
	checks := v.checks()
	last := slices.IndexFunc(checks, func(c check) bool { return c.name == "earlier results" })
	v.run(checks[:last+1])
	if !v.findings.Holds() || v.outcome.result == nil {
		return nil, &v.findings, nil
	}
	r, err := v.rederived()
	return r, &v.findings, err
}

func (v *verifier) rederived() (*Rederived, error) {
	var r Rederived
	var err error
	if r.Result, err = json.Marshal(v.outcome.result); err != nil {
		return nil, err
	}
	if v.outcome.result.Audit != nil {
		if r.Audit, err = statement.Encode(v.outcome.result.Audit); err != nil {
			return nil, err
		}
	}
	if v.outcome.done && v.outcome.result.Model != nil {
		if r.Model, err = statement.Encode(v.outcome.result.Model); err != nil {
			return nil, err
		}
	}
	if len(v.releases) == 0 {
		return &r, nil
	}
	at := v.releases[0]
	stated := at.fact.(*statement.Release).Body
	r.Released = true
	if r.Model == nil {
		r.Difference = fmt.Sprintf("%s releases a model that the sums do not give", at)
		return &r, nil
	}
	if r.Rounding, err = agree("the model in "+at.String(), r.Model, stated); err != nil {
		r.Difference = err.Error()
		return &r, nil
	}
	r.Equal = true
	return &r, nil
}
