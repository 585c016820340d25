package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/study"
)

func (a *app) studyCompareCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Put the results of two studies side by side",
		Long: `Compare the models of two completed studies: how they do on patients they had not
seen, with intervals; deviance and AIC where both fit the same records by the same
likelihood; coefficients by name; where their bias audits found the largest gaps.
It says whether the comparison is fair, and if not, why: another outcome, other
patients, another validation.

A and B are digests of studies, or paths of result.json files as "study result
--out" and "simulate run" write them (or their folders). Files need no identity and
no network. How patients were divided is compared as well: of a file, where study.yaml
or bundle/study.yaml lies beside it.`,
		Example: `  consilium study compare 3f9a01c2 77b01d4e
  consilium study compare out/linear/result.json out/boosted/result.json --html side-by-side.html`,
		Args: console.Arguments("study A", "study B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var subjects [2]compare.Subject
			for i, arg := range args {
				var err error
				if path := resultFile(arg); path != "" {
					subjects[i], err = fromFile(path)
				} else {
					subjects[i], err = a.fromCoordinator(cmd.Context(), arg)
				}
				if err != nil {
					return err
				}
			}
			c, err := compare.Studies(subjects[0], subjects[1])
			if err != nil {
				return console.Fail("the studies were not compared", err, "compare completed studies that fit a model")
			}
			if out != "" {
				html, err := page.RenderComparison(c)
				if err == nil {
					err = durable.WriteFile(out, html, 0o644)
				}
				if err != nil {
					return console.Fail("the page was not written", err, "choose another --html")
				}
			}
			if a.JSON {
				return a.PrintJSON(c)
			}
			a.showComparison(c)
			if out != "" {
				a.Printf("\nWritten to %s.\n", out)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "html", "", "`FILE` to write the comparison to, as a page")
	return cmd
}

// resultFile is the path that a person means; empty for a digest.
func resultFile(arg string) string {
	if info, err := os.Stat(arg); err == nil {
		if info.IsDir() {
			return filepath.Join(arg, "result.json")
		}
		return arg
	}
	if strings.ContainsAny(arg, `/\.`) {
		return arg // no digest has these: the complaint is about the file
	}
	return ""
}

func fromFile(path string) (compare.Subject, error) {
	const uncompared = "the studies were not compared"
	data, err := os.ReadFile(path)
	if err != nil {
		return compare.Subject{}, console.Fail(uncompared, err, "name a result.json, its folder, or a study's digest")
	}
	s, err := compare.Read(path, data)
	if err != nil {
		return s, console.Fail(uncompared, err, `name a file that "study result --out" or "simulate run" has written`)
	}
	for _, beside := range []string{"study.yaml", filepath.Join("bundle", "study.yaml")} {
		source, err := os.ReadFile(filepath.Join(filepath.Dir(path), beside))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, console.Fail(uncompared, err, "")
		}
		// Another study's file beside the result tells nothing.
		if protocol, err := study.Parse(source); err == nil {
			if digest := protocol.Digest(); hex.EncodeToString(digest[:]) == s.Result.Study {
				s.Protocol = protocol
				break
			}
		}
	}
	return s, nil
}

func (a *app) fromCoordinator(ctx context.Context, prefix string) (compare.Subject, error) {
	c, digest, err := a.connectFor(ctx, prefix)
	if err != nil {
		return compare.Subject{}, err
	}
	defer c.Close()
	o, err := c.outcome(ctx, digest)
	if err != nil {
		return compare.Subject{}, err
	}
	s := compare.Subject{Name: console.Short(digest), Title: o.status.Title, Version: int(o.status.Version), Result: o.result, Protocol: o.protocol}
	if o.result != nil && o.result.Audit != nil {
		s.Gaps = o.result.Audit.Gaps
	}
	return s, nil
}

// showComparison prints the comparison as tables.
func (a *app) showComparison(c *compare.Comparison) {
	rows := [][]string{{"", "STUDY", "MODEL", "OUTCOME", "PATIENTS", "HOSPITALS", "VALIDATION"}}
	for i, s := range []compare.Side{c.A, c.B} {
		patients := "withheld"
		if s.Patients != nil {
			patients = plot.Grouped(*s.Patients)
		}
		rows = append(rows, []string{string("AB"[i]), s.Name, s.Kind, s.Outcome, patients, plot.Grouped(s.Hospitals), s.Validation})
	}
	a.table(rows)
	if c.Fair {
		a.Printf("\nThe comparison is fair: the same outcome, the same patients as far as counts show, tried in the same way.\n")
	} else {
		a.Printf("\nThis does not compare like with like:\n")
		for _, why := range c.Why {
			a.Printf("  - %s\n", why)
		}
	}
	a.showMetrics(c)
	a.showNumbers("Fit", c.Fit, plot.Likelihood, page.Difference)
	a.showCoefficients(c)
	a.showNumbers("Importance", c.Importance, plot.Percent, page.Points)
	a.showGaps(c)
	if len(c.Notes) > 0 {
		a.Printf("\n")
	}
	for _, note := range c.Notes {
		a.Printf("%s\n", note)
	}
}

func (a *app) showMetrics(c *compare.Comparison) {
	if len(c.Metrics) == 0 {
		return
	}
	a.Printf("\nOn patients they had not seen, with 95%% intervals:\n\n")
	rows := [][]string{{"MEASURE", "A", "B", "B LESS A"}}
	value := func(m page.Metric, v *compare.Value) string {
		switch {
		case v == nil:
			return "-"
		case v.Lower == nil || v.Upper == nil:
			return m.Text(v.Estimate)
		}
		return m.Text(v.Estimate) + " (" + m.Text(*v.Lower) + " to " + m.Text(*v.Upper) + ")"
	}
	for _, known := range page.Metrics {
		for _, m := range c.Metrics {
			if m.Name != known.Name {
				continue
			}
			difference := "-"
			if m.Difference != nil {
				difference = known.Difference(*m.Difference)
			}
			rows = append(rows, []string{known.Heading(c.Unit), value(known, m.A), value(known, m.B), difference})
		}
	}
	a.table(rows)
}

func (a *app) showNumbers(title string, numbers []compare.Number, write, difference func(float64) string) {
	if len(numbers) == 0 {
		return
	}
	a.Printf("\n%s:\n\n", title)
	rows := [][]string{{strings.ToUpper(title), "A", "B", "B LESS A"}}
	for _, n := range numbers {
		row := []string{n.Name, "-", "-", "-"}
		if n.A != nil {
			row[1] = write(*n.A)
		}
		if n.B != nil {
			row[2] = write(*n.B)
		}
		if n.Difference != nil {
			row[3] = difference(*n.Difference)
		}
		rows = append(rows, row)
	}
	a.table(rows)
}

func (a *app) showCoefficients(c *compare.Comparison) {
	if len(c.Coefficients) == 0 {
		return
	}
	a.Printf("\nCoefficients (standard errors):\n\n")
	rows := [][]string{{"TERM", "A", "B", "B LESS A"}}
	estimate := func(e *compare.Estimate) string {
		if e == nil {
			return "-"
		}
		return plot.Number(e.Estimate) + " (" + plot.Number(e.StdError) + ")"
	}
	for _, x := range c.Coefficients {
		difference := "-"
		if x.Difference != nil {
			difference = page.Signed(*x.Difference, plot.Number)
		}
		rows = append(rows, []string{x.Name, estimate(x.A), estimate(x.B), difference})
	}
	a.table(rows)
}

func (a *app) showGaps(c *compare.Comparison) {
	if len(c.Gaps) == 0 {
		return
	}
	a.Printf("\nLargest gaps of the bias audits:\n\n")
	rows := [][]string{{"GROUP", "AGAINST", "MEASURE", "A", "B"}}
	side := func(g *compare.GapOfSide) string {
		if g == nil {
			return "-"
		}
		return page.Signed(g.Estimate, plot.Number) + " (" + g.Verdict + ")"
	}
	for _, g := range c.Gaps {
		rows = append(rows, []string{g.Attribute + "=" + g.Level, g.Reference, g.Metric, side(g.A), side(g.B)})
	}
	a.table(rows)
}
