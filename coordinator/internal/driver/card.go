package driver

import (
	"fmt"
	"regexp"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

const (
	notPublished = "the card was not published"
	maxCard      = 8 << 20 // bytes
)

// cardFormat is a word such as markdown or chai-xml.
var cardFormat = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// PublishCard puts a model card beside its release: the file is stored, and the
// researcher's signed statement of its digest enters the ledger. One of the same
// format that comes later takes its place for readers; both stay on record.
func (d *Driver) PublishCard(researcher string, envelope, card []byte) error {
	var c statement.Card
	if _, err := statement.Open(envelope, statement.KindCard, &c, d.keyOf(researcher, identity.RoleResearcher)); err != nil {
		return unsigned("the card", err)
	}
	switch {
	case len(card) == 0 || len(card) > maxCard:
		return problem(Invalid, "card-size", notPublished, fmt.Sprintf("it has %d bytes; between 1 and %d are stored", len(card), maxCard), "write it anew: consilium release card")
	case statement.DigestOf(card) != c.Card:
		return problem(Invalid, "other-card", notPublished, "the signed statement names another file", "sign the digest of the very file that is sent")
	case !cardFormat.MatchString(c.Format):
		return problem(Invalid, "card-format", notPublished, "its format is not a word of small letters, digits and hyphens", "name the format, such as markdown")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.studyOfRelease(c.Release)
	if err != nil {
		return problem(NotFound, "no-such-release", notPublished, "no study has a release of this digest", "consilium release list")
	}
	if s.id != c.Study {
		return problem(Invalid, "other-study", notPublished, "its release is of another study than it says", "write it anew: consilium release card")
	}
	if s.proposed.Researcher != researcher {
		return problem(Denied, "not-your-study", notPublished, "another researcher proposed the study", "ask the researcher who proposed it")
	}
	for _, before := range s.cards {
		if before.Card == c.Card && before.Format == c.Format {
			return nil
		}
	}
	name, err := d.put(envelope)
	if err != nil {
		return err
	}
	if _, err := d.put(card); err != nil {
		return err
	}
	return d.commit([]write{{studyStream(s.id), carded{Format: c.Format, Card: c.Card, Envelope: name, At: d.time()}}},
		d.entry(ledger.TypeCard, s.id, statement.Digest{}, name, researcher))
}
