package study

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strings"
)

// foldDomain begins what is hashed into a fold. It never changes: studies are
// compared because a patient is in the same fold in all of them.
const foldDomain = "consilium study fold 1\x00"

// folder puts records into the folds of a validation by a hash of the patient,
// so that a patient who has several records, or is known at several hospitals,
// is in one fold; that all of a study's versions, and all studies by the same
// column, hold the same patients out; and that nobody chooses. Of hold-outs by
// one column the smaller lies within the larger.
type folder struct {
	validation Validation
	at         []int // the column of the patient, or all that the study reads
	by         bool
	missing    []string
	scratch    []byte
}

// newFolder is nil for a study that needs no folds.
func newFolder(s *Study, h *header) *folder {
	if !s.Validation.byPatient() {
		return nil
	}
	f := &folder{validation: s.Validation, by: s.Validation.By != "", missing: s.Missing}
	columns := []string{s.Validation.By}
	if !f.by {
		columns = s.Columns()
	}
	for _, column := range columns {
		f.at = append(f.at, h.index[column])
	}
	return f
}

// fold is false for a record that does not name its patient.
func (f *folder) fold(record []string) (uint16, bool) {
	f.scratch = append(f.scratch[:0], foldDomain...)
	for _, at := range f.at {
		cell := strings.TrimSpace(record[at])
		if f.by {
			if isMissing(f.missing, cell) {
				return 0, false // nothing of the record is in the scratch yet
			}
		} else {
			// Lengths keep "1", "23" apart from "12", "3".
			f.scratch = binary.BigEndian.AppendUint64(f.scratch, uint64(len(cell)))
		}
		f.scratch = append(f.scratch, cell...)
	}
	digest := sha256.Sum256(f.scratch)
	clear(f.scratch) // a builder keeps no cell
	draw := binary.BigEndian.Uint64(digest[:8])
	if f.validation.Kind == KFold {
		fold, _ := bits.Mul64(draw, uint64(f.validation.Folds))
		return uint16(fold), true
	}
	// The first 53 bits are a float64 in [0, 1) exactly.
	if float64(draw>>11)/(1<<53) < f.validation.Fraction {
		return HeldOut, true
	}
	return HeldOut + 1, true
}
