package compute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// DecodeParameters reads the public parameters of a question. It accepts one
// spelling only: a question is answered once, and a second spelling of the same
// parameters would make the same question look like another. So what v does not
// know is refused too: it is not there when v is written again.
func DecodeParameters(parameters []byte, v any) error {
	if err := json.Unmarshal(parameters, v); err != nil {
		return fmt.Errorf("the parameters of the step cannot be read: %w", err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, parameters) {
		return errors.New("the parameters of the step are not in their one spelling")
	}
	return nil
}

// EncodeParameters writes what DecodeParameters reads. Every float64 survives
// exactly.
func EncodeParameters(v any) ([]byte, error) { return json.Marshal(v) }

// CheckCoefficients makes sure that coefficients are as many as the terms, are
// numbers, and cannot carry a linear predictor beyond limit where the columns
// stay within the given magnitudes.
func CheckCoefficients(coefficients, magnitudes []float64, limit float64) error {
	if len(coefficients) != len(magnitudes) {
		return fmt.Errorf("the step has %d coefficients, the study %d terms", len(coefficients), len(magnitudes))
	}
	reach := 0.0
	for j, b := range coefficients {
		if math.IsNaN(b) || math.IsInf(b, 0) {
			return fmt.Errorf("coefficient %d is not a number", j)
		}
		if b == 0 && math.Signbit(b) {
			return fmt.Errorf("coefficient %d is minus zero, a second spelling of zero", j)
		}
		reach += math.Abs(b) * magnitudes[j]
	}
	if !(reach <= limit) {
		return errors.New("the coefficients are so large that the sums could overflow")
	}
	return nil
}
