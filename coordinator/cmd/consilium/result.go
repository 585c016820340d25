package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/study"
)

// outcome is a study's result with its signatures verified.
type outcome struct {
	status           studyJSON
	raw              []byte           // JSON of the result, as the coordinator gave it
	result           *pipeline.Result // nil until completed
	audit            json.RawMessage  // the audit report, verified
	auditEnvelope    []byte
	release          *statement.Release // verified; nil if there is none
	releaseDigest    statement.Digest
	releaseEnvelope  []byte
	overrideEnvelope []byte       // verified; nil unless the study's criteria block the release
	protocol         *study.Study // nil from a coordinator that does not hand it over
}

// outcome asks for a study's result and verifies what is signed in it.
func (c *connection) outcome(ctx context.Context, digest string) (*outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.study.Result(ctx, &consiliumv1.ResultRequest{Study: digest})
	if err != nil {
		return nil, refusedCall("there is no result", err)
	}
	o := &outcome{status: statusOf(answer.GetStatus()), raw: answer.GetResult(), auditEnvelope: answer.GetAudit(), releaseEnvelope: answer.GetRelease()}
	if len(o.raw) > 0 {
		o.result = new(pipeline.Result)
		if err := json.Unmarshal(o.raw, o.result); err != nil {
			return nil, console.Fail("the result cannot be read", err, "update this command: it may be older than the coordinator")
		}
	}
	if o.protocol, err = protocolFrom(answer.GetProtocol(), digest); err != nil {
		return nil, err
	}
	byCoordinator := c.node.Rosters().Latest().KeyOfRole(identity.RoleCoordinator)
	if len(o.auditEnvelope) > 0 {
		if _, err := statement.Open(o.auditEnvelope, statement.KindAudit, &o.audit, byCoordinator); err != nil {
			return nil, violation("the bias audit is not what the coordinator signed", err)
		}
	}
	if len(o.releaseEnvelope) > 0 {
		o.release = new(statement.Release)
		payload, err := statement.Open(o.releaseEnvelope, statement.KindRelease, o.release, byCoordinator)
		if err != nil {
			return nil, violation("the release is not what the coordinator signed", err)
		}
		o.releaseDigest = statement.DigestOf(payload)
		if o.release.Study.String() != digest || o.release.Model != statement.DigestOf(o.release.Body) {
			return nil, violation("the release does not hold together", fmt.Errorf("it is of another study, or its model has another digest than it says"))
		}
	}
	return o, o.checkGate(c, answer.GetOverride())
}

func (a *app) studyResultCommand() *cobra.Command {
	var out, file string
	cmd := &cobra.Command{
		Use:   "result DIGEST",
		Short: "Show what a study has found, and write its page",
		Long: `Show what a study has found: the model with its coefficients or what it rests on,
how it does on patients it had not seen, the description where no model was asked
for, and the bias audit, after verifying the coordinator's signatures. Signatures
show who says it; that the numbers are what the hospitals' sums give is what
"consilium audit verify" proves.

With --out the files are written too: result.html, the page to read and print,
with the plots, and result.pdf, the same on paper; result.json; study.yaml, the study's file; and the signed audit.json
and release.json once there are any, each beside the proof that the ledger holds it.
With --study, your own copy of the study's file, the command fails if that is another.

Of a study that watches an installed release it shows the windows that are done so
far, also while the study runs. Exit code 4 says that there is an alert.`,
		Example: `  consilium study result 3f9a01c2
  consilium study result 3f9a01c2 --out results/warfarin --study warfarin.yaml`,
		Args: console.Arguments("the study's DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, digest, err := a.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer c.Close()
			o, err := c.outcome(cmd.Context(), digest)
			if err != nil {
				return err
			}
			if file != "" {
				if o.protocol, err = protocolOf(file, digest); err != nil {
					return err
				}
			}
			if out != "" {
				if err := a.write(cmd.Context(), c, o, out); err != nil {
					return err
				}
			}
			if a.JSON {
				var result any
				if len(o.raw) > 0 {
					result = json.RawMessage(o.raw)
				}
				if err := a.PrintJSON(map[string]any{"status": o.status, "result": result}); err != nil {
					return err
				}
				return alerted(o.result)
			}
			a.showResult(o)
			if out != "" {
				a.Printf("\nWritten to %s.\n", out)
			}
			return alerted(o.result)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` to write result.html, result.pdf, result.json, audit.json and release.json to")
	cmd.Flags().StringVar(&file, "study", "", "your copy of the study's `FILE`, which must be the one that was answered")
	return cmd
}

// protocolFrom reads the file that a coordinator hands over, which is the
// study's only if it has its digest; nil from a coordinator that has none.
func protocolFrom(source []byte, digest string) (*study.Study, error) {
	if len(source) == 0 {
		return nil, nil
	}
	if statement.DigestOf(source).String() != digest {
		return nil, violation("the protocol file is not the study's", errors.New("it has another digest"))
	}
	s, err := study.Parse(source)
	if err != nil {
		return nil, console.Fail("the study's protocol file cannot be read", err, "update this command: it may be older than the coordinator")
	}
	return s, nil
}

// protocolOf reads the file of a study and refuses that of another.
func protocolOf(file, digest string) (*study.Study, error) {
	s, err := readStudy(file)
	if err != nil {
		return nil, err
	}
	if own := statement.Digest(s.Digest()).String(); own != digest {
		return nil, &console.Problem{What: "the page was not written", Why: fmt.Sprintf("%s is study %s, not %s", file, console.Short(own), console.Short(digest)),
			Next: "name the file that was proposed, or leave out --study"}
	}
	return s, nil
}

// write stores what there is of an outcome, and beside what is signed the proof
// that the ledger holds it.
func (a *app) write(ctx context.Context, c *connection, o *outcome, dir string) error {
	var pdf []byte
	html, err := o.page()
	if err == nil && html != nil {
		pdf, err = a.onPaper(html)
	}
	if err != nil {
		return console.Fail("the result was not written", err, "update this command: it may be older than the coordinator")
	}
	files := map[string][]byte{"result.html": html, "result.pdf": pdf, "result.json": o.raw}
	if o.protocol != nil {
		files["study.yaml"] = o.protocol.Source()
	}
	for name, envelope := range map[string][]byte{"audit.json": o.auditEnvelope, "release.json": o.releaseEnvelope, "override.json": o.overrideEnvelope} {
		if len(envelope) == 0 {
			continue
		}
		files[name] = envelope
		if files[name+proofExtension], err = c.proof(ctx, envelope); err != nil {
			return err
		}
	}
	if err := makeDirectory(dir); err != nil {
		return err
	}
	for name, data := range files {
		if len(data) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return console.Fail("the result was not written", err, "choose another --out")
		}
	}
	return nil
}

// page is nil as long as nothing has been opened.
func (o *outcome) page() ([]byte, error) {
	if o.result == nil || o.result.Cohort == nil && o.result.Monitor == nil {
		return nil, nil
	}
	if o.result.Study != o.status.Study {
		return nil, violation("the coordinator hands over the result of another study", fmt.Errorf("it is of %s", console.Short(o.result.Study)))
	}
	d := page.Document{Title: o.status.Title, Version: int(o.status.Version), Result: o.result, Protocol: o.protocol, Override: o.override(), Ended: o.status.Reason}
	if o.release != nil {
		d.Evidence = append(d.Evidence, page.Fact{Name: "release", Value: o.releaseDigest.String()}, page.Fact{Name: "model", Value: o.release.Model.String()})
	}
	short := console.Short(o.status.Study)
	d.Evidence = append(d.Evidence, page.Fact{Name: "prove it", Value: "consilium audit fetch " + short + " --out bundle && consilium audit verify bundle"})
	return page.Render(d)
}

func (a *app) showResult(o *outcome) {
	s := o.status
	a.Printf("%s (%s v%d)\n%s", s.Title, s.Name, s.Version, s.State)
	if s.Reason != "" {
		a.Printf(": %s", s.Reason)
	}
	a.Printf("\n")
	if o.result == nil {
		for i, r := range s.Rounds {
			a.Printf("  round %d %s\n", i+1, roundLine(r))
		}
		return
	}
	a.showCohort(o.result)
	a.showModel(o.result)
	a.showValidation(o.result)
	a.showDescription(o.result)
	a.showFairness(o.result)
	a.showMonitor(o.result)
	a.showGate(s)
	if o.release != nil {
		votes := tally(s.ReleaseDecisions)
		a.Printf("\nRelease %s: accepted by %d, refused by %d, %d undecided\n", console.Short(o.releaseDigest.String()), votes["accepted"], votes["refused"], votes["pending"])
	}
}

// number writes an estimate with the digits that mean something.
func number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "-"
	case x != 0 && (math.Abs(x) < 1e-4 || math.Abs(x) >= 1e7):
		return strconv.FormatFloat(x, 'e', 4, 64)
	}
	return strconv.FormatFloat(x, 'f', 5, 64)
}

// pValue writes a p-value; below 0.0001 its size says no more.
func pValue(p float64) string {
	if p < 1e-4 {
		return "<0.0001"
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}
