package secagg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors anew from what the package computes now")

// A known-answer vector is a text file of lines `key value...`. The inputs fix
// a round; the sites' secrets come from AES-256 seeds instead of crypto/rand:
// the seed of site i is SHA-256 of "seed" and i in decimal. The answers pin
// every byte that crosses the wire:
//
//	chunk SITE CHUNK SHA-256 first-32-bytes
//	share SITE MEMBER SHA-256 first-32-bytes
//	opening MEMBER SHA-256
//	sum SHA-256
//	integer INDEX value
type vector struct {
	spec         RoundSpec
	contributors []int
	members      []int
	values       [][]float64
}

func parseVector(text string) (v vector, inputs []string, answers []string, err error) {
	integers := func(words []string) (out []int, err error) {
		for _, w := range words {
			n, err := strconv.Atoi(w)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
		return out, nil
	}
	for number, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			inputs = append(inputs, line)
			continue
		}
		args := fields[1:]
		switch fields[0] {
		case "round":
			var id []byte
			if id, err = hex.DecodeString(args[0]); err == nil {
				v.spec.ID = [32]byte(id)
			}
		case "suite":
			v.spec.Suite = args[0]
		case "invited", "committee", "threshold":
			var n []int
			if n, err = integers(args[:1]); err == nil {
				*map[string]*int{"invited": &v.spec.Invited, "committee": &v.spec.Committee, "threshold": &v.spec.Threshold}[fields[0]] = n[0]
			}
		case "field":
			var n []int
			if n, err = integers(args[1:3]); err == nil {
				var bound float64
				bound, err = strconv.ParseFloat(args[3], 64)
				v.spec.Layout = append(v.spec.Layout, Field{Name: args[0], Length: n[0], FracBits: n[1], Bound: bound})
			}
		case "contributors":
			v.contributors, err = integers(args)
		case "members":
			v.members, err = integers(args)
		case "values":
			var site []float64
			for _, a := range args {
				x, e := strconv.ParseFloat(a, 64)
				if e != nil {
					err = e
				}
				site = append(site, x)
			}
			v.values = append(v.values, site)
		case "chunk", "share", "opening", "sum", "integer":
			answers = append(answers, line)
			continue
		default:
			err = fmt.Errorf("unknown key %q", fields[0])
		}
		if err != nil {
			return v, nil, nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		inputs = append(inputs, line)
	}
	return v, inputs, answers, nil
}

func (v vector) answers(t *testing.T) []string {
	t.Helper()
	// Not NewRound: vectors pin every suite, also where a layout calls for another.
	r := suiteRound(t, v.spec.Suite, v.spec.Layout, v.spec.Invited, v.spec.Committee)
	r.spec = v.spec
	f := &federation{Round: r, values: v.values}
	var out []string
	digest := func(b []byte) string { d := sha256.Sum256(b); return hex.EncodeToString(d[:]) }
	for i, values := range v.values {
		seed := sha256.Sum256([]byte("seed" + strconv.Itoa(i)))
		c, err := r.seal(values, bytes.NewReader(seed[:]))
		if err != nil {
			t.Fatal(err)
		}
		f.contributions = append(f.contributions, c)
		for k, chunk := range c.Chunks {
			out = append(out, fmt.Sprintf("chunk %d %d %s %x", i, k, digest(chunk), chunk[:32]))
		}
		for j, share := range c.Shares {
			out = append(out, fmt.Sprintf("share %d %d %s %x", i, j, digest(share), share[:32]))
		}
	}
	openings := f.openings(t, v.contributors, v.members)
	for _, j := range v.members {
		out = append(out, fmt.Sprintf("opening %d %s", j, digest(openings[j])))
	}
	sum, err := r.Open(len(v.contributors), f.reader(v.contributors), openings)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, "sum "+digest(sum.Bytes()))
	for i := range v.spec.Layout.Length() {
		out = append(out, fmt.Sprintf("integer %d %v", i, sum.Integer(i)))
	}
	return out
}

func TestKnownAnswers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "vectors", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			v, inputs, want, err := parseVector(string(text))
			if err != nil {
				t.Fatal(err)
			}
			got := v.answers(t)
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(append(inputs, got...), "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				want = got
			}
			if len(want) == 0 {
				t.Fatal("the vector has no answers; a test that compares nothing proves nothing")
			}
			if len(got) != len(want) {
				t.Fatalf("%d answers, want %d", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("got  %s\nwant %s", got[i], want[i])
				}
			}
			// The integers, once more from the values alone.
			for i, n := range exactSum(v.spec.Layout, v.values, v.contributors) {
				if line := fmt.Sprintf("integer %d %v", i, n); want[len(want)-v.spec.Layout.Length()+i] != line {
					t.Errorf("the vector says %q, the values say %q", want[len(want)-v.spec.Layout.Length()+i], line)
				}
			}
			covered[v.spec.Suite] = true
		})
	}
	for _, s := range suites {
		if !covered[s.name] {
			t.Errorf("no vector for suite %s in testdata/vectors", s.name)
		}
	}
}

// The standard bench mark of rounding: halves go to even, on both sides of zero.
func TestRoundsTiesToEven(t *testing.T) {
	l := Layout{{"v", 8, 1, 8}}
	r := newRound(t, l, 2, 2)
	values := []float64{0.25, 0.75, 1.25, -0.25, -0.75, -1.25, math.Nextafter(0.25, 1), 0.125}
	f := seal(t, r, [][]float64{values, make([]float64, 8)})
	sum, err := f.open(t, all(2), all(2))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{0, 2, 2, 0, -2, -2, 1, 0} {
		if got := sum.Integer(i).Int64(); got != want {
			t.Errorf("%g at one fractional bit: %d, want %d", values[i], got, want)
		}
	}
}
