package secagg

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A file of expected failures holds the inputs of a known-answer vector and
// cases: what is done to the honest round, line by line, and the refusal that
// must follow. The words are those of refusalCase.do and refusalCase.expected.
type refusalCase struct {
	name     string
	steps    [][]string
	expected string
}

// parseRefusals reads a file and refuses one that would test nothing.
func parseRefusals(text string) (v vector, cases []refusalCase, err error) {
	inputs, rest, found := strings.Cut(text, "\ncase ")
	if !found {
		return v, nil, errors.New("no cases")
	}
	if v, _, _, err = parseVector(inputs); err != nil {
		return v, nil, err
	}
	seen := map[string]bool{}
	for block := range strings.SplitSeq(rest, "\ncase ") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		c := refusalCase{name: lines[0]}
		if seen[c.name] {
			return v, nil, fmt.Errorf("case %q is there twice", c.name)
		}
		seen[c.name] = true
		for _, line := range lines[1:] {
			expected, is := strings.CutPrefix(line, "expect ")
			switch {
			case c.expected != "":
				return v, nil, fmt.Errorf("case %q goes on after its expectation", c.name)
			case is:
				c.expected = expected
			default:
				c.steps = append(c.steps, strings.Fields(line))
			}
		}
		if c.expected == "" || len(c.steps) == 0 && c.expected != "accepted" {
			return v, nil, fmt.Errorf("case %q changes nothing or expects nothing", c.name)
		}
		cases = append(cases, c)
	}
	return v, cases, nil
}

// damaged is an honest round that a case goes to work on.
type damaged struct {
	spec                    RoundSpec
	values                  [][]float64
	contributions           []*Contribution
	contributors            []int // of the round
	answered, read, members []int // whom the committee answers for, whom the coordinator reads, who answers
	openings, sum           []edit
	named                   *int // a member under which the first opening share is given once more
}

// edit changes bytes that exist only once the round is under way.
type edit struct {
	member int
	change func([]byte) []byte
}

// do carries out one step. A word that is not known is an error.
func (d *damaged) do(step []string) error {
	numbers := func(words []string) (out []int, err error) {
		for _, w := range words {
			n, e := strconv.Atoi(w)
			out, err = append(out, n), errors.Join(err, e)
		}
		return out, err
	}
	verb, args := step[0], step[1:]
	switch verb {
	case "contributors", "contributors-read", "contributors-answered", "members":
		n, err := numbers(args)
		switch verb {
		case "contributors":
			d.contributors, d.answered, d.read = n, n, n
		case "contributors-read":
			d.read = n
		case "contributors-answered":
			d.answered = n
		case "members":
			d.members = n
		}
		return err
	case "member-named":
		n, err := numbers(args)
		if err == nil {
			d.named = &n[0]
		}
		return err
	case "value":
		at, err := numbers(args[:2])
		if err != nil {
			return err
		}
		d.values[at[0]][at[1]], err = strconv.ParseFloat(args[2], 64)
		return err
	case "values-missing":
		at, err := numbers(args)
		if err == nil {
			d.values[at[0]] = d.values[at[0]][1:]
		}
		return err
	case "spec":
		return d.respecify(args)
	case "exchange", "repeat":
		at, err := numbers(args[1:])
		if err != nil {
			return err
		}
		switch verb + " " + args[0] {
		case "exchange chunks":
			a, b := d.contributions[at[0]], d.contributions[at[1]]
			a.Chunks, b.Chunks = b.Chunks, a.Chunks
		case "repeat chunks":
			d.contributions[at[1]].Chunks = d.contributions[at[0]].Chunks
		case "exchange shares":
			s := d.contributions[at[0]].Shares
			s[at[1]], s[at[2]] = s[at[2]], s[at[1]]
		default:
			return fmt.Errorf("cannot %s %s", verb, args[0])
		}
		return nil
	case "flip", "cut", "element", "residue":
		return d.edit(verb, args, numbers)
	}
	return fmt.Errorf("unknown step %q", verb)
}

// edit changes a chunk, a key share, an opening share or the sum:
// (flip|cut|element) WHAT PLACE... ARGUMENTS..., residue SITE CHUNK INDEX VALUE.
func (d *damaged) edit(verb string, args []string, numbers func([]string) ([]int, error)) error {
	places := map[string]int{"chunk": 2, "share": 2, "opening": 1, "sum": 0}
	what := "chunk"
	if verb != "residue" {
		what, args = args[0], args[1:]
	}
	count, known := places[what]
	if !known {
		return fmt.Errorf("cannot %s a %s", verb, what)
	}
	place, err := numbers(args[:count])
	if err != nil {
		return err
	}
	args = args[count:]
	at, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var change func([]byte) []byte
	switch verb {
	case "cut":
		change = func(b []byte) []byte { return b[:at] }
	case "flip":
		mask, err := hex.DecodeString(args[1])
		if err != nil {
			return err
		}
		change = func(b []byte) []byte { b = bytes.Clone(b); b[at] ^= mask[0]; return b }
	default:
		v, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return err
		}
		change = func(b []byte) []byte {
			b = bytes.Clone(b)
			if verb == "element" {
				binary.LittleEndian.PutUint16(b[2*at:], uint16(v))
				return b
			}
			for bit := range residueBits { // residue at is bits 53 at .. 53 at + 52
				i := residueBits*at + bit
				b[i/8] = b[i/8]&^(1<<(i%8)) | byte(v>>bit&1)<<(i%8)
			}
			return b
		}
	}
	switch what {
	case "chunk":
		c := d.contributions[place[0]].Chunks
		c[place[1]] = change(c[place[1]])
	case "share":
		s := d.contributions[place[0]].Shares
		s[place[1]] = change(s[place[1]])
	case "opening":
		d.openings = append(d.openings, edit{place[0], change})
	case "sum":
		d.sum = append(d.sum, edit{0, change})
	}
	return nil
}

func (d *damaged) respecify(args []string) (err error) {
	switch args[0] {
	case "suite":
		d.spec.Suite = args[1]
	case "invited":
		d.spec.Invited, err = strconv.Atoi(args[1])
	case "committee":
		d.spec.Committee, err = strconv.Atoi(args[1])
	case "threshold":
		d.spec.Threshold, err = strconv.Atoi(args[1])
	case "field":
		f := Field{Name: args[1]}
		var errs [3]error
		f.Length, errs[0] = strconv.Atoi(args[2])
		f.FracBits, errs[1] = strconv.Atoi(args[3])
		f.Bound, errs[2] = strconv.ParseFloat(args[4], 64)
		d.spec.Layout = append(slices.Clone(d.spec.Layout), f)
		err = errors.Join(errs[:]...)
	default:
		err = fmt.Errorf("a specification has no %s", args[0])
	}
	return err
}

// run goes through the round and returns the first refusal.
func (d *damaged) run(r *Round) error {
	if r == nil {
		_, err := NewRound(d.spec)
		return err
	}
	for _, values := range d.values {
		if _, err := r.Seal(values); err != nil {
			return err
		}
	}
	openings := map[int][]byte{}
	for _, j := range d.members {
		var shares [][]byte
		for _, i := range d.answered {
			shares = append(shares, d.contributions[i].Shares[j])
		}
		opening, err := r.AddShares(shares)
		if err != nil {
			return err
		}
		openings[j] = opening
	}
	for _, e := range d.openings {
		openings[e.member] = e.change(openings[e.member])
	}
	if d.named != nil {
		openings[*d.named] = openings[d.members[0]]
	}
	sum, err := r.Open(len(d.read), func(i, c int) ([]byte, error) { return d.contributions[d.read[i]].Chunks[c], nil }, openings)
	if err != nil {
		return err
	}
	data := sum.Bytes()
	for _, e := range d.sum {
		data = e.change(data)
	}
	_, err = r.ParseSum(data)
	return err
}

// outcome names an error in the words of the files.
func outcome(err error) string {
	var (
		spec   *SpecError
		value  *RangeError
		chunk  *ChunkError
		share  *ShareError
		member *MemberError
	)
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &spec):
		return "specification " + strings.Fields(spec.What)[0]
	case errors.As(err, &value):
		return fmt.Sprintf("out-of-range %s %d", value.Field, value.Index)
	case errors.As(err, &chunk) && errors.Is(err, ErrMalformed):
		return fmt.Sprintf("malformed chunk %d", chunk.Contributor)
	case errors.As(err, &share) && errors.Is(err, ErrMalformed):
		return "malformed share"
	case errors.As(err, &member) && errors.Is(err, ErrMalformed):
		return fmt.Sprintf("malformed member %d", member.Member)
	case errors.As(err, &member) && errors.Is(err, ErrIntegrity):
		return fmt.Sprintf("off-polynomial member %d", member.Member)
	case errors.Is(err, ErrMalformed):
		return "malformed sum"
	case errors.Is(err, ErrKeyOverflow):
		return "key"
	case errors.Is(err, ErrNoiseOverflow):
		return "noise"
	case errors.Is(err, ErrSlotOverflow):
		return "slot"
	case errors.Is(err, ErrInconsistentShares):
		return "inconsistent"
	case errors.Is(err, ErrTooFewShares):
		return "too-few-shares"
	case errors.Is(err, ErrTooFewContributors):
		return "too-few-contributors"
	case strings.Contains(err.Error(), "contributors of"):
		return "too-many-contributors"
	case strings.Contains(err.Error(), "values given"):
		return "wrong-length"
	}
	return err.Error()
}

func TestExpectedFailures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "refusals", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	reached := map[string]bool{}
	cases := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, found, err := parseRefusals(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range found {
			cases++
			t.Run(filepath.Base(file)+"/"+c.name, func(t *testing.T) {
				d := &damaged{spec: v.spec, contributors: v.contributors, answered: v.contributors, read: v.contributors, members: v.members}
				var r *Round
				if len(v.contributors) > 0 {
					r = suiteRound(t, v.spec.Suite, v.spec.Layout, v.spec.Invited, v.spec.Committee)
					r.spec = v.spec
				}
				for i, values := range v.values {
					seed := sha256.Sum256([]byte("seed" + strconv.Itoa(i)))
					contribution, err := r.seal(values, bytes.NewReader(seed[:]))
					if err != nil {
						t.Fatal(err)
					}
					d.values = append(d.values, slices.Clone(values))
					d.contributions = append(d.contributions, contribution)
				}
				for _, step := range c.steps {
					if err := d.do(step); err != nil {
						t.Fatalf("%s: %v", step, err)
					}
				}
				got := outcome(d.run(r))
				if got != c.expected {
					t.Errorf("got %q, want %q", got, c.expected)
				}
				reached[strings.Fields(got)[0]] = true
			})
		}
	}
	if cases == 0 {
		t.Fatal("testdata/refusals holds no cases: an empty corpus proves nothing")
	}
	for _, kind := range []string{"accepted", "specification", "out-of-range", "malformed", "off-polynomial", "key", "noise", "inconsistent",
		"too-few-shares", "too-few-contributors", "too-many-contributors", "wrong-length"} {
		if !reached[kind] {
			t.Errorf("no case ends in %q; those that are there end in %v", kind, slices.Sorted(maps.Keys(reached)))
		}
	}
}

// A loader that is content with nothing hides that its corpus was lost.
func TestAnEmptyCorpusIsRefused(t *testing.T) {
	head := "suite rlwe2048\ninvited 5\n"
	for name, text := range map[string]string{
		"nothing":                  "",
		"inputs alone":             head,
		"a case without an end":    head + "\ncase a\nflip sum 0 01\n",
		"a case that does nothing": head + "\ncase a\nexpect noise\n",
		"a case twice":             head + "\ncase a\nexpect accepted\n\ncase a\nexpect accepted\n",
		"steps after the end":      head + "\ncase a\nexpect accepted\nflip sum 0 01\n",
		"an unknown input":         "weight 5\n\ncase a\nexpect accepted\n",
	} {
		if _, cases, err := parseRefusals(text); err == nil {
			t.Errorf("%s: %d cases were read", name, len(cases))
		}
	}
	d := &damaged{}
	for _, step := range []string{"forget 1", "exchange sums 1 2", "flip plan 0 01", "spec weight 1", "members x"} {
		if d.do(strings.Fields(step)) == nil {
			t.Errorf("%q is carried out", step)
		}
	}
}
