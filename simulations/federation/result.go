package federation

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/study"
)

// Result is what a federation did, in the shape of result.json. The keys are
// stable: programs read them.
type Result struct {
	Study  Study  `json:"study"`
	Seed   uint64 `json:"seed"`
	Cipher string `json:"cipher"` // on, or off

	Sites []SiteReport `json:"sites"`
	// Records that named no site and were left out.
	Nowhere int `json:"records_without_site,omitempty"`

	Rounds []RoundReport `json:"rounds"`

	Model      *pipeline.Model    `json:"model"`                // null unless the study completed
	Validation *validation.Result `json:"validation,omitempty"` // how the model does on patients it had not seen
	Fairness   *Fairness          `json:"fairness"`             // null unless the study completed
	Mitigation *mitigation.Result `json:"mitigation,omitempty"` // what was tried about differences between groups
	Diagnosis  *compute.Diagnosis `json:"diagnosis,omitempty"`  // why there is no model

	Cohort      *describe.Cohort      `json:"cohort"`                // who is in the data; null if nothing was opened
	Description *describe.Description `json:"description,omitempty"` // of a study that fits no model
	Monitor     *drift.Report         `json:"monitor,omitempty"`     // of a study that watches a release
	Diagnoses   []compute.Diagnosis   `json:"diagnoses,omitempty"`   // all of them, also of terms that were left out of a model
	Gate        *fairness.Decision    `json:"gate,omitempty"`        // what the study's criteria make of the release, where it declares any
	Release     *Release              `json:"release"`               // null unless the study completed and its criteria let it be offered

	Ledger       Ledger        `json:"ledger"`
	Verification *Verification `json:"verification"`
	Seconds      float64       `json:"seconds"`

	Watch *Result `json:"-"` // what a watch over the release has come to; nil without one

	SignedAudit   []byte `json:"-"` // DSSE envelope of the bias audit; nil without a release
	SignedRelease []byte `json:"-"` // DSSE envelope of the release; nil without one
	Page          []byte `json:"-"` // the bias audit as a self-contained HTML page
	ResultPage    []byte `json:"-"` // what the study has found, as a self-contained HTML page; nil if nothing was opened
	Card          []byte `json:"-"` // the release's model card, Markdown; nil without a release
	CardXML       []byte `json:"-"` // the same as a CHAI Applied Model Card
	CardPDF       []byte `json:"-"` // the same to print, with the XML inside

	protocol *study.Study
}

// Study names the study and says how it ended.
type Study struct {
	Digest  string `json:"digest"`
	Name    string `json:"name"`
	Version int    `json:"version"`
	Title   string `json:"title"`
	State   string `json:"state"` // completed | diagnosed | failed
	Reason  string `json:"reason,omitempty"`
}

// SiteReport is what a site's dry run told the site: it never left the site.
// A real coordinator knows none of these numbers.
type SiteReport struct {
	Name     string         `json:"name"`
	Rows     int            `json:"rows"`    // usable records; 0 for a site that refused
	Skipped  map[string]int `json:"skipped"` // records by the reason that left them out
	Decision string         `json:"decision"`
	Reason   string         `json:"reason,omitempty"` // of a refusal
	Dropped  string         `json:"dropped,omitempty"`
}

// RoundReport is one round as the coordinator shows it.
type RoundReport struct {
	ID           string   `json:"id"`
	Question     string   `json:"question"`
	Step         string   `json:"step"`
	State        string   `json:"state"` // published | abandoned | failed-integrity
	Reason       string   `json:"reason,omitempty"`
	Contributors []string `json:"contributors"`
	Openers      []string `json:"openers"`
	Missing      []string `json:"missing"`
	BytesUp      uint64   `json:"bytes_up"`
	Seconds      float64  `json:"seconds"` // by the federation's clock, skipped waiting included
}

// Fairness holds the bias audit, one group after the other.
type Fairness struct {
	Groups []Group        `json:"groups"`
	Gaps   []fairness.Gap `json:"gaps"` // between groups of an attribute
}

// Group is one level of one attribute. A suppressed group has neither a
// number of patients nor metrics.
type Group struct {
	Attribute string             `json:"attribute"`
	Level     string             `json:"level"`
	N         *int               `json:"n"`
	State     string             `json:"state"`
	Metrics   map[string]float64 `json:"metrics"`
}

// Release is the model's offer to the sites and their answers.
type Release struct {
	Digest   string   `json:"digest"`
	Accepted []string `json:"accepted"`
	Refused  []string `json:"refused"`
}

// Ledger is the log's state at the end.
type Ledger struct {
	Size uint64 `json:"size"`
	Root string `json:"root"` // hex
}

// Verification is the auditor's finding over the study's evidence.
type Verification struct {
	Holds  bool            `json:"holds"`
	Checks []audit.Finding `json:"checks"`
}
