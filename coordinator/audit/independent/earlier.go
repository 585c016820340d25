package independent

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
)

// checkEarlier reads what the study's result was compared with: results of other
// studies that ended before it, which a bundle may hold, all or none. Each must be
// what the log names. What they leave the result to show is a computation, which
// this verifier does not make. A study that watches a release reports window after
// window, and each report was compared with what was there.
func (v *verifier) checkEarlier() error {
	if _, err := fs.Stat(v.bundle, "earlier"); err != nil {
		return nil
	}
	latest := map[string]int{} // by study, what it showed last
	watches := map[string]bool{}
	for i, e := range v.entries {
		report := e.Type == "monitor-report"
		end := e.Type == "result" || e.Type == "study-end"
		switch {
		case e.Study == v.study && (end || report || e.Type == "audit" || e.Type == "release"):
			for k, of := range v.entries[:i] {
				if at, known := latest[of.Study]; known && at == k {
					if err := v.readEarlier(k); err != nil {
						return err
					}
				}
			}
			if !report {
				return nil
			}
		case e.Study == v.study || !end && !report || end && watches[e.Study]:
		default:
			latest[e.Study], watches[e.Study] = i, watches[e.Study] || report
		}
	}
	return nil
}

// readEarlier holds the files of an entry with which another study ended or
// reported.
func (v *verifier) readEarlier(i int) error {
	e := v.entries[i]
	result := e.Subject
	if e.Type == "study-end" {
		envelope, err := v.earlier(i, ".end.json", e.Subject)
		if err != nil {
			return err
		}
		if result = resultOfEnd(envelope); result == "" {
			return nil
		}
	}
	if _, err := v.earlier(i, ".json", result); err != nil {
		return err
	}
	_, err := v.earlier(i, ".yaml", e.Study)
	return err
}

// earlier reads a file that belongs to an entry and must have the hash.
func (v *verifier) earlier(index int, extension, hash string) ([]byte, error) {
	path := fmt.Sprintf("earlier/%06d%s", index, extension)
	data, err := v.read(path)
	if err == nil && sum(data) != hash {
		err = fmt.Errorf("%s: not what entry %d names", path, index)
	}
	return data, err
}

// resultOfEnd is the result that a study's end names, empty for none. The log
// commits to the envelope's bytes; its signature belongs to another bundle.
func resultOfEnd(envelope []byte) string {
	var e struct {
		Payload string `json:"payload"`
	}
	var end struct {
		Result string `json:"result"`
	}
	if json.Unmarshal(envelope, &e) != nil {
		return ""
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || json.Unmarshal(payload, &end) != nil {
		return ""
	}
	return end.Result
}
