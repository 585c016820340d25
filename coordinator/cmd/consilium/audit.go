package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/durable"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

func (a *app) auditCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "audit",
		Short: "Read bias audits and prove studies offline",
		Long: `An auditor reads the bias audit, fetches the evidence behind it and proves it
without the coordinator: every signature, the log, the order of the protocol,
and that the sums give exactly this model and this report. With the ciphertexts
every sum is opened again as well.`,
		Example: `  consilium audit report 3f9a01c2 --out report.html
  consilium audit fetch 3f9a01c2 --out bundle --ciphertexts
  consilium audit verify bundle`,
	}
	group.AddCommand(a.auditReportCommand(), a.auditFetchCommand(), a.auditVerifyCommand())
	return console.AsGroup(group)
}

func (a *app) auditReportCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report DIGEST --out FILE.html",
		Short: "Write the bias audit as a page to read",
		Long: `Write the bias audit as one self-contained HTML page, and the coordinator's
signed JSON next to it (FILE.json), after verifying the signature. The page needs
no network and holds no record of any patient, only sums over several hospitals.`,
		Example: `  consilium audit report 3f9a01c2 --out report.html`,
		Args:    console.Arguments("the study's DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := console.Require(cmd, "out"); err != nil {
				return err
			}
			c, digest, err := a.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer c.Close()
			o, err := c.outcome(cmd.Context(), digest)
			if err != nil {
				return err
			}
			if len(o.auditEnvelope) == 0 {
				return &console.Problem{What: "there is no bias audit yet", Why: "the study is " + o.status.State, Next: "consilium study watch " + console.Short(digest)}
			}
			page, err := renderReport(o)
			if err != nil {
				return console.Fail("the report was not written", err, "update this command: it may be older than the coordinator")
			}
			signed := strings.TrimSuffix(out, filepath.Ext(out)) + ".json"
			if signed == out {
				signed = out + ".signed.json"
			}
			for path, data := range map[string][]byte{out: page, signed: o.auditEnvelope} {
				if err := durable.WriteFile(path, data, 0o644); err != nil {
					return console.Fail("the report was not written", err, "choose another --out")
				}
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"study": digest, "report": out, "signed": signed})
			}
			a.Printf("The report is %s, and what the coordinator signed is %s.\n", out, signed)
			a.Printf("To prove it: consilium audit fetch %s --out bundle && consilium audit verify bundle\n", console.Short(digest))
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to write the page to")
	return cmd
}

func (a *app) auditFetchCommand() *cobra.Command {
	var out string
	var ciphertexts bool
	cmd := &cobra.Command{
		Use:   "fetch DIGEST --out DIR",
		Short: "Fetch a study's evidence bundle",
		Long: `Fetch everything that proves a study: the signed checkpoint and all leaves of the
ledger, the rosters, the protocol file, every signed statement and opened sum.
With --ciphertexts also what the hospitals sent, encrypted, so that every sum can
be opened again; that can be large, and is for auditors only.

The directory appears under its name only once it is complete.`,
		Example: `  consilium audit fetch 3f9a01c2 --out bundle
  consilium audit fetch 3f9a01c2 --out bundle --ciphertexts`,
		Args: console.Arguments("the study's DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := console.Require(cmd, "out"); err != nil {
				return err
			}
			if _, err := os.Lstat(out); err == nil {
				return &console.Problem{What: "nothing was fetched", Why: out + " exists", Next: "choose another --out"}
			}
			c, digest, err := a.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer c.Close()
			files, bytes, err := c.fetch(cmd.Context(), digest, ciphertexts, out)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"study": digest, "bundle": out, "files": files, "bytes": bytes, "ciphertexts": ciphertexts})
			}
			a.Printf("Fetched %s, %s, to %s.\n", console.Count(files, "file"), console.Size(bytes), out)
			a.Printf("Next: consilium audit verify %s\n", out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` to make")
	cmd.Flags().BoolVar(&ciphertexts, "ciphertexts", false, "also fetch what the hospitals sent, encrypted")
	return cmd
}

// fetch streams a bundle into a fresh directory, which takes its final name
// last.
func (c *connection) fetch(ctx context.Context, digest string, ciphertexts bool, out string) (files int, bytes uint64, err error) {
	stream, err := c.ledger.Evidence(ctx, &consiliumv1.EvidenceRequest{Study: digest, Ciphertexts: ciphertexts})
	if err != nil {
		return 0, 0, refusedCall("nothing was fetched", err)
	}
	out = filepath.Clean(out)
	partial, err := os.MkdirTemp(filepath.Dir(out), filepath.Base(out)+".partial-")
	if err != nil {
		return 0, 0, console.Fail("nothing was fetched", err, "choose another --out")
	}
	defer os.RemoveAll(partial)
	root, err := os.OpenRoot(partial) // the coordinator names the files: none lands outside
	if err != nil {
		return 0, 0, console.Fail("nothing was fetched", err, "")
	}
	defer root.Close()
	var current *os.File
	name := ""
	finish := func() error {
		if current == nil {
			return nil
		}
		return current.Close()
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			finish()
			return 0, 0, refusedCall("the bundle was not fetched", err)
		}
		if piece.GetPath() != name || current == nil {
			if err := finish(); err != nil {
				return 0, 0, console.Fail("the bundle was not written", err, "free some space and repeat this command")
			}
			name = piece.GetPath()
			if current, err = create(root, name); err != nil {
				return 0, 0, console.Fail("the bundle was not written", err, "")
			}
			files++
		}
		if _, err := current.Write(piece.GetData()); err != nil {
			finish()
			return 0, 0, console.Fail("the bundle was not written", err, "free some space and repeat this command")
		}
		bytes += uint64(len(piece.GetData()))
	}
	if err := finish(); err != nil {
		return 0, 0, console.Fail("the bundle was not written", err, "free some space and repeat this command")
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return 0, 0, console.Fail("the bundle was not written", err, "")
	}
	if err := os.Rename(partial, out); err != nil {
		return 0, 0, console.Fail("the bundle was not written", err, "choose another --out")
	}
	return files, bytes, nil
}

// create makes a new file of a bundle. The same name twice is refused.
func create(root *os.Root, name string) (*os.File, error) {
	if !fs.ValidPath(name) || name == "." {
		return nil, errors.New("the coordinator names a file outside the bundle")
	}
	if dir := filepath.Dir(filepath.FromSlash(name)); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return root.OpenFile(filepath.FromSlash(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var governance string
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Prove a study from its evidence bundle, offline",
		Long: `Check an evidence bundle in a fixed order and name the first thing that does not
hold: files, rosters, checkpoint, log, signatures, approvals, plans, openings,
key shares, sums, questions, the replay of the whole computation, the bias audit,
the release and the decisions about it. Nothing is asked from anybody.

What you trust is one key: the consortium's governance key. It is taken from your
identity, where enrolment put it, or from --governance: the 64 digit fingerprint
that "consilium init" and "consilium roster show" print, or the path of a
governance.pub that you trust. Without either the key is taken from the bundle
itself, which proves only that the bundle agrees with itself.

With an identity the bundle is also held against the last checkpoint of the
ledger that this identity has seen.

Exit code 0: everything that could be checked holds. 1: something does not.`,
		Example: `  consilium audit verify bundle
  consilium audit verify bundle --governance 5b2e…  --json`,
		Args: console.Arguments("the BUNDLE directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return console.Fail("the bundle cannot be read", err, "consilium audit fetch DIGEST --out "+args[0])
			}
			if !info.IsDir() {
				return &console.Problem{What: "the bundle cannot be read", Why: args[0] + " is not a directory", Next: "consilium audit fetch DIGEST --out DIR"}
			}
			if _, err := os.Stat(filepath.Join(args[0], "entries.jsonl")); err != nil {
				return &console.Problem{What: args[0] + " is no evidence bundle", Why: "it holds no entries.jsonl, the leaves of the ledger", Next: "consilium audit fetch DIGEST --out DIR"}
			}
			trust, err := a.trust(cmd, governance)
			if err != nil {
				return err
			}
			findings, err := audit.Verify(os.DirFS(args[0]), trust)
			if err != nil {
				return console.Fail("the bundle cannot be read", err, "")
			}
			return a.showFindings(args[0], findings)
		},
	}
	cmd.Flags().StringVar(&governance, "governance", "", "the governance key you trust: its `FINGERPRINT`, or the path of a governance.pub")
	return cmd
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
	if f.GovernanceFromBundle {
		a.Notef("WARNING: the governance key was taken from the bundle itself. Whoever made the bundle\n" +
			"may have made the key. Compare the fingerprint above with the consortium's, or repeat\n" +
			"with --governance FINGERPRINT or --identity DIR.\n\n")
	}
	if bad {
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
