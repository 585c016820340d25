package compare

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// Read takes a result.json, that of "consilium study result" or that of
// "simulate run", which name the study and the audit differently.
func Read(name string, data []byte) (Subject, error) {
	s := Subject{Name: name}
	var head struct {
		Study    json.RawMessage `json:"study"`
		Fairness *struct {
			Gaps []fairness.Gap `json:"gaps"`
		} `json:"fairness"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return s, fmt.Errorf("%s is no result.json: %w", name, err)
	}
	var simulated struct {
		Digest, Name, Title string
		Version             int
	}
	if json.Unmarshal(head.Study, &simulated) != nil {
		s.Result = new(pipeline.Result)
		if err := json.Unmarshal(data, s.Result); err != nil {
			return s, fmt.Errorf("%s cannot be read: %w", name, err)
		}
		if s.Result.Audit != nil {
			s.Gaps, s.Title, s.Version = s.Result.Audit.Gaps, s.Result.Audit.Title, s.Result.Audit.Version
		}
		return s, s.check()
	}
	var parts struct {
		pipeline.Result
		Study struct{} `json:"study"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return s, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	s.Result = &parts.Result
	s.Result.Study, s.Result.Name, s.Title, s.Version = simulated.Digest, simulated.Name, simulated.Title, simulated.Version
	if head.Fairness != nil {
		s.Gaps = head.Fairness.Gaps
	}
	return s, s.check()
}

// check refuses a file that is some other JSON.
func (s Subject) check() error {
	if s.Result.Study == "" {
		return errors.New(s.Name + " is no result.json: it names no study")
	}
	return nil
}
