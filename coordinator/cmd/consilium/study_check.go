package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

func (a *app) studyCheckCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say what hospitals would compute and send",
		Long: `Read a protocol file as strictly as the hospitals do and say what it means: the
terms of the model, every secure sum with its fields and sizes, how many bytes a
hospital would send among 5 and among 20 hospitals, and the digest that
hospitals approve. It needs no identity and no network.

With --data it also reads a CSV file the way a hospital would and counts the
records that are usable, and those that are skipped by reason. Nothing of the
file leaves this computer, and no value of it is printed.

A mistake is reported as FILE:LINE.`,
		Example: `  consilium study check warfarin.yaml
  consilium study check warfarin.yaml --data my-patients.csv`,
		Args: console.Arguments("the protocol FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := readStudy(args[0])
			if err != nil {
				return err
			}
			summary, err := summarise(s)
			if err != nil {
				return console.Fail("the study cannot be computed", err, "")
			}
			if data != "" {
				if summary.Data, err = dryRun(s, data); err != nil {
					return err
				}
			}
			if a.JSON {
				return a.PrintJSON(summary)
			}
			a.showSummary(args[0], summary)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`CSV` file to try the study on, as a hospital would")
	return cmd
}

// readStudy parses a protocol file. A mistake in it is reported by line.
func readStudy(path string) (*study.Study, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, console.Fail("the protocol file cannot be read", err, "consilium study check --help")
	}
	s, err := study.Parse(source)
	if wrong, ok := errors.AsType[*study.Error](err); ok {
		where := *wrong
		where.Hint = ""
		why := wrong.Hint
		if why == "" {
			why = "a protocol file is read strictly: what is not understood is not ignored"
		}
		return nil, &console.Problem{What: where.In(path), Why: why,
			Next: "correct the file, then: consilium study check " + path, Code: "study-invalid", Cause: err}
	}
	if err != nil {
		return nil, console.Fail("the protocol file "+path+" cannot be used", err, "consilium study check --help")
	}
	return s, nil
}

// The JSON of study check. The keys are stable.
type summaryJSON struct {
	Study   string      `json:"study"`
	Name    string      `json:"name"`
	Title   string      `json:"title"`
	Version int         `json:"version"`
	Kind    string      `json:"kind"`
	Family  string      `json:"family,omitempty"`
	Outcome string      `json:"outcome"`
	Columns []string    `json:"columns"`
	Terms   []string    `json:"terms"`
	Groups  []groupJSON `json:"groups"`
	Minimum int         `json:"minimum_contributors"`
	Sums    []sumJSON   `json:"sums"`
	Rounds  int         `json:"rounds"` // at most
	Cost    []costJSON  `json:"cost"`
	Data    *dryRunJSON `json:"data,omitempty"`
}

type groupJSON struct {
	Attribute string   `json:"attribute"`
	Levels    []string `json:"levels"`
}

type sumJSON struct {
	Step    string      `json:"step"`
	Purpose string      `json:"purpose"`
	Rounds  int         `json:"rounds"` // at most
	Numbers int         `json:"numbers"`
	Fields  []fieldJSON `json:"fields"`
	layout  secagg.Layout
}

type fieldJSON struct {
	Name   string  `json:"name"`
	Length int     `json:"length"`
	Bound  float64 `json:"bound"` // on the magnitude of each number of one hospital
}

// costJSON is what one hospital sends among so many.
type costJSON struct {
	Hospitals int    `json:"hospitals"`
	Threshold int    `json:"threshold"` // of them, to open a sum
	Bytes     uint64 `json:"bytes"`     // at most, for the whole study
}

type dryRunJSON struct {
	Records int            `json:"records"`
	Usable  int            `json:"usable"`
	Skipped map[string]int `json:"skipped"`
}

// sealing is what HPKE with ML-KEM-768 and P-256 adds to a key share: the
// encapsulated key and the tag.
const sealing = 1088 + 65 + 16

// summarise says what a study would make a hospital compute and send.
func summarise(s *study.Study) (*summaryJSON, error) {
	out := &summaryJSON{
		Study: statement.Digest(s.Digest()).String(), Name: s.Name, Title: s.Title, Version: s.Version,
		Kind: s.Model.Kind, Family: s.Model.Family, Outcome: outcomeText(s.Outcome), Columns: s.Columns(),
		Terms: []string{}, Groups: []groupJSON{}, Minimum: s.MinimumContributors(),
	}
	for _, t := range s.Terms() {
		out.Terms = append(out.Terms, t.Name)
	}
	for _, attribute := range s.Fairness.Attributes {
		out.Groups = append(out.Groups, groupJSON{attribute.Column, attribute.Groups()})
	}
	for _, step := range pipeline.Steps(s, s.MinimumContributors()) {
		sum := sumJSON{Step: step.Step, Purpose: step.Purpose, Numbers: step.Numbers, Rounds: step.Rounds}
		for _, f := range step.Fields {
			sum.Fields = append(sum.Fields, fieldJSON{f.Name, f.Length, f.Bound})
			sum.layout = append(sum.layout, secagg.Field(f))
		}
		out.Sums = append(out.Sums, sum)
		out.Rounds += step.Rounds
	}
	for _, hospitals := range []int{5, 20} {
		if hospitals < s.MinimumContributors() {
			continue
		}
		cost, err := costAmong(s, out.Sums, hospitals)
		if err != nil {
			return nil, err
		}
		out.Cost = append(out.Cost, cost)
	}
	return out, nil
}

// costAmong adds up what one of so many hospitals sends, all of them being on
// the committee: ciphertext, and a sealed key share to each.
func costAmong(s *study.Study, sums []sumJSON, hospitals int) (costJSON, error) {
	cost := costJSON{Hospitals: hospitals, Threshold: s.Threshold(hospitals)}
	for _, sum := range sums {
		suite, err := secagg.SelectSuite(sum.layout, hospitals, hospitals)
		if err != nil {
			return cost, fmt.Errorf("%s among %d hospitals: %w", sum.Step, hospitals, err)
		}
		round, err := secagg.NewRound(secagg.RoundSpec{Suite: suite, Layout: sum.layout, Invited: hospitals, Committee: hospitals, Threshold: cost.Threshold})
		if err != nil {
			return cost, fmt.Errorf("%s among %d hospitals: %w", sum.Step, hospitals, err)
		}
		once := round.Chunks()*round.ChunkBytes() + hospitals*(round.ShareBytes()+sealing) + round.ShareBytes()
		cost.Bytes += uint64(sum.Rounds * once)
	}
	return cost, nil
}

func outcomeText(o study.Outcome) string {
	text := o.Column
	switch {
	case o.Type == study.Binary && o.AtLeast != nil:
		text += " >= " + strconv.FormatFloat(*o.AtLeast, 'g', -1, 64)
	case o.Type == study.Binary:
		text += " in " + strings.Join(o.Positive, ", ")
	case o.Scale != study.Identity:
		text = string(o.Scale) + " of " + text
	}
	if o.Unit != "" {
		text += " (" + o.Unit + ")"
	}
	return text
}

func (a *app) showSummary(path string, s *summaryJSON) {
	a.Printf("%s\n%s version %d: %s of %s\n\n", s.Title, s.Name, s.Version, strings.TrimSpace(s.Family+" "+s.Kind), s.Outcome)
	a.Printf("A hospital reads these columns and nothing else:\n%s\n", wrapped("  ", s.Columns))
	if len(s.Terms) > 0 {
		a.Printf("The model has %s:\n%s\n", console.Count(len(s.Terms), "term"), wrapped("  ", s.Terms))
	}
	for _, g := range s.Groups {
		a.Printf("The bias audit compares by %s:\n%s\n", g.Attribute, wrapped("  ", g.Levels))
	}
	a.Printf("What leaves a hospital, encrypted, and is only opened as a sum over %d hospitals or more:\n", s.Minimum)
	for _, sum := range s.Sums {
		times := "once"
		if sum.Rounds > 1 {
			times = fmt.Sprintf("at most %d times", sum.Rounds)
		}
		a.Printf("\n  %s: %s, %s\n", sum.Step, console.Count(sum.Numbers, "number"), times)
		a.Printf("%s", filled("    ", strings.Fields(sum.Purpose)))
		var fields []string
		for _, f := range sum.Fields {
			fields = append(fields, fmt.Sprintf("%s (%d)", f.Name, f.Length))
		}
		a.Printf("%s", wrapped("    ", fields))
	}
	a.Printf("\n")
	for _, c := range s.Cost {
		a.Printf("Among %d hospitals each one sends %s at most; %d of them must agree to open a sum.\n", c.Hospitals, console.Size(c.Bytes), c.Threshold)
	}
	if s.Data != nil {
		a.Printf("\nOf %s in the file %d are usable.\n", console.Count(s.Data.Records, "record"), s.Data.Usable)
		for _, reason := range study.SkipReasons() {
			if n := s.Data.Skipped[string(reason)]; n > 0 {
				a.Printf("  %6d skipped: %s\n", n, strings.ReplaceAll(string(reason), "_", " "))
			}
		}
	}
	a.Printf("\nDigest, which is the study's name:\n  %s\n\nNext: consilium study propose %s\n", s.Study, path)
}

// wrapped lists names in lines of a readable length.
func wrapped(indent string, names []string) string {
	words := slices.Clone(names)
	for i := range len(words) - 1 {
		words[i] += ","
	}
	return filled(indent, words)
}

// filled breaks words into lines of a readable length.
func filled(indent string, words []string) string {
	var out strings.Builder
	line := indent
	for _, word := range words {
		if len(line)+1+len(word) > 80 && line != indent {
			out.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	out.WriteString(line + "\n")
	return out.String()
}

// dryRun reads a CSV file as a hospital would and counts. It is the
// researcher's own file: hospitals run the same check with the site agent.
func dryRun(s *study.Study, path string) (*dryRunJSON, error) {
	matrix, skipped, err := records.Load(s, records.CSV(path))
	if err != nil {
		return nil, console.Fail("the study cannot be tried on the data", err, "correct the file, or the study's columns")
	}
	out := &dryRunJSON{Records: matrix.Rows(), Usable: matrix.Rows(), Skipped: make(map[string]int)}
	for reason, n := range skipped {
		out.Records += n
		out.Skipped[string(reason)] = n
	}
	return out, nil
}
