package web

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"

	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/crypto/ledger"
)

const (
	perPage = 100      // entries of a page
	perRead = 1000     // entries asked for at a time
	perLook = 20 * 1e3 // entries looked through for those of a study
)

// head is the newest checkpoint, its signature verified.
type head struct {
	Note   string // as it is signed
	Size   uint64
	Root   [32]byte
	Signed bool // by the key of the coordinator on the roster in force
	Why    string

	Cosigned       string // the checkpoint that most sites cosigned
	CosignedSize   uint64
	Witnesses      []ledger.Sighting
	WitnessProblem string
}

// RootText is the root as it stands in the checkpoint.
func (h head) RootText() string { return base64.StdEncoding.EncodeToString(h.Root[:]) }

// head asks for the newest checkpoint and checks who signed it.
func (s *site) head() (head, error) {
	note, _, cosigned, err := s.driver.Checkpoint(0)
	if err != nil {
		return head{}, err
	}
	roster := s.driver.Roster()
	sites := map[string]ed25519.PublicKey{}
	for _, m := range roster.Sites() {
		sites[m.Name] = m.SigningKey
	}
	return newHead(note, cosigned, ledger.Origin(roster.Consortium), roster.CoordinatorMember().SigningKey, sites)
}

// newHead reads a checkpoint, and the one that most sites cosigned, if any.
func newHead(note, cosigned []byte, origin string, key ed25519.PublicKey, sites map[string]ed25519.PublicKey) (head, error) {
	c, err := ledger.ParseCheckpoint(note)
	if err != nil {
		return head{}, err
	}
	h := head{Note: string(note), Size: c.Size, Root: c.Root, Signed: true, Cosigned: string(cosigned)}
	if _, err := ledger.VerifyCheckpoint(note, origin, key); err != nil {
		h.Signed, h.Why = false, err.Error()
	}
	if cosigned == nil {
		return h, nil
	}
	seen, sightings, err := ledger.VerifyCosigned(cosigned, origin, key, sites)
	if err != nil {
		h.WitnessProblem = err.Error()
		return h, nil
	}
	h.CosignedSize, h.Witnesses = seen.Size, sightings
	return h, nil
}

// line is an entry with its place.
type line struct {
	Index uint64
	ledger.Entry
}

// ledgerView is a page of entries.
type ledgerView struct {
	Head                 head
	Lines                []line
	Study                string // only entries of this study, if not empty
	From, To             uint64 // looked through: From <= index < To
	Older, Newer, Newest *uint64
}

// Last is the index of the last entry shown.
func (v ledgerView) Last() uint64 { return v.Lines[len(v.Lines)-1].Index }

func (s *site) ledger(w http.ResponseWriter, r *http.Request) error {
	h, err := s.head()
	if err != nil {
		return err
	}
	v := ledgerView{Head: h, Study: r.URL.Query().Get("study")}
	if v.Study != "" {
		if _, err := s.driver.Status(v.Study); err != nil {
			return err
		}
	}
	newest := h.Size - min(h.Size, perPage)
	if v.From, err = number(r.URL.Query().Get("from"), newest); err != nil || v.From > h.Size {
		return noEntry(h.Size)
	}
	if v.Lines, v.To, err = s.entries(v.From, h.Size, v.Study); err != nil {
		return err
	}
	if v.From > 0 {
		older := v.From - min(v.From, perPage)
		v.Older = &older
	}
	if v.To < h.Size {
		v.Newer, v.Newest = &v.To, &newest
	}
	f := s.frame(r, "Ledger", "The ledger of "+s.driver.Roster().Consortium)
	f.Lead = "Everything that was done, in the order in which it was done. Nothing can be taken back or changed without a hospital noticing."
	if v.Study != "" {
		f.Title = "What the ledger holds of one study"
	}
	f.Page = v
	return write(w, http.StatusOK, "ledger", f)
}

// entries reads a page of entries from an index on, of one study or of all, and
// says where it stopped looking.
func (s *site) entries(from, size uint64, study string) (lines []line, to uint64, err error) {
	for to = from; to < size && len(lines) < perPage && to-from < perLook; {
		most := uint64(perRead)
		if study == "" {
			most = perPage
		}
		leaves, err := s.driver.Entries(to, min(size, to+most))
		if err != nil {
			return nil, to, err
		}
		for _, leaf := range leaves {
			e, err := ledger.ParseEntry(leaf)
			if err != nil {
				return nil, to, err
			}
			if study == "" || e.Study == study {
				lines = append(lines, line{to, e})
			}
			if to++; len(lines) == perPage {
				break
			}
		}
	}
	return lines, to, nil
}

func number(text string, otherwise uint64) (uint64, error) {
	if text == "" {
		return otherwise, nil
	}
	return strconv.ParseUint(text, 10, 48)
}

func noEntry(size uint64) error {
	return &problem{Status: http.StatusNotFound, What: "there is no such entry", Why: fmt.Sprintf("the ledger holds %d entries, counted from 0", size), Next: "begin with the newest entries"}
}

// entryView is one entry and its inclusion proof, recomputed.
type entryView struct {
	line
	Head    head
	Leaf    string
	First   hash // of the leaf
	Command string
	Steps   []step
	Reached hash   // by the steps
	Holds   bool   // Reached is the checkpoint's root, and both verifiers say so
	Why     string // it does not hold
}

// proven is an entry with the proof that it is under a checkpoint.
type proven struct {
	index uint64
	leaf  []byte
	proof [][32]byte
	head  head
}

func (s *site) proven(text string) (p proven, err error) {
	if p.head, err = s.head(); err != nil {
		return p, err
	}
	if p.index, err = number(text, 0); err != nil || p.index >= p.head.Size || text != strconv.FormatUint(p.index, 10) {
		return p, noEntry(p.head.Size)
	}
	leaves, err := s.driver.Entries(p.index, p.index+1)
	if err != nil {
		return p, err
	}
	p.leaf = leaves[0]
	p.proof, err = s.driver.Inclusion(p.index, p.head.Size)
	return p, err
}

func (s *site) entry(w http.ResponseWriter, r *http.Request) error {
	p, err := s.proven(r.PathValue("index"))
	if err != nil {
		return err
	}
	v, err := p.view()
	if err != nil {
		return err
	}
	f := s.frame(r, "Ledger", "Entry "+plot.Grouped(int(p.index))+": "+v.Type)
	f.Lead = "What was recorded, and the proof that the signed head of the ledger stands on it."
	f.Page = v
	return write(w, http.StatusOK, "entry", f)
}

// view checks the proof twice: by the steps that it shows, and by package ledger.
func (p proven) view() (*entryView, error) {
	e, err := ledger.ParseEntry(p.leaf)
	if err != nil {
		return nil, err
	}
	v := &entryView{line: line{p.index, e}, Head: p.head, Leaf: string(p.leaf), Command: leafCommand(p.leaf)}
	v.First, v.Steps, err = walk(p.leaf, p.index, p.head.Size, p.proof)
	v.Reached = v.First
	if n := len(v.Steps); n > 0 {
		v.Reached = v.Steps[n-1].Result
	}
	switch again := ledger.CheckInclusion(p.leaf, p.index, p.head.Size, p.head.Root, p.proof); {
	case err != nil:
		v.Why = err.Error()
	case v.Reached != p.head.Root:
		v.Why = "the steps do not lead to the root that the checkpoint signs"
	case again != nil:
		v.Why = again.Error()
	case !p.head.Signed:
		v.Why = p.head.Why
	default:
		v.Holds = true
	}
	return v, nil
}

// proofFile sends an entry's proof as C2SP tlog-proof writes it, to keep beside
// what the entry names.
func (s *site) proofFile(w http.ResponseWriter, r *http.Request) error {
	p, err := s.proven(r.PathValue("index"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="entry-%d.tlog-proof"`, p.index))
	send(w, http.StatusOK, "text/plain; charset=utf-8", ledger.FormatProofFile(p.leaf, p.index, p.proof, []byte(p.head.Note)))
	return nil
}
