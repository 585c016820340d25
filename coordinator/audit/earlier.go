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

// EarlierEnd is an entry with which another study ended, or showed what it had seen
// of the release that it watches.
type EarlierEnd struct {
	Index int // in the ledger
	Study statement.Digest
	Entry ledger.Entry
}

// shown are what a study has shown itself, by index in the ledger: the reports of a
// monitor, window after window, then the entry with which it ended.
func shown(of statement.Digest, leaves [][]byte) (at []int, err error) {
	for i, leaf := range leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, err
		}
		if e.Study != of.String() {
			continue
		}
		switch e.Type {
		case ledger.TypeMonitorReport:
			at = append(at, i)
		case ledger.TypeResult, ledger.TypeStudyEnd, ledger.TypeAudit, ledger.TypeRelease:
			return append(at, i), nil
		}
	}
	return at, nil
}

// EarlierEnds are the ends of other studies before that of a study, and before each
// report of its windows if it watches a release; none while it has shown nothing.
// Their results are what its own was compared with.
func EarlierEnds(of statement.Digest, leaves [][]byte) (out []EarlierEnd, err error) {
	at, err := shown(of, leaves)
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	for _, i := range at {
		before, err := EarlierThan(of, leaves[:i])
		if err != nil {
			return nil, err
		}
		for _, end := range before {
			if !seen[end.Index] {
				seen[end.Index] = true
				out = append(out, end)
			}
		}
	}
	slices.SortFunc(out, func(a, b EarlierEnd) int { return a.Index - b.Index })
	return out, nil
}

// EarlierThan are the ends of all other studies in a log. Of a study that watches a
// release it is the last report of its windows: its end shows nothing more.
func EarlierThan(of statement.Digest, leaves [][]byte) (out []EarlierEnd, err error) {
	watches := map[string]bool{}
	for i, leaf := range leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, err
		}
		report := e.Type == ledger.TypeMonitorReport
		end := e.Type == ledger.TypeResult || e.Type == ledger.TypeStudyEnd
		if e.Study == of.String() || !end && !report || end && watches[e.Study] {
			continue
		}
		id, err := statement.ParseDigest(e.Study)
		if err != nil {
			return nil, fmt.Errorf("entry %d (%s): %w", i, e.Type, err)
		}
		if report {
			watches[e.Study] = true
			out = slices.DeleteFunc(out, func(o EarlierEnd) bool { return o.Study == id })
		}
		out = append(out, EarlierEnd{i, id, e})
	}
	return out, nil
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
// to show, and goes on with that: of a monitor for each report of its windows, then
// for the end. Without them in the bundle it takes from the stated result what is
// withheld, and says that it does.
func (v *verifier) checkEarlier() (string, error) {
	_, err := fs.Stat(v.bundle, "earlier")
	complete := !errors.Is(err, fs.ErrNotExist)
	if complete { // also of a study without a result, for which nobody reads them
		if _, err := v.earlierReports(v.earlier); err != nil {
			return "", err
		}
	}
	if v.outcome.result == nil {
		return "", notChecked("there is no result to compare")
	}
	var last *pipeline.Result
	for _, r := range v.reports {
		if last, err = v.checkMonitorReport(r, last, complete); err != nil {
			return "", err
		}
	}
	stated, at, err := v.statedDecision()
	if err != nil {
		return "", err
	}
	switch {
	case at == nil && len(v.audits)+len(v.releases) == 0 && last == nil:
		return "", notChecked("the study has no result yet")
	case at == nil && len(v.audits)+len(v.releases) == 0 || v.endsOnReport():
		v.outcome.result = last
		return v.comparedWith(last.Earlier, complete)
	case stated != nil && len(v.earlier) == 0:
		return "", fmt.Errorf("%s was compared with earlier results, and the log has none", at)
	case len(v.earlier) == 0:
		return "it is the first result of this consortium", nil
	case at == nil:
		return "", errors.New("the log has earlier results, and this study's is not in it: what it withholds for their sake cannot be told")
	}
	if v.outcome.result, err = v.beside(v.outcome.result, last, stated, at, complete); err != nil {
		return "", err
	}
	return v.comparedWith(v.outcome.result.Earlier, complete)
}

func (v *verifier) comparedWith(d *differencing.Decision, complete bool) (string, error) {
	switch {
	case d != nil && !complete:
		return "", notChecked("the earlier results are not in the bundle, which auditors get: what is withheld for their sake is taken as stated")
	case d == nil:
		return "no earlier study of this consortium has a result", nil
	}
	return fmt.Sprintf("compared with %d earlier results: %d groups withheld", len(d.Compared), len(d.Withheld)), nil
}

// beside is a result as the earlier results of the log leave it, and holds that this
// is what was stated at an entry.
func (v *verifier) beside(found, last *pipeline.Result, stated *differencing.Decision, at *record, complete bool) (*pipeline.Result, error) {
	ends, err := EarlierThan(v.digest, v.leaves[:at.index])
	if err != nil {
		return nil, err
	}
	if !complete {
		if err := v.namesResults(ends, stated, at); err != nil {
			return nil, err
		}
		return found.Withhold(v.study, stated)
	}
	reports, err := v.earlierReports(ends)
	if err != nil {
		return nil, err
	}
	if found, err = found.After(v.study, last, reports); err != nil {
		return nil, err
	}
	want, err := json.Marshal(found.Earlier)
	if err != nil {
		return nil, err
	}
	got, err := json.Marshal(stated)
	if err != nil {
		return nil, err
	}
	_, err = agree("what "+at.String()+" withholds for the sake of earlier results", want, got)
	return found, err
}

// checkMonitorReport derives the report of a monitor's windows so far and compares
// it with the one that the ledger names. The report before it is nil
// for none.
func (v *verifier) checkMonitorReport(at *record, last *pipeline.Result, complete bool) (*pipeline.Result, error) {
	var stated struct {
		Monitor *struct {
			Windows []json.RawMessage `json:"windows"`
		} `json:"monitor"`
		Earlier *differencing.Decision `json:"earlier"`
	}
	if err := json.Unmarshal(at.envelope, &stated); err != nil || stated.Monitor == nil {
		return nil, fmt.Errorf("the report of %s cannot be read", at)
	}
	windows := len(stated.Monitor.Windows)
	found := v.windows[windows]
	if found == nil {
		return nil, fmt.Errorf("%s reports %d windows, which the sums so far do not give", at, windows)
	}
	if last != nil && windows <= len(last.Monitor.Windows) {
		return nil, fmt.Errorf("%s reports no window that was not reported before", at)
	}
	found, err := v.beside(found, last, stated.Earlier, at, complete)
	if err != nil {
		return nil, err
	}
	want, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	_, err = agree("the report in "+at.String(), want, at.envelope)
	return found, err
}

// window takes note of a monitor's result when one of its windows is done.
func (v *verifier) window(session *pipeline.Session) {
	done, fresh := session.Window()
	if v.study.Monitor == nil || !fresh || done == 0 || v.windows[done] != nil {
		return
	}
	if v.windows == nil {
		v.windows = map[int]*pipeline.Result{}
	}
	found := *session.Result()
	v.windows[done] = &found
}

// reportedAfter reports whether a monitor's report follows a round's end.
func (v *verifier) reportedAfter(r *round) bool {
	return slices.ContainsFunc(v.reports, func(report *record) bool { return report.index > r.ends[0].index })
}

// endsOnReport reports whether the study ended with the windows it had reported.
func (v *verifier) endsOnReport() bool {
	if v.studyEnd == nil || len(v.reports) == 0 {
		return false
	}
	result := v.studyEnd.fact.(*statement.StudyEnd).Result
	return result != nil && *result == v.reports[len(v.reports)-1].entry.Subject
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

// earlierReports reads what earlier ends show, each held against the log.
func (v *verifier) earlierReports(ends []EarlierEnd) (reports []differencing.Report, err error) {
	for _, end := range ends {
		subject := end.Entry.Subject
		if end.Entry.Type == ledger.TypeStudyEnd {
			envelope, err := v.named(EarlierEndFile(end.Index), subject)
			if err != nil {
				return nil, err
			}
			kind, payload, err := statement.Payload(envelope)
			var stated statement.StudyEnd
			if err != nil || kind != statement.KindStudyEnd || statement.Decode(payload, &stated) != nil {
				return nil, fmt.Errorf("%s cannot be read", EarlierEndFile(end.Index))
			}
			if stated.Result == nil {
				continue
			}
			subject = *stated.Result
		}
		result, err := v.named(EarlierResultFile(end.Index), subject)
		if err != nil {
			return nil, err
		}
		protocol, err := v.named(EarlierStudyFile(end.Index), end.Study)
		if err != nil {
			return nil, err
		}
		parsed, err := study.Parse(protocol)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", EarlierStudyFile(end.Index), err)
		}
		report, err := pipeline.ReadReport(parsed, subject.String(), result)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EarlierResultFile(end.Index), err)
		}
		report.At = end.Entry.Time
		reports = append(reports, report)
	}
	return reports, nil
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
func (v *verifier) namesResults(ends []EarlierEnd, stated *differencing.Decision, at *record) error {
	for _, end := range ends {
		if end.Entry.Type == ledger.TypeStudyEnd {
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
