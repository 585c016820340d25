package independent

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// envelope is DSSE's, with one signature.
type envelope struct {
	PayloadType string `json:"payloadType"`
	Payload     []byte `json:"payload"`
	Signatures  []struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	} `json:"signatures"`
}

// openEnvelope verifies an envelope that has one spelling and one signature.
func openEnvelope(data []byte, kind, signer string, key ed25519.PublicKey) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, errors.New("no DSSE envelope")
	}
	var again bytes.Buffer
	encoder := json.NewEncoder(&again)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil || !bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), data) {
		return nil, errors.New("an envelope in another spelling than the one")
	}
	if e.PayloadType != kind || len(e.Signatures) != 1 || e.Signatures[0].KeyID != signer || key == nil {
		return nil, fmt.Errorf("not signed by %q as %s", signer, kind)
	}
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(e.Payload), e.Payload)
	if !ed25519.Verify(key, signed, e.Signatures[0].Sig) {
		return nil, fmt.Errorf("the signature of %q does not verify", signer)
	}
	return e.Payload, nil
}

// fact has every field of every statement that is looked at.
type fact struct {
	Study        string   `json:"study"`
	Roster       string   `json:"roster"`
	Step         string   `json:"step"`
	Round        string   `json:"round"`
	Researcher   string   `json:"researcher"`
	Site         string   `json:"site"`
	Member       string   `json:"member"`
	Approved     bool     `json:"approved"`
	Parameters   string   `json:"parameters"`
	Invited      []string `json:"invited"`
	Committee    []string `json:"committee"`
	Threshold    int      `json:"threshold"`
	Minimum      int      `json:"minimum_contributors"`
	Chunks       []string `json:"chunks"`
	Shares       []string `json:"shares"`
	Contributors []string `json:"contributors"`
	Headers      []string `json:"headers"`
	Request      string   `json:"request"`
	Share        string   `json:"share"`
	State        string   `json:"state"`
	Openers      []string `json:"openers"`
	Sum          string   `json:"sum"`
	Release      string   `json:"release"`
	Result       string   `json:"result"`
	Auditor      string   `json:"auditor"`
	Audit        string   `json:"audit"`
	Gate         string   `json:"gate"`
	Reason       string   `json:"reason"`
	Format       string   `json:"format"`
	Card         string   `json:"card"`
	Question     string   `json:"question"`
	Senders      []string `json:"senders"`
	AtFault      []string `json:"at_fault"`
	SharesGiven  bool     `json:"shares_given"`
}

// statement is a fact with its place in the log.
type statement struct {
	fact
	index  int
	digest string // of the payload
}

// round gathers what the log holds of one.
type round struct {
	id                            string
	plan                          statement
	contributions, shares, faults []statement
	declined                      []string
	request, end                  *statement
}

// signers says in which role each type of entry is signed.
var signers = map[string]string{
	"proposal": "researcher", "start": "researcher", "approval": "site", "plan": "coordinator", "contribution": "site", "decline": "site",
	"opening-request": "coordinator", "opening-share": "site", "opening-fault": "site", "round-end": "coordinator",
	"study-end": "coordinator", "audit": "coordinator", "release": "coordinator", "release-decision": "site", "release-override": "auditor", "card": "researcher",
}

// kinds are payload types that are not named like their entries.
var kinds = map[string]string{"contribution": "contribution-header"}

// checkStatements verifies every statement of the study by the roster in force
// when it was entered, and gives each its place.
func (v *verifier) checkStatements() error {
	var inForce *roster
	approved := make(map[string]bool)
	started, proposer := false, ""
	for i, e := range v.entries {
		if e.Type == "roster" {
			inForce = v.rosters[e.Subject]
			continue
		}
		if e.Study != v.study {
			continue
		}
		data, err := v.blob(e.Subject)
		if err != nil {
			return err
		}
		if inForce == nil {
			return fmt.Errorf("entry %d (%s): before the first roster", i, e.Type)
		}
		if running := len(v.rounds) > 0 && v.rounds[len(v.rounds)-1].end == nil; running && slices.Contains([]string{"plan", "result", "study-end"}, e.Type) {
			return fmt.Errorf("entry %d (%s): before the end of the round before it", i, e.Type)
		}
		if e.Type == "result" || e.Type == "monitor-report" {
			if err := v.takeResult(e, inForce, data); err != nil {
				return fmt.Errorf("entry %d (%s), blobs/%s: %w", i, e.Type, e.Subject, err)
			}
			continue
		}
		role, known := signers[e.Type]
		if !known {
			return fmt.Errorf("entry %d (%s): of an unknown type", i, e.Type)
		}
		kind := e.Type
		if other, ok := kinds[e.Type]; ok {
			kind = other
		}
		_, key := inForce.key(e.Actor, role)
		payload, err := openEnvelope(data, "application/vnd.consilium."+kind+".v1+json", e.Actor, key)
		if err != nil {
			return fmt.Errorf("entry %d (%s), blobs/%s: %w", i, e.Type, e.Subject, err)
		}
		v.summary.Statements++
		s := statement{index: i, digest: sum(payload)}
		if e.Type != "audit" { // whose fields are its own
			if err := json.Unmarshal(payload, &s.fact); e.Type != "release" && err != nil {
				return fmt.Errorf("entry %d (%s): cannot be read", i, e.Type)
			}
		}
		for _, named := range []string{s.Researcher, s.Site, s.Member, s.Auditor} {
			if named != "" && named != e.Actor {
				return fmt.Errorf("entry %d (%s): names %q and is signed by %q", i, e.Type, named, e.Actor)
			}
		}
		if s.Roster != "" && s.Roster != inForce.digest {
			return fmt.Errorf("entry %d (%s): names another roster than the one in force", i, e.Type)
		}
		if s.Study != "" && s.Study != v.study {
			return fmt.Errorf("entry %d (%s): of another study", i, e.Type)
		}
		if v.ended && e.Type != "approval" { // which a hospital may take back at any time
			return fmt.Errorf("entry %d (%s): after the end of the study", i, e.Type)
		}
		switch e.Type {
		case "proposal":
			proposer = s.Researcher
		case "start":
			if started = true; s.Researcher != proposer {
				return fmt.Errorf("entry %d (start): by another researcher than proposed the study", i)
			}
		case "study-end":
			v.ended = true
			if (s.State == "failed") != (s.Result == "") || !slices.Contains([]string{"failed", "diagnosed", "completed"}, s.State) {
				return fmt.Errorf("entry %d (study-end): in an unknown state, or with a result that it cannot have", i)
			}
			if s.Result != "" {
				if _, err := v.blob(s.Result); err != nil {
					return err
				}
			}
		case "approval":
			approved[s.Site] = s.Approved
		case "plan":
			if !started {
				return fmt.Errorf("entry %d (plan): before the study was started", i)
			}
			if slices.ContainsFunc(s.Committee, func(member string) bool { return !slices.Contains(s.Invited, member) }) {
				return fmt.Errorf("entry %d (plan): has somebody on its committee whom it does not invite", i)
			}
			for _, site := range s.Invited {
				if !approved[site] {
					return fmt.Errorf("entry %d (plan): invites %q, which had not approved the study", i, site)
				}
			}
		}
		if err := v.place(s, e, payload); err != nil {
			return fmt.Errorf("entry %d (%s): %w", i, e.Type, err)
		}
	}
	if v.summary.Statements == 0 {
		return errors.New("study.yaml: no entry is about a study of this SHA-256")
	}
	return nil
}

// place puts a statement into its round.
func (v *verifier) place(s statement, e entry, payload []byte) error {
	switch e.Type {
	case "plan":
		if v.byID[s.digest] != nil || e.Round != s.digest {
			return errors.New("plans a round twice, or another than it says")
		}
		r := &round{id: s.digest, plan: s}
		v.rounds, v.byID[s.digest] = append(v.rounds, r), r
		v.expects["blobs/"+s.Parameters] = true
		if s.Parameters == sum(nil) {
			return nil
		}
		_, err := v.blob(s.Parameters)
		return err
	case "audit":
		if v.audit != "" {
			return errors.New("a second audit")
		}
		v.audit = s.digest
		return cmp.Or(v.readReport(payload), v.checkSame(payload, nil))
	case "release-override":
		return v.takeOverride(s)
	case "card":
		if s.Release != v.release || v.release == "" {
			return errors.New("of another release than the one in the log")
		}
		v.cards[s.Format] = s.Card
		_, err := v.blob(s.Card)
		return err
	case "release":
		if v.release != "" {
			return errors.New("a second release")
		}
		v.release, v.released = s.digest, new(releaseStatement)
		v.released.index, v.overrideBefore = s.index, v.override
		if err := json.Unmarshal(payload, v.released); err != nil {
			return err
		}
		return v.checkSame(nil, v.released.Body)
	case "release-decision":
		if s.Release != v.release {
			return errors.New("about another release than the one in the log")
		}
		return nil
	}
	if e.Round == "" {
		return nil
	}
	r := v.byID[e.Round]
	if s.Round != e.Round || r == nil && (e.Type != "round-end" || s.Sum != "") {
		return errors.New("of another round, or of one that nobody planned")
	}
	if r == nil {
		return nil // withdrawn before anybody saw it
	}
	if r.end != nil {
		return errors.New("after the end of its round")
	}
	switch e.Type {
	case "contribution":
		if r.request != nil || !slices.Contains(r.plan.Invited, s.Site) || slices.Contains(r.declined, s.Site) || len(s.Shares) != len(r.plan.Committee) {
			return errors.New("late, not invited, of a hospital that declined, or with too few key shares")
		}
		r.contributions = append(r.contributions, s)
	case "decline":
		contributed := func(c statement) bool { return c.Site == s.Site }
		if r.request != nil || !slices.Contains(r.plan.Invited, s.Site) || slices.Contains(r.declined, s.Site) || slices.ContainsFunc(r.contributions, contributed) {
			return errors.New("late, or of a hospital that was not invited or has answered")
		}
		r.declined = append(r.declined, s.Site)
	case "opening-request":
		if r.request != nil {
			return errors.New("a second opening of a round")
		}
		r.request = &s
		return r.checkRequest()
	case "opening-share":
		if r.request == nil || s.Request != r.request.digest || !slices.Contains(r.plan.Committee, s.Member) {
			return errors.New("answers no request, or another, or is of nobody on the committee")
		}
		r.shares = append(r.shares, s)
		_, err := v.blob(s.Share)
		return err
	case "opening-fault":
		return r.takeFault(s)
	case "round-end":
		r.end = &s
		return r.checkEnd()
	}
	return nil
}

// checkRounds holds that what was opened is what was contributed.
func (v *verifier) checkRounds() error {
	for _, r := range v.rounds {
		if err := v.checkRound(r); err != nil {
			return fmt.Errorf("round %.12s: %w", r.id, err)
		}
	}
	v.summary.Rounds = len(v.published)
	return nil
}

func (v *verifier) checkRound(r *round) error {
	for _, c := range r.contributions {
		for _, hash := range append(slices.Clone(c.Chunks), c.Shares...) {
			v.expects["blobs/"+hash] = true
		}
	}
	if r.request == nil {
		if r.end != nil && r.end.Sum != "" {
			return errors.New("a sum that nobody asked for")
		}
		return nil
	}
	if r.end == nil || r.end.Sum == "" {
		return nil
	}
	if len(r.shares) < r.plan.Threshold {
		return errors.New("published with fewer opening shares than its threshold")
	}
	data, err := v.blob(r.end.Sum)
	if err != nil {
		return err
	}
	// A sum begins with its tag, its round and how many it is over.
	id, _ := hex.DecodeString(r.id)
	head := binary.LittleEndian.AppendUint32(append([]byte("consilium sum 1\n"), id...), uint32(len(r.request.Contributors)))
	if !bytes.HasPrefix(data, head) {
		return fmt.Errorf("blobs/%s: no sum of this round over %d hospitals", r.end.Sum, len(r.request.Contributors))
	}
	v.published = append(v.published, r)
	return v.checkCiphertext(r)
}

// checkRequest holds that an opening request lists the contributions in the log.
func (r *round) checkRequest() error {
	var sites, headers []string
	slices.SortFunc(r.contributions, func(a, b statement) int { return bytes.Compare([]byte(a.Site), []byte(b.Site)) })
	for _, c := range r.contributions {
		sites, headers = append(sites, c.Site), append(headers, c.digest)
	}
	if !slices.Equal(r.request.Contributors, sites) || !slices.Equal(r.request.Headers, headers) || len(slices.Compact(sites)) != len(headers) {
		return errors.New("the opening request does not list the contributions of the log")
	}
	if len(sites) < r.plan.Minimum {
		return fmt.Errorf("opened over %d hospitals, fewer than its minimum of %d", len(sites), r.plan.Minimum)
	}
	return nil
}

// checkCiphertext holds that the ciphertexts are all there or none is.
func (v *verifier) checkCiphertext(r *round) error {
	there, missing := 0, ""
	for _, c := range r.contributions {
		for _, hash := range c.Chunks {
			if _, err := fs.Stat(v.bundle, "blobs/"+hash); err != nil {
				missing = hash
			} else {
				there++
			}
		}
	}
	if v.missing = cmp.Or(v.missing, missing); v.missing != "" && (there > 0 || v.summary.Ciphertexts) {
		return fmt.Errorf("blobs/%s: missing, where other ciphertext is there", v.missing)
	}
	v.summary.Ciphertexts = there > 0
	return nil
}

// releaseStatement is what a release says.
type releaseStatement struct {
	index    int
	Audit    string `json:"audit"`
	Model    string `json:"model"`
	Gate     string `json:"gate"`
	Override string `json:"override"`
	Body     []byte `json:"body"`
	Rounds   []struct {
		Round        string   `json:"round"`
		Step         string   `json:"step"`
		Contributors []string `json:"contributors"`
		Headers      []string `json:"headers"`
		Sum          string   `json:"sum"`
	} `json:"rounds"`
}

// checkRelease holds that the release lists every published round and its audit.
func (v *verifier) checkRelease() error {
	if v.released == nil {
		return nil
	}
	r := v.released
	if v.audit == "" || r.Audit != v.audit || sum(r.Body) != r.Model {
		return errors.New("the release names another audit than the log's, or another model than it carries")
	}
	v.model = r.Model
	if len(r.Rounds) != len(v.published) {
		return fmt.Errorf("the release lists %d rounds, %d were published", len(r.Rounds), len(v.published))
	}
	for i, listed := range r.Rounds {
		was := v.published[i]
		if listed.Round != was.id || listed.Step != was.plan.Step || listed.Sum != was.end.Sum || !slices.Equal(listed.Contributors, was.request.Contributors) || !slices.Equal(listed.Headers, was.request.Headers) || was.end.index > r.index {
			return fmt.Errorf("the release lists round %.12s as it was not published", listed.Round)
		}
	}
	return nil
}

// checkAttestation verifies the in-toto statement and its subjects.
func (v *verifier) checkAttestation() error {
	data, err := v.read("attestation.json")
	if err != nil {
		return err
	}
	name, key := v.last.key("", "coordinator")
	payload, err := openEnvelope(data, "application/vnd.in-toto+json", name, key)
	if err != nil {
		return fmt.Errorf("attestation.json: %w", err)
	}
	var said struct {
		Type    string `json:"_type"`
		Subject []struct {
			Name   string            `json:"name"`
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate struct {
			Ledger struct {
				Size int    `json:"size"`
				Root string `json:"root"`
			} `json:"ledger"`
			Rounds []struct {
				Round string `json:"round"`
				Sum   string `json:"sum"`
			} `json:"rounds"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &said); err != nil || said.Type != "https://in-toto.io/Statement/v1" {
		return errors.New("attestation.json: no in-toto statement")
	}
	want := map[string]string{"study": v.study, "audit": v.audit, "model": v.model, "release": v.release}
	for format, hash := range v.cards {
		want["card "+format] = hash
	}
	for _, s := range said.Subject {
		if want[s.Name] == "" || s.Digest["sha256"] != want[s.Name] {
			return fmt.Errorf("attestation.json: its subject %q is not the bundle's", s.Name)
		}
		delete(want, s.Name)
	}
	for name, hash := range want {
		if hash != "" {
			return fmt.Errorf("attestation.json: says nothing of the %s", name)
		}
	}
	head := root(v.hashes)
	if said.Predicate.Ledger.Size != len(v.leaves) || said.Predicate.Ledger.Root != hex.EncodeToString(head[:]) || len(said.Predicate.Rounds) != len(v.published) {
		return errors.New("attestation.json: of another log")
	}
	for i, r := range said.Predicate.Rounds {
		if r.Round != v.published[i].id || r.Sum != v.published[i].end.Sum {
			return fmt.Errorf("attestation.json: lists round %.12s as it was not published", r.Round)
		}
	}
	return nil
}
