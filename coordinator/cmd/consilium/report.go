package main

import (
	"errors"

	"github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/page/paper"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
)

// renderReport writes the bias audit as a page. The page is made from the
// result; that its audit is the signed one is checked here.
func renderReport(o *outcome) ([]byte, error) {
	if o.result == nil || o.result.Audit == nil {
		return nil, errors.New("the coordinator hands over a signed audit without the result behind it")
	}
	derived, err := statement.Encode(o.result.Audit)
	if err != nil {
		return nil, err
	}
	if string(derived) != string(o.audit) {
		return nil, violation("the bias audit in the result is not the one that the coordinator signed", errors.New("they differ"))
	}
	evidence := []page.Fact{
		{Name: "study", Value: o.status.Study},
		{Name: "signed report", Value: statement.DigestOf(o.audit).String()},
	}
	if o.release != nil {
		evidence = append(evidence,
			page.Fact{Name: "release", Value: o.releaseDigest.String()},
			page.Fact{Name: "model", Value: o.release.Model.String()},
			page.Fact{Name: "roster", Value: o.release.Roster.String()})
	}
	evidence = append(evidence, page.Fact{Name: "prove it", Value: "consilium audit fetch " + console.Short(o.status.Study) + " --out bundle && consilium audit verify bundle"})
	return page.Render(page.Document{
		Override: o.override(),
		Cohort:   o.result.Cohort, Model: o.result.Model.GLM, Audit: o.result.Audit,
		Diagnoses: o.result.Diagnoses, Evidence: evidence,
	})
}

// override of the release, as a page shows it.
func (o *outcome) override() *page.Override {
	s := o.status.Override
	if s == nil {
		return nil
	}
	return &page.Override{Auditor: s.Auditor, Reason: s.Reason, Time: s.Time}
}

// onPaper sets a page as a PDF.
func (a *app) onPaper(page []byte) ([]byte, error) {
	return paper.Set(page, paper.About{Time: a.now(), Software: "Consilium"})
}
