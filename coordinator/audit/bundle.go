package audit

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// Files of a bundle that are not named by a digest.
const (
	checkpointFile = "checkpoint"
	entriesFile    = "entries.jsonl"
	governanceFile = "governance.pub"
	studyFile      = "study.yaml"

	attestationFile = "attestation.json"
	cosignedFolder  = "cosigned/" // checkpoints, by size
	blobFolder      = "blobs/"    // by digest
)

func rosterFile(number int) string            { return fmt.Sprintf("rosters/%06d.json", number) }
func blobFile(digest statement.Digest) string { return blobFolder + digest.String() }

// verifier carries what one check has established to the next.
type verifier struct {
	bundle   fs.FS
	trust    Trust
	findings Findings

	leaves  [][]byte
	records []*record
	digest  statement.Digest // of the study
	source  []byte           // its protocol file

	governance ed25519.PublicKey
	rosters    *identity.Chain
	checkpoint *ledger.Checkpoint
	study      *study.Study

	proposal    *record
	start       *record
	drawing     sync.Mutex      // rounds are checked side by side
	drawn       *statement.Draw // what the study's committees are drawn from, once looked up
	approvals   []*record
	rounds      []*round
	byID        map[statement.Digest]*round
	withdrawn   []*record // ends of rounds that were never announced
	studyEnd    *record   // without a release, nil for none
	results     []*record
	reports     []*record // of a study that watches a release, window after window
	audits      []*record
	overrides   []*record
	releases    []*record
	decisions   []*record
	cards       []*record
	ciphertexts bool // every chunk of every opened round is in the bundle

	cosignedFiles []string // that are there, in the order of their sizes' digits
	cosigned      [][]byte // their content, once verified
	proofFiles    []string // that have to be there
	attestation   *Attestation
	attested      []byte // its envelope

	outcome replayed
	earlier []EarlierEnd             // ends of other studies, before this study's
	windows map[int]*pipeline.Result // of a monitor when so many windows were done, without regard to earlier results
}

// record is a ledger entry with the statement it names.
type record struct {
	index    int
	entry    ledger.Entry
	envelope []byte
	payload  []byte
	digest   statement.Digest // of the payload
	fact     any              // the decoded statement, as a pointer
	roster   *identity.Roster // in force when it entered the log
}

func (r *record) String() string { return fmt.Sprintf("entry %d (%s)", r.index, r.entry.Type) }

// round gathers the records of one round. Lists hold what a correct log holds
// once, so that a second one is seen.
type round struct {
	id            statement.Digest
	plan          *record
	contributions []*record
	declines      []*record
	requests      []*record
	shares        []*record
	faults        []*record
	ends          []*record

	sealed   *secagg.Round // the cryptography that the plan fixes, once asked for
	reopened *reopened     // from the ciphertexts, where they are at hand
	sum      *secagg.Sum   // as published
}

func (r *round) Plan() *statement.Plan { return r.plan.fact.(*statement.Plan) }

// Request is the round's opening request, nil if it has none.
func (r *round) Request() *statement.OpeningRequest {
	if len(r.requests) == 0 {
		return nil
	}
	return r.requests[0].fact.(*statement.OpeningRequest)
}

// End is how the round ended, nil while it runs.
func (r *round) End() *statement.RoundEnd {
	if len(r.ends) == 0 {
		return nil
	}
	return r.ends[0].fact.(*statement.RoundEnd)
}

func (r *round) published() bool { return r.End() != nil && r.End().State == "published" }

func (r *round) String() string { return fmt.Sprintf("round %.12s", r.id) }

// header returns a site's contribution header, nil if it has none.
func (r *round) header(site string) (*statement.ContributionHeader, *record) {
	for _, c := range r.contributions {
		if h := c.fact.(*statement.ContributionHeader); h.Site == site {
			return h, c
		}
	}
	return nil, nil
}

// checkFiles reads the leaves and every statement that they name, and holds
// the directory against that list: all there, each what its name says, nothing
// else.
func (v *verifier) checkFiles() (string, error) {
	for _, name := range []string{checkpointFile, entriesFile, governanceFile, studyFile, attestationFile} {
		if _, err := fs.Stat(v.bundle, name); err != nil {
			return "", fmt.Errorf("%s is missing", name)
		}
	}
	if err := v.readLeaves(); err != nil {
		return "", err
	}
	var err error
	if v.source, err = fs.ReadFile(v.bundle, studyFile); err != nil {
		return "", fmt.Errorf("%s cannot be read", studyFile)
	}
	v.digest = statement.DigestOf(v.source)
	v.findings.Study = v.digest.String()
	v.findings.Entries = len(v.leaves)

	if err := v.readAttestation(); err != nil {
		return "", err
	}
	files, err := v.readRecords()
	if err != nil {
		return "", err
	}
	if err := v.listDerived(files); err != nil {
		return "", err
	}
	return v.compareFiles(files)
}

// readLeaves splits entries.jsonl, in which every leaf ends with a newline.
func (v *verifier) readLeaves() error {
	data, err := fs.ReadFile(v.bundle, entriesFile)
	if err != nil {
		return fmt.Errorf("%s cannot be read", entriesFile)
	}
	if len(data) == 0 || data[len(data)-1] != '\n' {
		return fmt.Errorf("%s is cut short: its last line has no end", entriesFile)
	}
	v.leaves = bytes.Split(data[:len(data)-1], []byte("\n"))
	for i, leaf := range v.leaves {
		entry, err := ledger.ParseEntry(leaf)
		if err != nil {
			return fmt.Errorf("line %d of %s: %w", i+1, entriesFile, err)
		}
		v.records = append(v.records, &record{index: i, entry: entry})
	}
	return nil
}

// listing is what a bundle has to hold and may hold.
type listing struct {
	required []named
	allowed  map[string]bool // required or not
	chunks   []named         // ciphertext of the opened rounds: all of it or none
}

// listDerived lists the files that follow from the log alone.
func (v *verifier) listDerived(files *listing) error {
	log := v.records[len(v.records)-1]
	for _, path := range slices.Sorted(maps.Keys(ledger.Tiles(v.leaves))) {
		files.require(path, log)
	}
	found, err := fs.Glob(v.bundle, cosignedFolder+"*")
	if err != nil {
		return err
	}
	for _, path := range found {
		if size, err := strconv.ParseUint(strings.TrimPrefix(path, cosignedFolder), 10, 48); err == nil && path == CosignedFile(size) {
			v.cosignedFiles = append(v.cosignedFiles, path)
			files.allowed[path] = true
		}
	}
	slices.SortFunc(v.cosignedFiles, func(a, b string) int { // the largest first
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
	for _, r := range v.records {
		if path, proven := proofFile(v.digest, r.index, r.entry); proven {
			v.proofFiles = append(v.proofFiles, path)
			files.require(path, r)
		}
	}
	return v.listEarlier(files)
}

// named is a file and the entry that asks for it.
type named struct {
	path string
	by   *record
}

func (l *listing) require(path string, by *record) {
	l.required = append(l.required, named{path, by})
	l.allowed[path] = true
}

// readRecords decodes the statements of this study and sorts them by round.
// Nothing is verified yet but that each file is what its name says.
func (v *verifier) readRecords() (*listing, error) {
	files := &listing{allowed: map[string]bool{checkpointFile: true, entriesFile: true, governanceFile: true, studyFile: true, attestationFile: true}}
	files.allowed[blobFile(v.digest)] = true // the protocol file again, under its digest
	v.byID = make(map[statement.Digest]*round)
	ours := v.ours()
	if err := inParallel(len(ours), func(i int) error { return v.readStatement(ours[i]) }); err != nil {
		return nil, err
	}
	rosters := 0
	for _, r := range v.records {
		if r.entry.Type == ledger.TypeRoster {
			rosters++
			if err := v.readRoster(r, rosters); err != nil {
				return nil, err
			}
			files.require(rosterFile(rosters), r)
			files.allowed[blobFile(r.entry.Subject)] = true
		}
	}
	for _, r := range ours {
		files.require(blobFile(r.entry.Subject), r)
		if err := v.sort(r, files); err != nil {
			return nil, err
		}
	}
	if len(ours) == 0 {
		return nil, fmt.Errorf("%s is not the study of this bundle: no entry of the ledger is about a file with its digest, %.12s", studyFile, v.digest)
	}
	for _, round := range v.rounds {
		opened := round.published() && round.Request() != nil
		for _, c := range round.contributions {
			h := c.fact.(*statement.ContributionHeader)
			asked := opened && slices.Contains(round.Request().Contributors, h.Site)
			for _, chunk := range h.Chunks {
				path := blobFile(chunk)
				files.allowed[path] = true
				if asked {
					files.chunks = append(files.chunks, named{path, c})
				}
			}
			for _, share := range h.Shares {
				files.allowed[blobFile(share)] = true
			}
		}
	}
	return files, nil
}

// ours are the entries about this study. Another study's leaves count in the log,
// and its statements are not here.
func (v *verifier) ours() (ours []*record) {
	for _, r := range v.records {
		if r.entry.Type != ledger.TypeRoster && r.entry.Study == v.digest.String() {
			ours = append(ours, r)
		}
	}
	return ours
}

func (v *verifier) readRoster(r *record, number int) error {
	data, err := fs.ReadFile(v.bundle, rosterFile(number))
	if err != nil {
		return fmt.Errorf("%s is missing: %s names it", rosterFile(number), r)
	}
	if statement.DigestOf(data) != r.entry.Subject {
		return fmt.Errorf("%s is not the roster that %s names", rosterFile(number), r)
	}
	r.envelope = data
	r.fact = new(identity.Roster)
	return r.decode(statement.KindRoster)
}

// readStatement reads the envelope that an entry names. Results and reports of a
// monitor are no envelopes.
func (v *verifier) readStatement(r *record) error {
	data, err := v.blob(r.entry.Subject)
	if err != nil {
		return fmt.Errorf("%w: %s names it", err, r)
	}
	r.envelope = data
	if r.entry.Type == ledger.TypeResult || r.entry.Type == ledger.TypeMonitorReport {
		return nil
	}
	rule, known := rules[r.entry.Type]
	if !known {
		return fmt.Errorf("%s is of a type that this program does not know: it may be older than the bundle", r)
	}
	r.fact = rule.fact()
	return r.decode(rule.kind)
}

// decode reads the payload without looking at the signature, which is a later
// check.
func (r *record) decode(kind statement.Kind) error {
	got, payload, err := statement.Payload(r.envelope)
	if err != nil {
		return fmt.Errorf("what %s names is no signed statement: %w", r, err)
	}
	if got != kind {
		return fmt.Errorf("%s names a statement of another kind", r)
	}
	if err := statement.Decode(payload, r.fact); err != nil {
		return fmt.Errorf("the statement that %s names cannot be read: %w", r, err)
	}
	r.payload, r.digest = payload, statement.DigestOf(payload)
	return nil
}

// sort files a record under its round or the study, and lists the files that
// its statement names in turn.
func (v *verifier) sort(r *record, files *listing) error {
	of := func(id statement.Digest) (*round, error) {
		if round, ok := v.byID[id]; ok {
			return round, nil
		}
		return nil, fmt.Errorf("%s belongs to round %.12s, which no earlier entry plans", r, id)
	}
	var err error
	var in *round
	switch fact := r.fact.(type) {
	case *statement.Proposal:
		if v.proposal != nil {
			return fmt.Errorf("%s proposes the study a second time", r)
		}
		v.proposal = r
	case *statement.Start:
		if v.start != nil {
			return fmt.Errorf("%s starts the study a second time", r)
		}
		v.start = r
	case *statement.Approval:
		v.approvals = append(v.approvals, r)
	case *statement.Plan:
		if _, again := v.byID[r.digest]; again {
			return fmt.Errorf("%s plans a round that is planned already", r)
		}
		in = &round{id: r.digest, plan: r}
		v.byID[r.digest] = in
		v.rounds = append(v.rounds, in)
		if fact.Parameters != statement.DigestOf(nil) {
			files.require(blobFile(fact.Parameters), r)
		} else {
			files.allowed[blobFile(fact.Parameters)] = true
		}
	case *statement.ContributionHeader:
		if in, err = of(fact.Round); err == nil {
			in.contributions = append(in.contributions, r)
		}
	case *statement.Decline:
		if in, err = of(fact.Round); err == nil {
			in.declines = append(in.declines, r)
		}
	case *statement.StudyEnd:
		if v.studyEnd != nil {
			return fmt.Errorf("%s ends the study a second time", r)
		}
		v.studyEnd = r
		if fact.Result != nil {
			files.require(blobFile(*fact.Result), r)
		}
	case *statement.OpeningRequest:
		if in, err = of(fact.Round); err == nil {
			in.requests = append(in.requests, r)
		}
	case *statement.OpeningShare:
		if in, err = of(fact.Round); err == nil {
			in.shares = append(in.shares, r)
			files.require(blobFile(fact.Share), r)
		}
	case *statement.OpeningFault:
		if in, err = of(fact.Round); err == nil {
			in.faults = append(in.faults, r)
		}
	case *statement.RoundEnd:
		if fact.Sum != nil {
			files.require(blobFile(*fact.Sum), r)
		}
		if in = v.byID[fact.Round]; in == nil {
			v.withdrawn = append(v.withdrawn, r) // its plan was never shown to anybody
			return nil
		}
		in.ends = append(in.ends, r)
	case *statement.Release:
		v.releases = append(v.releases, r)
	case *statement.ReleaseOverride:
		v.overrides = append(v.overrides, r)
	case *statement.Card:
		v.cards = append(v.cards, r)
		files.require(blobFile(fact.Card), r)
	case *statement.ReleaseDecision:
		v.decisions = append(v.decisions, r)
	default:
		switch r.entry.Type {
		case ledger.TypeAudit:
			v.audits = append(v.audits, r)
		case ledger.TypeResult:
			v.results = append(v.results, r)
		case ledger.TypeMonitorReport:
			v.reports = append(v.reports, r)
		}
	}
	if err != nil {
		return err
	}
	if in != nil && r.entry.Round != in.id.String() {
		return fmt.Errorf("%s says that it belongs to another round than its statement", r)
	}
	return nil
}
