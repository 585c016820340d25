package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

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
  consilium audit verify bundle
  consilium audit replay bundle --out replayed`,
	}
	group.AddCommand(a.auditReportCommand(), a.auditFetchCommand(), a.auditVerifyCommand(), a.auditReplayCommand(), a.auditPagesCommand())
	return console.AsGroup(group)
}

func (a *app) auditReportCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report DIGEST --out FILE.html|FILE.pdf",
		Short: "Write the bias audit as a page to read",
		Long: `Write the bias audit as one self-contained HTML page, and the coordinator's
signed JSON next to it (FILE.json), after verifying the signature, and beside that
the proof that the ledger holds it (FILE.json.tlog-proof). The page needs no network
and holds no record of any patient, only sums over several hospitals. A file named
.pdf gets the same page set on paper.`,
		Example: `  consilium audit report 3f9a01c2 --out report.html
  consilium audit report 3f9a01c2 --out report.pdf`,
		Args: console.Arguments("the study's DIGEST"),
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
			if err == nil && strings.EqualFold(filepath.Ext(out), ".pdf") {
				page, err = a.onPaper(page)
			}
			if err != nil {
				return console.Fail("the report was not written", err, "update this command: it may be older than the coordinator")
			}
			signed := strings.TrimSuffix(out, filepath.Ext(out)) + ".json"
			if signed == out {
				signed = out + ".signed.json"
			}
			proof, err := c.proof(cmd.Context(), o.auditEnvelope)
			if err != nil {
				return err
			}
			for path, data := range map[string][]byte{out: page, signed: o.auditEnvelope, signed + proofExtension: proof} {
				if err := durable.WriteFile(path, data, 0o644); err != nil {
					return console.Fail("the report was not written", err, "choose another --out")
				}
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"study": digest, "report": out, "signed": signed, "proof": signed + proofExtension})
			}
			a.Printf("The report is %s, what the coordinator signed is %s, and %s proves that the ledger holds it.\n", out, signed, signed+proofExtension)
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
