package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// sameBytes compares JSON that the sums give with JSON that was stated, byte
// for byte, and says where the two differ first. Replaying needs the version of
// the computations that the coordinator ran; an auditor with another one is told
// so rather than left with an accusation.
func sameBytes(what string, derived, stated []byte) error {
	if bytes.Equal(derived, stated) {
		return nil
	}
	const why = "it was changed, or made by another version of this software"
	var want, got any
	if json.Unmarshal(derived, &want) != nil || json.Unmarshal(stated, &got) != nil {
		return fmt.Errorf("%s is not what the opened sums give: %s", what, why)
	}
	path, differ := firstDifference(want, got)
	path = strings.ReplaceAll(path, ".[", "[")
	if !differ {
		return fmt.Errorf("%s is not what the opened sums give, byte for byte, though it says the same: %s", what, why)
	}
	if path == "" {
		path = "its beginning"
	}
	return fmt.Errorf("%s is not what the opened sums give, first at %s: %s", what, path, why)
}

// firstDifference walks two JSON values and returns the path of the first
// place, in order of keys, where they are not the same.
func firstDifference(want, got any) (path string, differ bool) {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return "", true
		}
		keys := make(map[string]bool)
		for key := range want {
			keys[key] = true
		}
		for key := range got {
			keys[key] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			a, wanted := want[key]
			b, stated := got[key]
			if wanted != stated {
				return key, true
			}
			if inner, differ := firstDifference(a, b); differ {
				return strings.TrimSuffix(key+"."+inner, "."), true
			}
		}
		return "", false
	case []any:
		got, ok := got.([]any)
		if !ok {
			return "", true
		}
		for i := range max(len(want), len(got)) {
			at := "[" + strconv.Itoa(i) + "]"
			if i >= len(want) || i >= len(got) {
				return at, true
			}
			if inner, differ := firstDifference(want[i], got[i]); differ {
				return strings.TrimSuffix(at+"."+inner, "."), true
			}
		}
		return "", false
	}
	return "", !reflect.DeepEqual(want, got)
}
