package secagg

import (
	"errors"
	"fmt"
)

// ErrIntegrity is the family of violations that end a round for good: what
// was received cannot be an honest sum. None of them is ever retried with the
// same contributions, since key shares have been given.
var ErrIntegrity = errors.New("the secure sum failed its integrity checks")

var (
	// ErrKeyOverflow: a coefficient of the opened key sum is larger than that
	// many keys can make it. Some contributor shared something that is not a
	// key, or some opening share is wrong and there was none to spare to tell.
	ErrKeyOverflow = fmt.Errorf("%w: the opened key sum is larger than its contributors' keys can make it", ErrIntegrity)

	// ErrNoiseOverflow: a coefficient's noise is larger than that many error
	// terms can make it. Some chunk does not belong to the opened key sum.
	ErrNoiseOverflow = fmt.Errorf("%w: the noise of a coefficient is out of bounds", ErrIntegrity)

	// ErrSlotOverflow: an opened slot is larger than that many in-range values
	// can make it, or bits are set where the layout has none.
	ErrSlotOverflow = fmt.Errorf("%w: an opened slot is out of the range of its field", ErrIntegrity)

	// ErrInconsistentShares: the opening shares do not lie on one polynomial,
	// and there are too few of them to say which member's is off it.
	ErrInconsistentShares = fmt.Errorf("%w: the opening shares are inconsistent, too few to name the one at fault", ErrIntegrity)
)

// ErrTooFewShares says that fewer opening shares than the threshold are there.
var ErrTooFewShares = errors.New("fewer opening shares than the threshold")

// ErrTooFewContributors refuses a sum over fewer than two contributions, which
// would be one site's vector.
var ErrTooFewContributors = errors.New("a sum over fewer than two contributions hides nothing")

// ErrMalformed is matched by every refusal of bytes that are not what the
// round expects: wrong length, element out of range, foreign header.
var ErrMalformed = errors.New("malformed")

// RangeError refuses a value that is not a number or lies outside its field's
// declared bound. It does not contain the value.
type RangeError struct {
	Field string
	Index int // within the field
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("value %d of field %q is not a finite number within the field's bound; check the unit of the records behind it", e.Index, e.Field)
}

// ShareError refuses one of the key shares given to AddShares.
type ShareError struct {
	Index int // into the shares
	Err   error
}

func (e *ShareError) Error() string { return fmt.Sprintf("key share %d: %v", e.Index, e.Err) }
func (e *ShareError) Unwrap() error { return e.Err }

// MemberError names the committee member whose opening share is malformed or
// lies off the polynomial that all the others lie on. Off the polynomial is
// where the fault shows, not proof of whose it is: the member may have lied, or
// a contributor may have dealt that member a wrong key share.
type MemberError struct {
	Member int // committee index, from 0
	Err    error
}

func (e *MemberError) Error() string {
	return fmt.Sprintf("opening share of committee member %d: %v", e.Member, e.Err)
}
func (e *MemberError) Unwrap() error { return e.Err }

// errOffPolynomial is what a MemberError holds for a share that is well formed
// and wrong.
var errOffPolynomial = fmt.Errorf("%w: it does not lie on the polynomial that all the others lie on", ErrIntegrity)

// ChunkError names the contribution and chunk that could not be added.
type ChunkError struct {
	Contributor int // as given to Open's read
	Chunk       int
	Err         error
}

func (e *ChunkError) Error() string {
	return fmt.Sprintf("chunk %d of contributor %d: %v", e.Chunk, e.Contributor, e.Err)
}
func (e *ChunkError) Unwrap() error { return e.Err }

// SpecError says what in a round's specification or layout cannot be.
type SpecError struct {
	What string // the parameter or field at fault
	Why  string
}

func (e *SpecError) Error() string { return fmt.Sprintf("%s: %s", e.What, e.Why) }
