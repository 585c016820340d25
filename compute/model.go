package compute

// Predictor applies a fitted model. It is immutable and safe for concurrent
// use.
type Predictor interface {
	// Predict takes a row of the design matrix in the order of the study's
	// terms, in their units, and the record's offset. The prediction is in the
	// outcome's unit for a number and a count, a probability for a binary
	// outcome, and the log relative hazard for a survival outcome. It is NaN for
	// a record that the model cannot know, such as one with a level that no
	// patient of the fit had.
	Predict(row []float64, offset float64) float64
}

// Survivor is a Predictor of a survival outcome that has a baseline.
type Survivor interface {
	Predictor
	// Survival is the probability to be free of the event beyond the time, given
	// what Predict returned.
	Survival(logHazard, time float64) float64
}

// StepSummary tells a person what a step of a study sends.
type StepSummary struct {
	Step    string  `json:"step"`
	Purpose string  `json:"purpose"`
	Fields  []Field `json:"fields"` // at most: an audit leaves out small groups
	Numbers int     `json:"numbers"`
	Rounds  int     `json:"rounds"` // at most
	// Usual is the most rounds as long as no hospital comes or goes, where that
	// is fewer; else 0.
	Usual int `json:"usual,omitempty"`
	// Parts are what the rounds carry, where not all carry the same: their rounds
	// add up to the step's.
	Parts []StepSummary `json:"parts,omitempty"`
	// Expected are the usual rounds as they are likely to be, where most carry
	// less than Fields.
	Expected []Expected `json:"expected,omitempty"`
}

// Expected is a number of rounds of a step with the same layout.
type Expected struct {
	Rounds int     `json:"rounds"`
	Fields []Field `json:"fields"`
}

// Forecast is what a step without parts sends as long as no hospital comes or
// goes.
func (s StepSummary) Forecast() []Expected {
	switch {
	case len(s.Expected) > 0:
		return s.Expected
	case s.Usual > 0:
		return []Expected{{s.Usual, s.Fields}}
	}
	return []Expected{{s.Rounds, s.Fields}}
}
