package secagg

import (
	"errors"
	"strings"
	"testing"
)

func TestErrorsSayWhoAndWhat(t *testing.T) {
	for text, err := range map[string]error{
		"value 7 of field \"dose\"": &RangeError{Field: "dose", Index: 7},
		"key share 3: malformed":    &ShareError{Index: 3, Err: ErrMalformed},
		"opening share of committee member 2: the secure sum failed its integrity checks": &MemberError{Member: 2, Err: errOffPolynomial},
		"chunk 5 of contributor 4: malformed":                                             &ChunkError{Contributor: 4, Chunk: 5, Err: ErrMalformed},
		"suite: there is none":                                                            &SpecError{"suite", "there is none"},
	} {
		if !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%q does not begin with %q", err, text)
		}
	}
}

func TestIntegrityFamily(t *testing.T) {
	for _, err := range []error{ErrKeyOverflow, ErrNoiseOverflow, ErrSlotOverflow, ErrInconsistentShares, &MemberError{Err: errOffPolynomial}} {
		if !errors.Is(err, ErrIntegrity) {
			t.Errorf("%v is not of the family", err)
		}
	}
	// What can be put right, by waiting or by asking again, is not.
	for _, err := range []error{ErrTooFewShares, ErrTooFewContributors, ErrMalformed, &MemberError{Err: ErrMalformed}} {
		if errors.Is(err, ErrIntegrity) {
			t.Errorf("%v is of the family", err)
		}
	}
}
