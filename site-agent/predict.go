package siteagent

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// Predictions says what Predict did.
type Predictions struct {
	Release   statement.Digest `json:"release"`
	Study     string           `json:"study"`
	Predicted int              `json:"predicted"`
	Without   int              `json:"without"` // rows that got a reason instead
}

// Predict writes a prediction for every patient of the source, with the release
// in use for the study; study may be empty where only one has a release in use.
// The release is verified first. Nothing is sent anywhere.
//
// The output is CSV: row (from 1), prediction, lower and upper in the outcome's
// unit or as a probability, one column contribution:FEATURE for each feature
// (what the feature's value does to the prediction, against the mean patient of
// the study, with its sign), and the reason where there is no prediction. A release
// that asks for the patient's group, because groups were recalibrated or have
// thresholds of their own, adds the column group: the one whose part of the model
// was used, or general; and one with thresholds adds positive.
func Predict(dir, studyName string, source records.Source, output io.Writer) (*Predictions, error) {
	digest, err := installedRelease(dir, studyName)
	if err != nil {
		return nil, err
	}
	release, model, err := openRelease(dir, digest)
	if err != nil {
		return nil, err
	}
	predictor, err := model.Predictor(release.Study)
	if err != nil {
		return nil, err
	}
	rows, err := source.Open()
	if err != nil {
		return nil, err
	}
	defer rows.Close() // read only: nothing is lost if closing fails
	reader, err := predictor.Reader(rows.Columns())
	if err != nil {
		return nil, err
	}
	done := &Predictions{Release: digest, Study: release.Study.Name}
	out := csv.NewWriter(output)
	features := release.Study.Features
	header := []string{"row", "prediction", "lower", "upper"}
	for _, f := range features {
		header = append(header, "contribution:"+f.Column)
	}
	header = append(header, "reason")
	if predictor.NeedsGroup() {
		header = append(header, "group")
	}
	if predictor.HasThresholds() {
		header = append(header, "positive")
	}
	if err := out.Write(header); err != nil {
		return nil, err
	}
	for number := 1; ; number++ {
		record, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line := make([]string, len(header))
		line[0] = strconv.Itoa(number)
		if reason := predict(predictor, reader, record, line[1:]); reason != "" {
			line[4+len(features)] = reason
			done.Without++
		} else {
			done.Predicted++
		}
		if err := out.Write(line); err != nil {
			return nil, err
		}
	}
	out.Flush()
	return done, out.Error()
}

// predict fills in one line, or says why it cannot.
func predict(predictor *pipeline.Predictor, reader *study.Predictor, record, line []string) (reason string) {
	row, err := reader.Row(record)
	if unusable, ok := errors.AsType[*study.Unusable](err); ok {
		return unusable.Error()
	}
	if err != nil {
		return "unusable"
	}
	offset, err := reader.Offset(record)
	if unusable, ok := errors.AsType[*study.Unusable](err); ok {
		return unusable.Error()
	}
	p, group, err := predictor.PredictFor(row, offset, reader.Group(record))
	if unseen, ok := errors.AsType[*glm.UnseenLevel](err); ok {
		return "level not seen in training: " + unseen.Term
	}
	if err != nil {
		return "unusable"
	}
	number := func(x float64) string {
		if math.IsNaN(x) {
			return "" // nothing is known of the interval
		}
		return strconv.FormatFloat(x, 'g', 10, 64)
	}
	line[0], line[1], line[2] = number(p.Value), number(p.Lower), number(p.Upper)
	for i, c := range p.Contributions {
		line[3+i] = number(c.Change)
	}
	if predictor.NeedsGroup() {
		line[4+len(p.Contributions)] = group.Name
	}
	if group.Positive != nil {
		line[5+len(p.Contributions)] = strconv.FormatBool(*group.Positive)
	}
	return ""
}

// installedRelease finds the release in use for a study.
func installedRelease(dir, study string) (statement.Digest, error) {
	reviews, err := Releases(dir)
	if err != nil {
		return statement.Digest{}, err
	}
	inUse := make(map[string]statement.Digest)
	var names []string
	for _, r := range reviews {
		if r.Installed {
			inUse[r.Name] = r.Release
			names = append(names, r.Name)
		}
	}
	switch {
	case study != "":
		if digest, ok := inUse[study]; ok {
			return digest, nil
		}
		return statement.Digest{}, fmt.Errorf("no release of study %q is in use here: accept one with `site-agent releases accept`", study)
	case len(names) == 0:
		return statement.Digest{}, errors.New("no release is in use here: accept one with `site-agent releases accept`")
	case len(names) > 1:
		return statement.Digest{}, fmt.Errorf("releases of several studies are in use: choose one with --study (%s)", strings.Join(names, ", "))
	}
	return inUse[names[0]], nil
}

// PredictFile is Predict from a CSV file to another, which appears only when it
// is complete.
func PredictFile(dir, study, input, output string) (*Predictions, error) {
	var done *Predictions
	err := durable.Write(output, 0o600, func(w io.Writer) (err error) {
		done, err = Predict(dir, study, records.CSV(input), w)
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}
