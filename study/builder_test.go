package study

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ward is a study that uses every rule for records.
const ward = `study: ward
version: 1
outcome: {column: dose, type: number, range: [2, 320]}
features:
  - {column: age, type: number, range: [1, 9]}
  - {column: gene, type: category, levels: [G/G, {low: [A/G, A/A]}, unknown]}
  - {column: drug, type: category, levels: ["0", "1"]}
missing: [NA, "?"]
cohort:
  require: [consent]
  exclude_if: [{column: complete, equals: "0"}, {column: ward, equals: [X, "7"]}]
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
    - {column: race, levels: [{A: [a, aa]}, B, C]}
`

var wardColumns = []string{"dose", "age", "gene", "drug", "consent", "complete", "ward", "sex", "race", "note"}

// usable is a record that no rule skips, with some cells changed.
func usable(changes ...string) []string {
	record := []string{"30", "6", "A/G", "1", "yes", "1", "N", "male", "B", "free text"}
	for i := 0; i < len(changes); i += 2 {
		for j, column := range wardColumns {
			if column == changes[i] {
				record[j] = changes[i+1]
			}
		}
	}
	return record
}

// TestRecordRules changes cells of a usable record and expects its one fate.
func TestRecordRules(t *testing.T) {
	row := func(values ...float64) []float64 { return values }
	for _, c := range []struct {
		name   string
		record []string
		skip   Skip
		row    []float64 // outcome, then the design row
		groups [2]int
	}{
		{name: "usable", record: usable(), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{1, 1}},
		{name: "spaces", record: usable("dose", " 30 ", "gene", "\tG/G "), row: row(30, 1, 6, 0, 0, 1), groups: [2]int{1, 1}},
		{name: "gathered value", record: usable("gene", "A/A"), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{1, 1}},
		{name: "ends of the range", record: usable("dose", "320", "age", "1"), row: row(320, 1, 1, 1, 0, 1), groups: [2]int{1, 1}},
		{name: "a number as a spreadsheet writes it", record: usable("drug", "1.0", "age", "6.50", "dose", "3e1"), row: row(30, 1, 6.5, 1, 0, 1), groups: [2]int{1, 1}},

		{name: "no cells", record: nil, skip: Skip{"", Malformed}},
		{name: "a cell too few", record: usable()[:9], skip: Skip{"", Malformed}},
		{name: "a cell too many", record: append(usable(), ""), skip: Skip{"", Malformed}},

		{name: "excluded", record: usable("complete", "0"), skip: Skip{"complete", Excluded}},
		{name: "excluded by an equal number", record: usable("complete", "0.0"), skip: Skip{"complete", Excluded}},
		{name: "excluded by one of a list", record: usable("ward", "X"), skip: Skip{"ward", Excluded}},
		{name: "excluded by an equal number of a list", record: usable("ward", "+7.0"), skip: Skip{"ward", Excluded}},
		{name: "a code is not a number", record: usable("ward", "07"), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{1, 1}},
		{name: "missing excludes nothing", record: usable("complete", "", "ward", "NA"), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{1, 1}},

		{name: "required but empty", record: usable("consent", ""), skip: Skip{"consent", MissingRequired}},
		{name: "required but a missing word", record: usable("consent", " ? "), skip: Skip{"consent", MissingRequired}},

		{name: "no outcome", record: usable("dose", ""), skip: Skip{"dose", MissingOutcome}},
		{name: "outcome a missing word", record: usable("dose", "NA"), skip: Skip{"dose", MissingOutcome}},
		{name: "outcome a word", record: usable("dose", "thirty"), skip: Skip{"dose", OutcomeNotANumber}},
		{name: "outcome a quantity", record: usable("dose", "30 mg"), skip: Skip{"dose", OutcomeNotANumber}},
		{name: "outcome below", record: usable("dose", "1.9"), skip: Skip{"dose", OutcomeOutOfRange}},
		{name: "outcome above", record: usable("dose", "320.1"), skip: Skip{"dose", OutcomeOutOfRange}},

		{name: "no number", record: usable("age", "NA"), skip: Skip{"age", MissingFeature}},
		{name: "number a word", record: usable("age", "old"), skip: Skip{"age", NotANumber}},
		{name: "number out of range", record: usable("age", "60"), skip: Skip{"age", OutOfRange}},
		{name: "no category, unknown declared", record: usable("gene", ""), row: row(30, 1, 6, 0, 1, 1), groups: [2]int{1, 1}},
		{name: "category unknown in words", record: usable("gene", "unknown"), row: row(30, 1, 6, 0, 1, 1), groups: [2]int{1, 1}},
		{name: "category undeclared", record: usable("gene", "C/C"), skip: Skip{"gene", UndeclaredLevel}},
		{name: "category in another case", record: usable("gene", "a/g"), skip: Skip{"gene", UndeclaredLevel}},
		{name: "the name of a gathered level is no value", record: usable("gene", "low"), skip: Skip{"gene", UndeclaredLevel}},
		{name: "no category, unknown not declared", record: usable("drug", "?"), skip: Skip{"drug", MissingFeature}},

		{name: "attributes missing", record: usable("sex", "", "race", "NA"), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{2, 3}},
		{name: "attributes undeclared", record: usable("sex", "x", "race", "D"), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{2, 3}},
		{name: "attribute gathered", record: usable("sex", "female", "race", "aa"), row: row(30, 1, 6, 1, 0, 1), groups: [2]int{0, 0}},

		// The first reason counts.
		{name: "excluded before all else", record: usable("complete", "0", "consent", "", "dose", "", "age", "", "gene", "C/C"), skip: Skip{"complete", Excluded}},
		{name: "required before the outcome", record: usable("consent", "", "dose", "", "age", ""), skip: Skip{"consent", MissingRequired}},
		{name: "the outcome before features", record: usable("dose", "", "age", ""), skip: Skip{"dose", MissingOutcome}},
		{name: "features in order", record: usable("gene", "C/C", "age", "60", "drug", ""), skip: Skip{"age", OutOfRange}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustParse(t, ward)
			b, err := s.NewBuilder(wardColumns)
			if err != nil {
				t.Fatal(err)
			}
			b.Add(c.record)
			m := b.Matrix()
			if c.skip != (Skip{}) {
				if diff := cmp.Diff(map[Skip]int{c.skip: 1}, b.SkippedByColumn()); diff != "" {
					t.Errorf("skipped (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(map[SkipReason]int{c.skip.Reason: 1}, b.Skipped()); diff != "" {
					t.Errorf("skipped (-want +got):\n%s", diff)
				}
				if m.Rows() != 0 {
					t.Errorf("%d rows from a skipped record", m.Rows())
				}
				return
			}
			if m.Rows() != 1 || len(b.Skipped()) != 0 {
				t.Fatalf("%d rows, skipped %v", m.Rows(), b.SkippedByColumn())
			}
			if diff := cmp.Diff(c.row, append([]float64{m.Outcome(0)}, m.Row(0)...)); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			if got := [2]int{m.Group(0, 0), m.Group(0, 1)}; got != c.groups {
				t.Errorf("groups %v, want %v", got, c.groups)
			}
		})
	}
}

// The reasons are a fixed vocabulary: sites store them and people read them.
func TestSkipReasonsAreStable(t *testing.T) {
	want := []SkipReason{
		"malformed", "excluded", "missing_required",
		"missing_period", "period_unreadable", "outside_periods",
		"missing_outcome", "outcome_not_a_number", "outcome_not_a_count", "outcome_out_of_range", "outcome_undeclared_value",
		"missing_feature", "not_a_number", "out_of_range", "undeclared_level",
		"missing_offset", "missing_weight",
	}
	if diff := cmp.Diff(want, SkipReasons()); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// A level named unknown takes missing cells whether it gathers values or not,
// and may be the reference.
func TestMissingCategoryIsTheLevelUnknown(t *testing.T) {
	s := mustParse(t, strings.Replace(minimal, "type: number, range: [0, 1]",
		"type: category, levels: [a, {unknown: [not typed, failed]}], reference: unknown", 1))
	b, err := s.NewBuilder([]string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	for _, cell := range []string{"a", "", "NA", "failed", "unknown"} {
		b.Add([]string{cell, "5"})
	}
	var got []float64
	for i := range b.Matrix().Rows() {
		got = append(got, b.Matrix().Row(i)[1])
	}
	if diff := cmp.Diff([]float64{1, 0, 0, 0}, got); diff != "" {
		t.Errorf("x=a of a, missing, missing, failed (-want +got):\n%s", diff)
	}
	first := mustParse(t, strings.Replace(minimal, "type: number, range: [0, 1]", "type: category, levels: [unknown, a]", 1))
	p, err := first.NewPredictor([]string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	if row, err := p.Row([]string{""}); err != nil || row[1] != 0 {
		t.Errorf("unknown as the first level: row %v, error %v", row, err)
	}
	if diff := cmp.Diff(map[SkipReason]int{UndeclaredLevel: 1}, b.Skipped()); diff != "" {
		t.Errorf("a gathered level's name is no value (-want +got):\n%s", diff)
	}
}

// What strconv accepts beyond decimal numbers is no number in a record.
func TestOnlyDecimalNumbers(t *testing.T) {
	for _, text := range []string{"NaN", "nan", "Inf", "-Inf", "+inf", "infinity", "0x1p3", "0x10", "1_000", "1,5", "1e999",
		"", "-", ".", "e5", "1e", "--1", "1 2", "12 kg", "٣", "½"} {
		if v, ok := parseNumber(text); ok {
			t.Errorf("%q is the number %v", text, v)
		}
	}
	for text, want := range map[string]float64{"0": 0, "-0": 0, "+5": 5, "5.": 5, ".5": 0.5, "007": 7, "1e3": 1000, "1E-3": 0.001, "193.04": 193.04} {
		if v, ok := parseNumber(text); !ok || v != want {
			t.Errorf("%q is %v, %v; want %v", text, v, ok, want)
		}
	}
}

func TestBinaryOutcomeRules(t *testing.T) {
	const features = "features: [{column: x, type: number, range: [0, 1]}]\nmodel: {kind: glm, family: binomial}\n"
	for _, c := range []struct{ outcome, cell, want string }{
		{`positive: ["1", yes]`, "1", "1"},
		{`positive: ["1", yes]`, "1.0", "1"},
		{`positive: ["1", yes]`, "yes", "1"},
		{`positive: ["1", yes]`, "Yes", "0"},
		{`positive: ["1", yes]`, "0", "0"},
		{`positive: ["1", yes]`, "", "missing_outcome"},
		{`positive: ["1", yes]`, "NA", "missing_outcome"},
		{`positive: ["1"], negative: ["0"]`, "0", "0"},
		{`positive: ["1"], negative: ["0"]`, "2", "outcome_undeclared_value"},
		{"at_least: 49", "49", "1"},
		{"at_least: 49", "48.999", "0"},
		{"at_least: 49", "1e300", "1"},
		{"at_least: 49", "", "missing_outcome"},
		{"at_least: 49", "high", "outcome_not_a_number"},
		{"at_least: 49", "NaN", "outcome_not_a_number"},
		{"at_least: 49, range: [2, 320]", "320", "1"},
		{"at_least: 49, range: [2, 320]", "321", "outcome_out_of_range"},
	} {
		s := mustParse(t, "study: b\nversion: 1\noutcome: {column: y, type: binary, "+c.outcome+"}\n"+features)
		b, err := s.NewBuilder([]string{"x", "y"})
		if err != nil {
			t.Fatal(err)
		}
		b.Add([]string{"0.5", c.cell})
		got := ""
		if m := b.Matrix(); m.Rows() == 1 {
			got = fmt.Sprint(m.Outcome(0))
		}
		for reason := range maps.Keys(b.Skipped()) {
			got += string(reason)
		}
		if got != c.want {
			t.Errorf("%s: %q gives %s, want %s", c.outcome, c.cell, got, c.want)
		}
	}
}

func TestReferenceInTheMiddleHasNoTerm(t *testing.T) {
	s := mustParse(t, strings.Replace(minimal, "type: number, range: [0, 1]", "type: category, levels: [a, b, c], reference: b", 1))
	b, err := s.NewBuilder([]string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range []string{"a", "b", "c"} {
		b.Add([]string{level, "5"})
	}
	var rows [][]float64
	for i := range b.Matrix().Rows() {
		rows = append(rows, b.Matrix().Row(i))
	}
	if diff := cmp.Diff([][]float64{{1, 1, 0}, {1, 0, 0}, {1, 0, 1}}, rows); diff != "" {
		t.Errorf("rows of a, b, c (-want +got):\n%s", diff)
	}
}

func TestColumnsOfTheData(t *testing.T) {
	s := mustParse(t, ward)
	without := func(column, instead string) []string {
		columns := append([]string(nil), wardColumns...)
		for i := range columns {
			if columns[i] == column {
				columns[i] = instead
			}
		}
		return columns
	}
	for _, c := range []struct {
		columns []string
		want    string
	}{
		{without("gene", "Gene "), `the data have no column "gene", which the study reads; did you mean "Gene"?`},
		{without("complete", "is complete"), `the data have no column "complete", which the study reads; did you mean "is complete"?`},
		{without("race", "PA135312261"), `the data have no column "race", which the study reads`},
		{without("note", "sex"), "columns 8 and 10 of the data have the same name; rename one"},
		{usable(), "the data have none of the study's columns (dose, age, gene, drug, consent, complete, ward, sex, race); is the first line the column names?"},
		{nil, "the data have none of the study's columns (dose, age, gene, drug, consent, complete, ward, sex, race); is the first line the column names?"},
	} {
		if _, err := s.NewBuilder(c.columns); err == nil || err.Error() != c.want {
			t.Errorf("columns %q:\n got %v\nwant %s", c.columns, err, c.want)
		}
	}
	_, err := s.NewBuilder(without("race", "Race4"))
	if missing, ok := errors.AsType[*ColumnError](err); !ok || missing.Column != "race" || missing.Nearest != "Race4" {
		t.Errorf("error %#v", err)
	}
	if _, err := s.NewBuilder(append([]string{"", ""}, wardColumns...)); err != nil {
		t.Errorf("columns without a name that the study does not read: %v", err)
	}
}

// A matrix is a snapshot: what is added later does not change it.
func TestMatrixIsASnapshot(t *testing.T) {
	b, err := mustParse(t, ward).NewBuilder(wardColumns)
	if err != nil {
		t.Fatal(err)
	}
	b.Add(usable("age", "3"))
	first := b.Matrix()
	for range 100 {
		b.Add(usable("age", "7"))
		b.Add(usable("age", "8", "drug", "9")) // taken back halfway
	}
	if first.Rows() != 1 || first.Row(0)[1] != 3 {
		t.Errorf("%d rows, first %v", first.Rows(), first.Row(0))
	}
	if m := b.Matrix(); m.Rows() != 101 || m.Row(100)[1] != 7 {
		t.Errorf("%d rows", m.Rows())
	}
}

func TestAppendRowLeavesWhatIsThere(t *testing.T) {
	b, err := mustParse(t, ward).NewBuilder(wardColumns)
	if err != nil {
		t.Fatal(err)
	}
	b.Add(usable())
	dirty := []float64{7, 9, 9, 9, 9, 9, 9, 9}
	if diff := cmp.Diff([]float64{7, 1, 6, 1, 0, 1}, b.Matrix().AppendRow(dirty[:1], 0)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// dumb reads one record of the study ward by the documented rules, written out
// as plainly as possible: the model beside the clever code.
func dumb(record map[string]string) (SkipReason, []float64, [2]string) {
	cell := func(column string) string { return strings.TrimSpace(record[column]) }
	missing := func(column string) bool {
		return cell(column) == "" || cell(column) == "NA" || cell(column) == "?"
	}
	number := func(column string) (float64, bool) {
		v, err := strconv.ParseFloat(cell(column), 64)
		return v, err == nil && !strings.ContainsAny(strings.ToLower(cell(column)), "nixp_")
	}
	same := func(column, value string) bool {
		a, okA := number(column)
		b, err := strconv.ParseFloat(value, 64)
		code := len(cell(column)) > 1 && cell(column)[0] == '0' && cell(column)[1] != '.'
		return cell(column) == value || okA && err == nil && !code && a == b
	}
	group := func(column string, levels map[string][]string) string {
		for name, values := range levels {
			for _, value := range values {
				if same(column, value) {
					return name
				}
			}
		}
		return Unknown
	}
	if same("complete", "0") || same("ward", "X") || same("ward", "7") {
		return Excluded, nil, [2]string{}
	}
	if missing("consent") {
		return MissingRequired, nil, [2]string{}
	}
	if missing("dose") {
		return MissingOutcome, nil, [2]string{}
	}
	dose, ok := number("dose")
	if !ok {
		return OutcomeNotANumber, nil, [2]string{}
	}
	if dose < 2 || dose > 320 {
		return OutcomeOutOfRange, nil, [2]string{}
	}
	if missing("age") {
		return MissingFeature, nil, [2]string{}
	}
	age, ok := number("age")
	if !ok {
		return NotANumber, nil, [2]string{}
	}
	if age < 1 || age > 9 {
		return OutOfRange, nil, [2]string{}
	}
	row := []float64{dose, 1, age, 0, 0, 0}
	switch {
	case missing("gene") || same("gene", "unknown"):
		row[4] = 1
	case same("gene", "A/G") || same("gene", "A/A"):
		row[3] = 1
	case !same("gene", "G/G"):
		return UndeclaredLevel, nil, [2]string{}
	}
	switch {
	case missing("drug"):
		return MissingFeature, nil, [2]string{}
	case same("drug", "1"):
		row[5] = 1
	case !same("drug", "0"):
		return UndeclaredLevel, nil, [2]string{}
	}
	return "", row, [2]string{
		group("sex", map[string][]string{"female": {"female"}, "male": {"male"}}),
		group("race", map[string][]string{"A": {"a", "aa"}, "B": {"B"}, "C": {"C"}}),
	}
}

func TestBuilderAgainstTheRulesWrittenOut(t *testing.T) {
	s := mustParse(t, ward)
	cells := map[string][]string{
		"dose":     {"30", "2", "320", "1", "321", "", "NA", "x", "NaN", "3e1", " 40"},
		"age":      {"1", "9", "5.5", "0", "10", "?", "Inf", "0x5", "5 "},
		"gene":     {"G/G", "A/G", "A/A", "unknown", "", "?", "low", "g/g"},
		"drug":     {"0", "1", "0.0", "1.0", "01", "2", "", "1e0"},
		"consent":  {"yes", "yes", "yes", "no", "", "NA"},
		"complete": {"1", "1", "1", "", "0", "0.0", "00", "-0"},
		"ward":     {"N", "N", "N", "X", "x", "7", "7.0", "07", ""},
		"sex":      {"male", "female", "", "NA", "m"},
		"race":     {"a", "aa", "B", "C", "A", ""},
		"note":     {"", "anything", "NA"},
	}
	rapid.Check(t, func(t *rapid.T) {
		b, err := s.NewBuilder(wardColumns)
		if err != nil {
			t.Fatal(err)
		}
		skipped := map[SkipReason]int{}
		var rows [][]float64
		var groups [][2]string
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			record, byName := make([]string, len(wardColumns)), map[string]string{}
			for i, column := range wardColumns {
				record[i] = rapid.SampledFrom(cells[column]).Draw(t, column)
				byName[column] = record[i]
			}
			b.Add(record)
			reason, row, group := dumb(byName)
			if reason != "" {
				skipped[reason]++
				continue
			}
			rows, groups = append(rows, row), append(groups, group)
		}
		m := b.Matrix()
		if diff := cmp.Diff(skipped, b.Skipped()); diff != "" {
			t.Fatalf("skipped (-want +got):\n%s", diff)
		}
		if m.Rows() != len(rows) {
			t.Fatalf("%d rows, want %d", m.Rows(), len(rows))
		}
		for i, want := range rows {
			if diff := cmp.Diff(want, append([]float64{m.Outcome(i)}, m.Row(i)...)); diff != "" {
				t.Fatalf("row %d (-want +got):\n%s", i, diff)
			}
			for a, attribute := range s.Fairness.Attributes {
				if got := attribute.Groups()[m.Group(i, a)]; got != groups[i][a] {
					t.Fatalf("row %d is in group %s of %s, want %s", i, got, attribute.Column, groups[i][a])
				}
			}
		}
	})
}

// Adding a record allocates nothing but, now and then, room for its numbers.
func TestAddDoesNotAllocatePerRecord(t *testing.T) {
	b, err := mustParse(t, ward).NewBuilder(wardColumns)
	if err != nil {
		t.Fatal(err)
	}
	record, skipped := usable(), usable("age", "60")
	if per := testing.AllocsPerRun(20_000, func() { b.Add(record); b.Add(skipped) }); per >= 1 {
		t.Errorf("%v allocations per record", per)
	}
}

func BenchmarkAdd(b *testing.B) {
	builder, err := mustParse(b, ward).NewBuilder(wardColumns)
	if err != nil {
		b.Fatal(err)
	}
	record := usable()
	b.ReportAllocs()
	for b.Loop() {
		builder.Add(record)
	}
}

// Records in another unit than the study's are noticed; patients who left, or
// whose window it is not, are no sign of that.
func TestMisfit(t *testing.T) {
	for _, c := range []struct {
		usable  int
		skipped map[SkipReason]int
		want    bool
	}{
		{24, map[SkipReason]int{OutOfRange: 165}, true},
		{24, map[SkipReason]int{OutOfRange: 13, UndeclaredLevel: 12}, true},
		{24, map[SkipReason]int{OutOfRange: 24}, false},
		{24, map[SkipReason]int{Excluded: 165, OutsidePeriods: 300, MissingFeature: 40}, false},
		{0, nil, false},
	} {
		if got := Misfit(c.usable, c.skipped); got != c.want {
			t.Errorf("%d usable, skipped %v: %t", c.usable, c.skipped, got)
		}
	}
}
