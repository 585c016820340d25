package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// EarlierEnd is an entry with which another study ended.
type EarlierEnd struct {
	Index int // in the ledger
	Study statement.Digest
	Entry ledger.Entry
}

// EarlierEnds are the ends of other studies before that of a study; none while it
// runs. Their results are what its own was compared with.
func EarlierEnds(of statement.Digest, leaves [][]byte) ([]EarlierEnd, error) {
	var out []EarlierEnd
	for i, leaf := range leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, err
		}
		end := e.Type == ledger.TypeResult || e.Type == ledger.TypeStudyEnd
		if e.Study == of.String() && (end || e.Type == ledger.TypeAudit || e.Type == ledger.TypeRelease) {
			return out, nil
		}
		if e.Study == of.String() || !end {
			continue
		}
		id, err := statement.ParseDigest(e.Study)
		if err != nil {
			return nil, fmt.Errorf("entry %d (%s): %w", i, e.Type, err)
		}
		out = append(out, EarlierEnd{i, id, e})
	}
	return nil, nil
}

// Files of an earlier end: the result's bytes, the study's protocol file, and
// where the study came to no model, the signed statement that names the result.
func EarlierResultFile(index int) string { return fmt.Sprintf("earlier/%06d.json", index) }
func EarlierStudyFile(index int) string  { return fmt.Sprintf("earlier/%06d.yaml", index) }
func EarlierEndFile(index int) string    { return fmt.Sprintf("earlier/%06d.end.json", index) }

// listEarlier allows the files of earlier ends, which a bundle may have.
func (v *verifier) listEarlier(files *listing) (err error) {
	if v.earlier, err = EarlierEnds(v.digest, v.leaves); err != nil {
		return err
	}
	for _, end := range v.earlier {
		files.allowed[EarlierResultFile(end.Index)] = true
		files.allowed[EarlierStudyFile(end.Index)] = true
		if end.Entry.Type == ledger.TypeStudyEnd {
			files.allowed[EarlierEndFile(end.Index)] = true
		}
	}
	return nil
}

// checkEarlier decides anew what earlier results of the consortium leave this one
// to show, and goes on with that. Without them in the bundle it takes from the
// stated result what is withheld, and says that it does.
func (v *verifier) checkEarlier() (string, error) {
	if v.outcome.result == nil {
		return "", notChecked("there is no result to compare")
	}
	stated, at, err := v.statedDecision()
	if err != nil {
		return "", err
	}
	switch {
	case at == nil && len(v.audits)+len(v.releases) == 0:
		return "", notChecked("the study has no result yet")
	case stated != nil && len(v.earlier) == 0:
		return "", fmt.Errorf("%s was compared with earlier results, and the log has none", at)
	case len(v.earlier) == 0:
		return "it is the first result of this consortium", nil
	case at == nil:
		return "", errors.New("the log has earlier results, and this study's is not in it: what it withholds for their sake cannot be told")
	}
	reports, complete, err := v.earlierReports()
	if err != nil {
		return "", err
	}
	if !complete {
		if err := v.namesResults(stated, at); err != nil {
			return "", err
		}
		if v.outcome.result, err = v.outcome.result.Withhold(v.study, stated); err != nil {
			return "", err
		}
		return "", notChecked("the earlier results are not in the bundle, which auditors get: what is withheld for their sake is taken as stated")
	}
	if v.outcome.result, err = v.outcome.result.After(v.study, reports); err != nil {
		return "", err
	}
	decided := v.outcome.result.Earlier
	want, err := json.Marshal(decided)
	if err != nil {
		return "", err
	}
	got, err := json.Marshal(stated)
	if err != nil {
		return "", err
	}
	if err := sameBytes("what "+at.String()+" withholds for the sake of earlier results", want, got); err != nil {
		return "", err
	}
	if decided == nil {
		return "no earlier study of this consortium has a result", nil
	}
	return fmt.Sprintf("compared with %d earlier results: %d groups withheld", len(decided.Compared), len(decided.Withheld)), nil
}

// statedDecision is what the study's result says, and the entry that names it;
// no entry while the study has no result.
func (v *verifier) statedDecision() (*differencing.Decision, *record, error) {
	var at *record
	var result []byte
	switch {
	case len(v.results) > 0:
		at, result = v.results[0], v.results[0].envelope
	case v.studyEnd != nil && v.studyEnd.fact.(*statement.StudyEnd).Result != nil:
		at = v.studyEnd
		var err error
		if result, err = v.blob(*at.fact.(*statement.StudyEnd).Result); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, nil
	}
	var stated struct {
		Earlier *differencing.Decision `json:"earlier"`
	}
	if err := json.Unmarshal(result, &stated); err != nil {
		return nil, nil, fmt.Errorf("the result of %s cannot be read", at)
	}
	return stated.Earlier, at, nil
}

// earlierReports reads what the earlier ends show, each held against the log. Not
// complete means that the bundle has none of their files.
func (v *verifier) earlierReports() (reports []differencing.Report, complete bool, err error) {
	if _, err := fs.Stat(v.bundle, "earlier"); errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	for _, end := range v.earlier {
		subject := end.Entry.Subject
		if end.Entry.Type == ledger.TypeStudyEnd {
			envelope, err := v.named(EarlierEndFile(end.Index), subject)
			if err != nil {
				return nil, false, err
			}
			kind, payload, err := statement.Payload(envelope)
			var stated statement.StudyEnd
			if err != nil || kind != statement.KindStudyEnd || statement.Decode(payload, &stated) != nil {
				return nil, false, fmt.Errorf("%s cannot be read", EarlierEndFile(end.Index))
			}
			if stated.Result == nil {
				continue
			}
			subject = *stated.Result
		}
		result, err := v.named(EarlierResultFile(end.Index), subject)
		if err != nil {
			return nil, false, err
		}
		protocol, err := v.named(EarlierStudyFile(end.Index), end.Study)
		if err != nil {
			return nil, false, err
		}
		parsed, err := study.Parse(protocol)
		if err != nil {
			return nil, false, fmt.Errorf("%s cannot be read: %w", EarlierStudyFile(end.Index), err)
		}
		report, err := pipeline.ReadReport(parsed, subject.String(), result)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", EarlierResultFile(end.Index), err)
		}
		reports = append(reports, report)
	}
	return reports, true, nil
}

// named reads a file that must have a digest.
func (v *verifier) named(path string, digest statement.Digest) ([]byte, error) {
	data, err := fs.ReadFile(v.bundle, path)
	if err != nil {
		return nil, fmt.Errorf("%s is missing: the log names what it holds", path)
	}
	if statement.DigestOf(data) != digest {
		return nil, fmt.Errorf("%s is not what the log names", path)
	}
	return data, nil
}

// namesResults holds that a decision leaves out no earlier result that the log
// names itself. Those of studies that came to no model are named by statements
// that are not in the bundle.
func (v *verifier) namesResults(stated *differencing.Decision, at *record) error {
	for _, end := range v.earlier {
		if end.Entry.Type != ledger.TypeResult {
			continue
		}
		if stated == nil || !slices.ContainsFunc(stated.Compared, func(c differencing.Compared) bool {
			return c.Study == end.Entry.Study && c.Result == end.Entry.Subject.String()
		}) {
			return fmt.Errorf("%s was not compared with the earlier result that entry %d of the log names", at, end.Index)
		}
	}
	return nil
}
