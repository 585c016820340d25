package federation

import (
	"encoding/csv"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// Predict applies the model to records and writes row,prediction,lower,upper in
// outcome units or as probabilities. Rows count from 1; one that the model
// cannot use has empty cells.
func (r *Result) Predict(source records.Source, w io.Writer) error {
	if r.Model == nil {
		return errors.New("the study has no model to predict with")
	}
	model, err := r.Model.Predictor(r.protocol)
	if err != nil {
		return err
	}
	rows, err := source.Open()
	if err != nil {
		return err
	}
	defer rows.Close() // read only: nothing is lost if closing fails
	reader, err := model.Reader(rows.Columns())
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write([]string{"row", "prediction", "lower", "upper"}); err != nil {
		return err
	}
	for number := 1; ; number++ {
		record, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		line := []string{strconv.Itoa(number), "", "", ""}
		p, err := predict(reader, model, record)
		switch {
		case err == nil:
			line[1], line[2], line[3] = decimal(p.Value), decimal(p.Lower), decimal(p.Upper)
		case !unusable(err):
			return err
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func predict(reader *study.Predictor, model *pipeline.Predictor, record []string) (glm.Prediction, error) {
	row, err := reader.Row(record)
	if err != nil {
		return glm.Prediction{}, err
	}
	offset, err := reader.Offset(record)
	if err != nil {
		return glm.Prediction{}, err
	}
	p, _, err := model.PredictFor(row, offset, reader.Group(record))
	return p, err
}

// unusable reports whether an error is about one record only.
func unusable(err error) bool {
	_, record := errors.AsType[*study.Unusable](err)
	_, level := errors.AsType[*glm.UnseenLevel](err)
	return record || level
}

// decimal is the shortest text that reads back as the same number; empty for
// what is not known.
func decimal(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
