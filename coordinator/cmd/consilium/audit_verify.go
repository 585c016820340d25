package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/durable"
)

func (a *app) auditVerifyCommand() *cobra.Command {
	var governance string
	var witnesses int
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Prove a study from its evidence bundle, offline",
		Long: `Check an evidence bundle in a fixed order and name the first thing that does not
hold: files, rosters, checkpoint, log, tiles, the hospitals' cosignatures, proofs,
signatures, approvals, plans, openings, key shares, sums, questions, the replay of
the whole computation, the bias audit, the release, the decisions about it and the
coordinator's attestation. Nothing is asked from anybody.

What you trust is one key: the consortium's governance key. It is taken from your
identity, where enrolment put it, or from --governance: the 64 digit fingerprint
that "consilium init" and "consilium roster show" print, or the path of a
governance.pub that you trust. Without either the key is taken from the bundle
itself, which proves only that the bundle agrees with itself.

With an identity the bundle is also held against the last checkpoint of the
ledger that this identity has seen. Hospitals cosign what they see of the ledger;
if more than half of them have cosigned up to the release, they see the same
history as you. --witnesses demands a number of them and fails below it.

Exit code 0: everything that could be checked holds. 1: something does not.`,
		Example: `  consilium audit verify bundle
  consilium audit verify bundle --governance 5b2e…  --json`,
		Args: console.Arguments("the BUNDLE directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := isBundle(args[0]); err != nil {
				return err
			}
			trust, err := a.trust(cmd, governance)
			if err != nil {
				return err
			}
			trust.Witnesses = witnesses
			findings, err := audit.Verify(os.DirFS(args[0]), trust)
			if err != nil {
				return console.Fail("the bundle cannot be read", err, "")
			}
			return a.showFindings(args[0], findings)
		},
	}
	cmd.Flags().StringVar(&governance, "governance", "", "the governance key you trust: its `FINGERPRINT`, or the path of a governance.pub")
	cmd.Flags().IntVar(&witnesses, "witnesses", 0, "fail unless so `MANY` hospitals cosigned this history up to the release")
	return cmd
}

// isBundle tells a bundle from what else may be named.
func isBundle(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return console.Fail("the bundle cannot be read", err, "consilium audit fetch DIGEST --out "+dir)
	}
	if !info.IsDir() {
		return &console.Problem{What: "the bundle cannot be read", Why: dir + " is not a directory", Next: "consilium audit fetch DIGEST --out DIR"}
	}
	if _, err := os.Stat(filepath.Join(dir, "entries.jsonl")); err != nil {
		next := "consilium audit fetch DIGEST --out DIR"
		if _, err := os.Stat(filepath.Join(dir, "bundle", "entries.jsonl")); err == nil {
			next = "name the bundle in it: " + filepath.Join(dir, "bundle")
		}
		return &console.Problem{What: dir + " is no evidence bundle", Why: "it holds no entries.jsonl, the leaves of the ledger", Next: next}
	}
	return nil
}

func (a *app) auditReplayCommand() *cobra.Command {
	var governance, out string
	cmd := &cobra.Command{
		Use:   "replay BUNDLE --out DIR",
		Short: "Compute the model anew from the opened sums, offline",
		Long: `Check an evidence bundle as far as its opened sums, compute the model from them
and write model.json, audit.json and result.json. Then compare the model with the
one that was released, up to rounding. What you trust is as for "audit verify".

Exit code 0: the model is the released one, or nothing has been released yet. 1: it
is another one, or the bundle does not hold as far as that.`,
		Example: `  consilium audit replay bundle --out replayed`,
		Args:    console.Arguments("the BUNDLE directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := console.Require(cmd, "out"); err != nil {
				return err
			}
			if err := isBundle(args[0]); err != nil {
				return err
			}
			trust, err := a.trust(cmd, governance)
			if err != nil {
				return err
			}
			derived, findings, err := audit.Replay(os.DirFS(args[0]), trust)
			if err != nil {
				return console.Fail("the bundle cannot be replayed", err, "")
			}
			if derived == nil {
				return a.showFindings(args[0], findings)
			}
			if err := makeDirectory(out); err != nil {
				return err
			}
			for name, data := range map[string][]byte{"model.json": derived.Model, "audit.json": derived.Audit, "result.json": derived.Result} {
				if len(data) == 0 {
					continue
				}
				if err := durable.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
					return console.Fail("what was computed was not written", err, "choose another --out")
				}
			}
			return a.showReplay(args[0], out, derived, findings)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` to write model.json, audit.json and result.json to")
	cmd.Flags().StringVar(&governance, "governance", "", "the governance key you trust: its `FINGERPRINT`, or the path of a governance.pub")
	return cmd
}

func (a *app) showReplay(bundle, out string, r *audit.Rederived, f *audit.Findings) error {
	a.warn(f)
	if a.JSON {
		if err := a.PrintJSON(map[string]any{"study": f.Study, "out": out, "released": r.Released, "equal": r.Equal, "rounding": r.Rounding, "difference": r.Difference}); err != nil {
			return err
		}
	}
	if r.Released && !r.Equal {
		return &console.Problem{What: "the released model is not the one that the sums give", Why: r.Difference,
			Next: "keep " + bundle + " and " + out + " as they are, and show them to the consortium's governance", Code: "model-differs"}
	}
	if a.JSON {
		return nil
	}
	last := f.Checks[len(f.Checks)-1]
	a.Printf("%s. Written to %s.\n", last.Detail, out)
	if r.Released {
		a.Printf("The model is the released one, %s.\n", r.Rounding)
	} else {
		a.Printf("Nothing has been released to compare it with.\n")
	}
	return nil
}

// warn says what makes a verification weaker than it looks.
func (a *app) warn(f *audit.Findings) {
	if f.GovernanceFromBundle {
		a.Notef("WARNING: the governance key was taken from the bundle itself. Whoever made the bundle\n" +
			"may have made the key. Compare the fingerprint above with the consortium's, or repeat\n" +
			"with --governance FINGERPRINT or --identity DIR.\n\n")
	}
	if this := audit.ThisSoftware(); f.MadeBy != (audit.Software{}) && f.MadeBy != this {
		a.Notef("WARNING: the bundle was made by version %s and this is %s.\n"+
			"Another kind of machine rounds differently, which is allowed for. If the replay does not\n"+
			"hold, repeat it with the former before you suspect anybody.\n\n", f.MadeBy, this)
	}
}

// trust gathers what the auditor holds: the governance key and the last
// checkpoint seen.
func (a *app) trust(cmd *cobra.Command, governance string) (audit.Trust, error) {
	var trust audit.Trust
	if a.identity != "" {
		node, err := identity.OpenNode(a.identity)
		if err != nil && governance == "" {
			return trust, console.Fail("cannot open the identity in "+a.identity, err, "name the governance key instead: --governance FINGERPRINT")
		}
		if err == nil {
			trust.Governance = node.Governance()
			if seen, err := os.ReadFile(filepath.Join(a.identity, checkpointFile)); err == nil {
				trust.Checkpoint = seen
			}
		}
	}
	if governance == "" {
		return trust, nil
	}
	trust.Governance = nil
	if data, err := os.ReadFile(governance); err == nil {
		key, err := identity.ParsePublicKey(data)
		if err != nil {
			return trust, console.Fail("cannot read the governance key in "+governance, err, "")
		}
		trust.Governance = key
		return trust, nil
	}
	fingerprint, err := hex.DecodeString(strings.ToLower(strings.TrimSpace(governance)))
	if err != nil || len(fingerprint) != sha256.Size {
		return trust, console.Usage(cmd, fmt.Sprintf("--governance is neither a fingerprint nor a file: %q", governance))
	}
	trust.Fingerprint = fingerprint
	return trust, nil
}

func (a *app) showFindings(bundle string, f *audit.Findings) error {
	failed, bad := f.First(audit.Failed)
	if a.JSON {
		if err := a.PrintJSON(struct {
			Holds bool `json:"holds"`
			*audit.Findings
		}{!bad, f}); err != nil {
			return err
		}
	} else {
		if f.Title != "" {
			a.Printf("%s (%s)\n", f.Title, f.Name)
		}
		if f.Study != "" {
			a.Printf("study      %s\n", f.Study)
		}
		if f.Release != "" {
			a.Printf("release    %s\n", f.Release)
		}
		if f.Gate == fairness.Blocked {
			a.Printf("criteria   BLOCK THE RELEASE\n")
		} else if f.Gate != "" {
			a.Printf("criteria   %s\n", f.Gate)
		}
		if o := f.Override; o != nil {
			a.Printf("override   %s, on %s: %q\n", o.Auditor, o.Time.UTC().Format("2006-01-02"), o.Reason)
		}
		if f.Governance != "" {
			a.Printf("governance %s\n", f.Governance)
		}
		a.Printf("\n")
		rows := [][]string{}
		for i, finding := range f.Checks {
			rows = append(rows, []string{mark(finding.State), finding.Check, finding.Detail})
			if rest := len(f.Checks) - i - 1; finding.State == audit.Failed && rest > 0 {
				rows = append(rows, []string{"-", fmt.Sprintf("%d more", rest), "not checked, because they rest on this"})
				break
			}
		}
		a.Table(rows)
		a.Printf("\n")
	}
	a.warn(f)
	if bad {
		if failed.Check == f.Checks[0].Check { // what a copy that was cut off looks like too
			return &console.Problem{What: bundle + " does not hold", Why: failed.Check + ": " + failed.Detail,
				Next: "copy or fetch it again, in case that was cut off; if it stays so, keep the bundle as it is and show this to the consortium's governance", Code: "bundle-does-not-hold"}
		}
		return &console.Problem{What: bundle + " does not hold", Why: failed.Check + ": " + failed.Detail,
			Next: "keep the bundle as it is, and show this to the consortium's governance", Code: "bundle-does-not-hold"}
	}
	var open []string
	for _, finding := range f.Checks {
		if finding.State == audit.NotChecked {
			open = append(open, finding.Check)
		}
	}
	if len(open) > 0 {
		a.Printf("Everything that could be checked holds. Not checked: %s.\n", strings.Join(open, ", "))
		return nil
	}
	a.Printf("Everything holds.\n")
	return nil
}

func mark(s audit.State) string {
	switch s {
	case audit.OK:
		return "ok"
	case audit.Failed:
		return "FAILED"
	}
	return "-"
}
