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
// this verifier does not make.
func (v *verifier) checkEarlier() error {
	if _, err := fs.Stat(v.bundle, "earlier"); err != nil {
		return nil
	}
	for i, e := range v.entries {
		end := e.Type == "result" || e.Type == "study-end"
		if e.Study == v.study && (end || e.Type == "audit" || e.Type == "release") {
			return nil
		}
		if e.Study == v.study || !end {
			continue
		}
		result := e.Subject
		if e.Type == "study-end" {
			envelope, err := v.earlier(i, ".end.json", e.Subject)
			if err != nil {
				return err
			}
			if result = resultOfEnd(envelope); result == "" {
				continue
			}
		}
		if _, err := v.earlier(i, ".json", result); err != nil {
			return err
		}
		if _, err := v.earlier(i, ".yaml", e.Study); err != nil {
			return err
		}
	}
	return nil
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
