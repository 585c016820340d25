package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/card"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/internal/settings"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// cardFormats are the forms of a model card, by the word that asks for each.
var cardFormats = map[string]func(*card.Card) ([]byte, error){
	"markdown":  func(c *card.Card) ([]byte, error) { return c.Markdown(), nil },
	"html":      (*card.Card).HTML,
	"pdf":       (*card.Card).PDF,
	"chai-xml":  (*card.Card).XML,
	"hti1-json": (*card.Card).HTI1,
}

func (a *app) releaseCardCommand() *cobra.Command {
	var format, about, out string
	var template, publish bool
	cmd := &cobra.Command{
		Use:   "card DIGEST --out FILE",
		Short: "Write the model card of a release",
		Long: `Write the model card of a release: what the model takes and gives, who is in the
data, how well it predicts and for whom it errs more, what is withheld, and what
was not examined. DIGEST is the release's or its study's.

  markdown    to read
  html        to read in a browser: one file, with its style inside
  pdf         to print and to file; it carries the CHAI XML as chaiMcXml
  chai-xml    a CHAI Applied Model Card, for programs
  hti1-json   the 31 source attributes that HTI-1 lists, aligned with its numbers

What only people know, such as the intended use, comes from a file given with
--about; --about-template prints one to fill in. What it leaves out reads "not
stated by the developer": nothing is made up.

With --publish the researcher of the study signs the card and puts it beside the
release: its digest enters the ledger, and the evidence holds it.`,
		Example: `  consilium release card --about-template > about.yaml
  consilium release card 9c41d0aa --about about.yaml --out card.md
  consilium release card 9c41d0aa --about about.yaml --format chai-xml --out card.xml --publish`,
		Args: console.Arguments("[the release's DIGEST]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if template && a.JSON {
				return a.PrintJSON(map[string]any{"template": card.Template()})
			}
			if template {
				a.Printf("%s", card.Template())
				return nil
			}
			write, known := cardFormats[format]
			if !known {
				return console.Usage(cmd, fmt.Sprintf("--format is markdown, html, pdf, chai-xml or hti1-json, not %q", format))
			}
			if len(args) == 0 {
				return console.Usage(cmd, "the release's DIGEST is missing")
			}
			if err := console.Require(cmd, "out"); err != nil {
				return err
			}
			stated, err := readAbout(about)
			if err != nil {
				return err
			}
			release, err := a.releaseFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			release.About = stated
			c, err := card.New(release)
			if err != nil {
				return console.Fail("the model card was not written", err, "correct what it names and repeat this command")
			}
			content, err := write(c)
			if err != nil {
				return console.Fail("the model card was not written", err, "")
			}
			if err := durable.WriteFile(out, content, 0o644); err != nil {
				return console.Fail("the model card was not written", err, "choose another --out")
			}
			if publish {
				if err := a.publishCard(cmd.Context(), release, format, content); err != nil {
					return err
				}
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"release": release.Digest, "format": format, "card": out, "published": publish})
			}
			a.Printf("The model card is %s.\n", out)
			if publish {
				a.Printf("It is in the ledger, signed by you, beside release %s.\n", console.Short(release.Digest))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "markdown", "markdown, html, pdf, chai-xml or hti1-json")
	cmd.Flags().StringVar(&about, "about", "", "`FILE` with what people state of the model (YAML)")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to write the card to")
	cmd.Flags().BoolVar(&publish, "publish", false, "sign the card and put it beside the release, in the ledger")
	cmd.Flags().BoolVar(&template, "about-template", false, "print a file for --about to fill in, and nothing else")
	return cmd
}

// publishCard signs a card and hands it in.
func (a *app) publishCard(ctx context.Context, release card.Release, format string, content []byte) error {
	const what = "the model card was not published"
	of, err := statement.ParseDigest(release.Digest)
	if err != nil {
		return console.Fail(what, err, "")
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	signed, err := statement.Sign(statement.KindCard, statement.Card{
		Study: release.Study.Digest(), Release: of, Format: format, Card: statement.DigestOf(content), Researcher: c.node.Name(), Time: a.now(),
	}, c.node.Name(), c.node.Keys().Signing())
	if err != nil {
		return console.Fail(what, err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := c.study.PublishCard(ctx, &consiliumv1.PublishCardRequest{Statement: signed, Card: content}); err != nil {
		return refusedCall(what, err)
	}
	return nil
}

// readAbout reads what people state; without a file they state nothing.
func readAbout(path string) (about card.About, err error) {
	if path == "" {
		return about, nil
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return about, console.Fail("what is stated of the model cannot be read", err, "consilium release card --about-template > "+path)
	}
	keys := settings.Keys{}
	for _, f := range about.Fields() {
		keys[f.Key] = settings.Key{List: f.Add != nil, Read: func(text string) error {
			if f.Add != nil {
				return f.Add(text)
			}
			*f.Text = text
			return nil
		}}
	}
	if err := settings.Parse(source, keys); err != nil {
		return about, console.Fail("what is stated of the model is not valid", fmt.Errorf("%s: %w", path, err), "consilium release card --about-template   prints all keys")
	}
	return about, nil
}

// releaseFor gathers what a card is made of, all of it verified: the study by
// its digest, audit and model by the coordinator's signature.
func (a *app) releaseFor(ctx context.Context, digest string) (release card.Release, err error) {
	c, err := a.connect(ctx)
	if err != nil {
		return release, err
	}
	defer c.Close()
	studies, err := c.studies(ctx)
	if err != nil {
		return release, err
	}
	var digests []string
	studyOf := make(map[string]string)
	for _, s := range studies {
		if s.Release != "" {
			digests = append(digests, s.Release, s.Study)
			studyOf[s.Release], studyOf[s.Study] = s.Study, s.Study
		}
	}
	named, err := console.FindDigest(digest, digests, "release", "consilium release list")
	if err != nil {
		return release, err
	}
	o, err := c.outcome(ctx, studyOf[named])
	if err != nil {
		return release, err
	}
	if o.release == nil || o.result == nil {
		return release, &console.Problem{What: "there is no release " + console.Short(named), Why: "the coordinator lists it and does not hand it over", Next: "consilium release list"}
	}
	if err := o.takeSigned(); err != nil {
		return release, err
	}
	release = card.Release{Result: o.result, Digest: o.releaseDigest.String(), Signed: o.release.Time}
	for _, r := range o.release.Rounds {
		release.Rounds = append(release.Rounds, card.Round{Step: r.Step, Contributors: len(r.Contributors)})
	}
	if s := o.status.Override; s != nil {
		release.Override = &card.Override{Auditor: s.Auditor, Reason: s.Reason, Time: s.Time}
	}
	votes := tally(o.status.ReleaseDecisions)
	release.Accepted, release.Refused = votes["accepted"], votes["refused"]
	if release.Study = o.protocol; release.Study == nil {
		return release, &console.Problem{What: "there is no card of release " + console.Short(named), Why: "the coordinator does not hand over the study's protocol file", Next: "ask the coordinator's operator to update it"}
	}
	return release, nil
}

// takeSigned replaces the model and the audit of the result by those that the
// coordinator signed. The rest of the result follows from the sums, which is for
// "consilium audit verify" to prove.
func (o *outcome) takeSigned() error {
	if statement.DigestOf(o.audit) != o.release.Audit {
		return violation("the release does not hold together", errors.New("its bias audit has another digest than it says"))
	}
	o.result.Model, o.result.Audit = new(pipeline.Model), new(fairness.Audit)
	if err := errors.Join(json.Unmarshal(o.release.Body, o.result.Model), json.Unmarshal(o.audit, o.result.Audit)); err != nil {
		return console.Fail("the release cannot be read", err, "update this command: it may be older than the coordinator")
	}
	return nil
}
