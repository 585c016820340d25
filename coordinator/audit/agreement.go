package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Numbers agree that differ by at most closeDigits of their size, which is what
// Consilium means by equal, or by dust of the largest number beside them in the
// same list or object, since what is left of a difference of large numbers has no
// digits of its own.
const (
	closeDigits = 1e-8
	dust        = 1e-13
)

// Rounding says in how many numbers, and by how much of their size at most, what
// was stated differs from what this machine computes. Kinds of machine round
// differently: some fuse a product and a sum, and an exponential may have another
// last digit.
type Rounding struct {
	Numbers int     `json:"numbers"`
	Largest float64 `json:"largest"`
}

func (r Rounding) String() string {
	if r.Numbers == 0 {
		return "byte for byte"
	}
	return fmt.Sprintf("up to rounding: %d numbers differ, by %.0e of their size at most", r.Numbers, r.Largest)
}

func (r *Rounding) add(other Rounding) {
	r.Numbers += other.Numbers
	r.Largest = max(r.Largest, other.Largest)
}

// agree compares JSON that the sums give with JSON that was stated. Where it is not
// the same byte for byte, everything but numbers has to be, and numbers have to be
// close; if not, it says where the two differ first. Replaying needs the version of
// the computations that the coordinator ran; an auditor with another one is told so
// rather than left with an accusation.
func agree(what string, derived, stated []byte) (Rounding, error) {
	if bytes.Equal(derived, stated) {
		return Rounding{}, nil
	}
	const why = "it was changed, or made by another version of this software"
	var want, got any
	if json.Unmarshal(derived, &want) != nil || json.Unmarshal(stated, &got) != nil {
		return Rounding{}, fmt.Errorf("%s is not what the opened sums give: %s", what, why)
	}
	var c comparison
	path, differ := c.firstDifference(want, got, 0)
	path = strings.ReplaceAll(path, ".[", "[")
	switch {
	case !differ && c.Numbers > 0:
		return c.Rounding, nil
	case !differ:
		return Rounding{}, fmt.Errorf("%s is not what the opened sums give, byte for byte, though it says the same: %s", what, why)
	case path == "":
		path = "its beginning"
	}
	return Rounding{}, fmt.Errorf("%s is not what the opened sums give, first at %s: %s", what, path, why)
}

// comparison walks two JSON values and notes in how far their numbers agree.
type comparison struct{ Rounding }

// firstDifference returns the path of the first place, in order of keys, where two
// values do not agree. largest is that of the numbers beside them.
func (c *comparison) firstDifference(want, got any, largest float64) (path string, differ bool) {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return "", true
		}
		largest := largestOf(maps.Values(want))
		keys := maps.Clone(want)
		maps.Copy(keys, got)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			a, wanted := want[key]
			b, stated := got[key]
			if wanted != stated {
				return key, true
			}
			if inner, differ := c.firstDifference(a, b, largest); differ {
				return strings.TrimSuffix(key+"."+inner, "."), true
			}
		}
		return "", false
	case []any:
		got, ok := got.([]any)
		if !ok {
			return "", true
		}
		largest := largestOf(slices.Values(want))
		for i := range max(len(want), len(got)) {
			at := "[" + strconv.Itoa(i) + "]"
			if i >= len(want) || i >= len(got) {
				return at, true
			}
			if inner, differ := c.firstDifference(want[i], got[i], largest); differ {
				return strings.TrimSuffix(at+"."+inner, "."), true
			}
		}
		return "", false
	case float64:
		got, ok := got.(float64)
		return "", !ok || !c.close(want, got, largest)
	case string:
		got, ok := got.(string)
		if !ok || want != got && !c.inside(want, got) {
			return "", true
		}
		return "", false
	}
	return "", !reflect.DeepEqual(want, got)
}

// close says whether two numbers agree.
func (c *comparison) close(want, got, largest float64) bool {
	if want == got {
		return true
	}
	size, apart := max(math.Abs(want), math.Abs(got)), math.Abs(want-got)
	if apart > closeDigits*size+dust*largest {
		return false
	}
	c.add(Rounding{1, apart / max(size, largest)})
	return true
}

// inside compares JSON that lies in base64, as an encoded model does.
func (c *comparison) inside(want, got string) bool {
	var a, b any
	for text, value := range map[string]*any{want: &a, got: &b} {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(decoded, value) != nil {
			return false
		}
	}
	_, differ := c.firstDifference(a, b, 0)
	return !differ
}

// largestOf is the largest magnitude of the numbers among values.
func largestOf(values func(func(any) bool)) (largest float64) {
	for v := range values {
		if x, ok := v.(float64); ok {
			largest = max(largest, math.Abs(x))
		}
	}
	return largest
}
