package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
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
terms of the model, how many patients it needs, every secure sum with its fields
and sizes, what can be worked out from the sums beside the model, how many bytes
a hospital would send among 5 and among 20 hospitals, and the digest that
hospitals approve. It needs no identity and no network. A study that cannot be
answered privately, whatever the patients, is refused.

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
	Study      string      `json:"study"`
	Name       string      `json:"name"`
	Title      string      `json:"title"`
	Version    int         `json:"version"`
	Kind       string      `json:"kind"`
	Family     string      `json:"family,omitempty"`
	Model      string      `json:"model,omitempty"` // its settings, in words
	Outcome    string      `json:"outcome"`
	Columns    []string    `json:"columns"`
	Terms      []string    `json:"terms"`
	Parameters int         `json:"parameters"` // that the fit estimates; 0 for a description and for trees
	Patients   int         `json:"patients"`   // that the fit needs, over all hospitals
	Groups     []groupJSON `json:"groups"`
	Validation string      `json:"validation,omitempty"`
	Minimum    int         `json:"minimum_contributors"`
	Hospitals  int         `json:"hospitals"` // among which the sums below are asked
	Sums       []sumJSON   `json:"sums"`
	Rounds     int         `json:"rounds"`             // at most
	Shown      []string    `json:"shown"`              // beside the model
	Criteria   []string    `json:"criteria,omitempty"` // and what their verdicts will do to the release
	Cost       []costJSON  `json:"cost"`
	Data       *dryRunJSON `json:"data,omitempty"`
}

type groupJSON struct {
	Attribute string   `json:"attribute"`
	Levels    []string `json:"levels"`
}

type sumJSON struct {
	Step    string      `json:"step"`
	Purpose string      `json:"purpose"`
	Rounds  int         `json:"rounds"`          // at most
	Usual   int         `json:"usual,omitempty"` // at most as long as no hospital comes or goes, where that is fewer
	Numbers int         `json:"numbers"`
	Fields  []fieldJSON `json:"fields"`
	layout  secagg.Layout
	varies  bool // the rounds or the numbers, with the hospitals
	parts   []sumJSON
	// as long as no hospital comes or goes
	forecast []compute.Expected
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
	Rounds    int    `json:"rounds"`    // at most
	Bytes     uint64 `json:"bytes"`     // at most, for the whole study
	// About, as long as no hospital comes or goes.
	UsualRounds int    `json:"usual_rounds"`
	UsualBytes  uint64 `json:"usual_bytes"`
}

type dryRunJSON struct {
	Records int            `json:"records"`
	Usable  int            `json:"usable"`
	With    *int           `json:"with_outcome,omitempty"` // of a binary or survival outcome, the usable ones that have it
	Skipped map[string]int `json:"skipped"`
	Misfit  bool           `json:"misfit,omitempty"` // more do not fit the study than do
}

// oneSided tells that all usable records have the outcome, or none has.
func (d *dryRunJSON) oneSided() bool {
	return d.Usable > 0 && d.With != nil && (*d.With == 0 || *d.With == d.Usable)
}

// summarise says what a study would make a hospital compute and send.
func summarise(s *study.Study) (*summaryJSON, error) {
	// With knots anywhere the sums have the sizes that they have in the end.
	s, err := s.KnottedEvenly()
	if err != nil {
		return nil, err
	}
	out := &summaryJSON{
		Study: statement.Digest(s.Digest()).String(), Name: s.Name, Title: s.Title, Version: s.Version,
		Kind: s.Model.Kind, Family: s.Model.Family, Model: page.Settings(s.Model), Outcome: outcomeText(s.Outcome), Columns: s.Columns(),
		Terms: []string{}, Parameters: s.Parameters(), Patients: patientsNeeded(s), Groups: []groupJSON{},
		Validation: validationText(s.Validation), Minimum: s.MinimumContributors(), Hospitals: max(5, s.MinimumContributors()),
		Shown: pipeline.Shown(s), Criteria: fairness.Declared(s),
	}
	for _, t := range s.Terms() {
		// The other kinds have none: a baseline hazard, or a bias, stands for it.
		if t.Name != study.Intercept || s.Model.Kind == study.GLM {
			out.Terms = append(out.Terms, t.Name)
		}
	}
	for _, attribute := range s.Fairness.Attributes {
		out.Groups = append(out.Groups, groupJSON{attribute.Column, attribute.Groups()})
	}
	out.Sums = sumsAmong(s, out.Hospitals)
	more := sumsAmong(s, 2*out.Hospitals)
	for i := range out.Sums {
		out.Rounds += out.Sums[i].Rounds
		out.Sums[i].varies = out.Sums[i].Rounds != more[i].Rounds || out.Sums[i].Numbers != more[i].Numbers
	}
	for _, hospitals := range []int{5, 20} {
		if hospitals < s.MinimumContributors() {
			continue
		}
		cost, err := costAmong(s, sumsAmong(s, hospitals), hospitals)
		if err != nil {
			return nil, err
		}
		out.Cost = append(out.Cost, cost)
	}
	return out, nil
}

// sumsAmong lists the sums that are asked of so many hospitals.
func sumsAmong(s *study.Study, hospitals int) []sumJSON { return sumsOf(pipeline.Steps(s, hospitals)) }

func sumsOf(steps []compute.StepSummary) (sums []sumJSON) {
	for _, step := range steps {
		sum := sumJSON{Step: step.Step, Purpose: step.Purpose, Numbers: step.Numbers, Rounds: step.Rounds, Usual: step.Usual, parts: sumsOf(step.Parts), forecast: step.Forecast()}
		for _, f := range step.Fields {
			sum.Fields = append(sum.Fields, fieldJSON{f.Name, f.Length, f.Bound})
			sum.layout = append(sum.layout, secagg.Field(f))
		}
		sums = append(sums, sum)
	}
	return sums
}

// costAmong adds up what one of so many hospitals sends, all of them being on
// the committee: ciphertext, and a sealed key share to each.
func costAmong(s *study.Study, sums []sumJSON, hospitals int) (costJSON, error) {
	cost := costJSON{Hospitals: hospitals, Threshold: s.Threshold(hospitals)}
	for _, sum := range sums {
		if sum.parts != nil {
			parts, err := costAmong(s, sum.parts, hospitals)
			if err != nil {
				return cost, err
			}
			cost.Rounds, cost.Bytes = cost.Rounds+parts.Rounds, cost.Bytes+parts.Bytes
			cost.UsualRounds, cost.UsualBytes = cost.UsualRounds+parts.UsualRounds, cost.UsualBytes+parts.UsualBytes
			continue
		}
		once, err := bytesOf(sum.layout, hospitals, cost.Threshold)
		if err != nil {
			return cost, fmt.Errorf("%s among %d hospitals: %w", sum.Step, hospitals, err)
		}
		cost.Bytes += uint64(sum.Rounds) * once
		cost.Rounds += sum.Rounds
		for _, e := range sum.forecast {
			layout := make(secagg.Layout, len(e.Fields))
			for i, f := range e.Fields {
				layout[i] = secagg.Field(f)
			}
			once, err := bytesOf(layout, hospitals, cost.Threshold)
			if err != nil {
				return cost, fmt.Errorf("%s among %d hospitals: %w", sum.Step, hospitals, err)
			}
			cost.UsualBytes += uint64(e.Rounds) * once
		}
		if sum.Usual > 0 {
			cost.UsualRounds += sum.Usual
		} else {
			cost.UsualRounds += sum.Rounds
		}
	}
	return cost, nil
}

// bytesOf is what one of so many hospitals sends in a round.
func bytesOf(layout secagg.Layout, hospitals, threshold int) (uint64, error) {
	suite, err := secagg.SelectSuite(layout, hospitals, hospitals, threshold)
	if err != nil {
		return 0, err
	}
	round, err := secagg.NewRound(secagg.RoundSpec{Suite: suite, Layout: layout, Invited: hospitals, Committee: hospitals, Threshold: threshold})
	if err != nil {
		return 0, err
	}
	agreed := round.Agreed() // members whose key share does not travel
	shares := agreed*identity.AgreementBytes + (hospitals-agreed)*(round.ShareBytes()+identity.SealingOverhead)
	return uint64(round.Chunks()*round.ChunkBytes() + shares + round.ShareBytes()), nil
}

func outcomeText(o study.Outcome) string {
	text := o.Column
	switch {
	case o.Type == study.Binary && o.AtLeast != nil:
		text += " >= " + strconv.FormatFloat(*o.AtLeast, 'g', -1, 64)
	case o.Type == study.Binary:
		text += " being " + strings.Join(o.Positive, " or ")
	case o.Type == study.Survival:
		text += " until " + o.Event.Column + " is " + strings.Join(o.Event.Positive, " or ")
	case o.Type == study.Count:
		text = "count of " + text
	case o.Scale != study.Identity:
		text = string(o.Scale) + " of " + text
	}
	if o.Unit != "" {
		text += " (" + o.Unit + ")"
	}
	return text
}

// validationText says on whom the model is tried, empty if on nobody.
func validationText(v study.Validation) string {
	by := ""
	if v.By != "" {
		by = ", by " + v.By
	}
	switch v.Kind {
	case study.Holdout:
		return fmt.Sprintf("%s of the patients are held out%s", percent(v.Fraction), by)
	case study.KFold:
		return fmt.Sprintf("the patients are divided into %d folds%s, and each is held out once", v.Folds, by)
	case study.LeaveOneSiteOut:
		return "each hospital is left out once"
	case study.External:
		var names []string
		for _, site := range v.Sites {
			names = append(names, string(site))
		}
		return "these hospitals only validate: " + strings.Join(names, ", ")
	}
	return ""
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'g', 4, 64) + "%" }

func (a *app) showSummary(path string, s *summaryJSON) {
	a.Printf("%s\n%s version %d: %s of %s\n", s.Title, s.Name, s.Version, strings.TrimSpace(s.Family+" "+s.Kind), s.Outcome)
	if s.Model != "" {
		a.Printf("%s", filled("", strings.Fields(s.Model)))
	}
	a.Printf("\n")
	a.Printf("A hospital reads these columns and nothing else:\n%s\n", wrapped("  ", s.Columns))
	if len(s.Terms) > 0 && s.Kind != study.Describe {
		a.Printf("The model has %s:\n%s\n", console.Count(len(s.Terms), "term"), wrapped("  ", s.Terms))
	}
	a.showNeeds(s)
	if s.Validation != "" {
		a.Printf("The model is tried on patients that it was not fitted to:\n%s\n", filled("  ", strings.Fields(s.Validation)))
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
		if sum.Usual > 0 {
			times += fmt.Sprintf(" (%d unless a hospital comes or goes)", sum.Usual)
		}
		if sum.varies {
			times += fmt.Sprintf(" among %d hospitals", s.Hospitals)
		}
		a.Printf("\n  %s: %s, %s\n", sum.Step, console.Count(sum.Numbers, "number"), times)
		a.Printf("%s", filled("    ", strings.Fields(sum.Purpose)))
		a.Printf("%s", wrapped("    ", fieldTexts(sum.Fields)))
	}
	a.Printf("\n")
	if len(s.Shown) > 0 {
		a.Printf("What the sums show beside the model:\n")
		for _, note := range s.Shown {
			a.Printf("%s", filled("  - ", strings.Fields(note)))
		}
		a.Printf("\n")
	}
	if len(s.Criteria) > 0 {
		a.Printf("What becomes of the release, by the study's own criteria:\n")
		for _, criterion := range s.Criteria {
			a.Printf("%s", filled("  - ", strings.Fields(criterion)))
		}
		a.Printf("\n")
	}
	for _, c := range s.Cost {
		unless := ""
		if c.UsualRounds < c.Rounds || c.UsualBytes < c.Bytes {
			unless = fmt.Sprintf(" (about %s in %s unless a hospital comes or goes)", console.Size(c.UsualBytes), console.Count(c.UsualRounds, "sum"))
		}
		a.Printf("Among %d hospitals each one sends %s at most, in %s%s; %d of them must agree to open a sum.\n",
			c.Hospitals, console.Size(c.Bytes), console.Count(c.Rounds, "sum"), unless, c.Threshold)
	}
	if s.Data != nil {
		with := ""
		if s.Data.With != nil {
			with = fmt.Sprintf(", %d of them with the outcome", *s.Data.With)
		}
		a.Printf("\nOf %s in the file %d are usable%s.\n", console.Count(s.Data.Records, "record"), s.Data.Usable, with)
		for _, reason := range study.SkipReasons() {
			if n := s.Data.Skipped[string(reason)]; n > 0 {
				a.Printf("  %6d skipped: %s\n", n, strings.ReplaceAll(string(reason), "_", " "))
			}
		}
		if s.Data.Misfit {
			a.Printf("Attention: %s.\n", study.MisfitAdvice)
		}
		if s.Data.oneSided() {
			a.Printf("Attention: a model needs patients with the outcome and without: compare outcome's positive and negative with the data's values.\n")
		}
		if s.Data.Usable < s.Patients {
			a.Printf("That is fewer than the %d that the model needs over all hospitals.\n", s.Patients)
		}
	}
	next := "consilium study propose " + path
	if s.Data != nil && (s.Data.Misfit || s.Data.oneSided()) {
		next = "correct the file, and check it again"
	}
	a.Printf("\nDigest, which is the study's name:\n  %s\n\nNext: %s\n", s.Study, next)
}

// fieldTexts names fields with their lengths. Fields that differ only in the
// numbers behind slashes, such as those of groups, are named once.
func fieldTexts(fields []fieldJSON) []string {
	kind := func(f fieldJSON) string {
		parts := strings.Split(f.Name, "/")
		for len(parts) > 1 {
			if _, err := strconv.Atoi(parts[len(parts)-1]); err != nil {
				break
			}
			parts = parts[:len(parts)-1]
		}
		return strings.Join(parts, "/")
	}
	lengths := make(map[string][]int)
	for _, f := range fields {
		lengths[kind(f)] = append(lengths[kind(f)], f.Length)
	}
	var texts []string
	for _, f := range fields {
		name := kind(f)
		of := lengths[name]
		delete(lengths, name)
		switch {
		case len(of) == 0: // named already
		case len(of) == 1:
			texts = append(texts, fmt.Sprintf("%s (%d)", name, of[0]))
		case slices.Min(of) == slices.Max(of):
			texts = append(texts, fmt.Sprintf("%d times %s (%d)", len(of), name, of[0]))
		default:
			total := 0
			for _, n := range of {
				total += n
			}
			texts = append(texts, fmt.Sprintf("%s (%d in %d fields)", name, total, len(of)))
		}
	}
	return texts
}

// showNeeds says how many patients the fit needs.
func (a *app) showNeeds(s *summaryJSON) {
	switch s.Kind {
	case study.GLM, study.Cox:
		a.Printf("The fit estimates %s and needs %s at least, over all hospitals.\n\n",
			console.Count(s.Parameters, "parameter"), console.Count(s.Patients, "patient"))
	case study.Neural:
		a.Printf("The network has %s; the fit needs %s at least, over all hospitals.\n\n",
			console.Count(s.Parameters, "parameter"), console.Count(s.Patients, "patient"))
	case study.Boost:
		a.Printf("The fit needs %s at least, over all hospitals: model.min_leaf on each side of a split.\n\n",
			console.Count(s.Patients, "patient"))
	}
}

// wrapped lists names in lines of a readable length.
func wrapped(indent string, names []string) string {
	words := slices.Clone(names)
	for i := range len(words) - 1 {
		words[i] += ","
	}
	return filled(indent, words)
}

// filled breaks words into lines of a readable length. A mark in the indent
// stands on the first line only.
func filled(indent string, words []string) string {
	var out strings.Builder
	line, first := indent, indent
	for _, word := range words {
		if len(line)+1+len(word) > 80 && line != first {
			out.WriteString(line + "\n")
			first = strings.Repeat(" ", len(indent))
			line = first
		}
		if line != first {
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
	out := &dryRunJSON{Records: matrix.Rows(), Usable: matrix.Rows(), Skipped: make(map[string]int), Misfit: study.Misfit(matrix.Rows(), skipped)}
	if s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival {
		with := 0
		for i := range matrix.Rows() {
			if matrix.Outcome(i) == 1 && s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival && matrix.Event(i) {
				with++
			}
		}
		out.With = &with
	}
	for reason, n := range skipped {
		out.Records += n
		out.Skipped[string(reason)] = n
	}
	return out, nil
}
