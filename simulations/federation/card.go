package federation

import (
	"github.com/consilium-fl/consilium/compute/card"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// simulated is what a card says first of a release that no hospital has made.
const simulated = "A simulation: a table was divided into these hospitals on one computer. Their approvals and decisions are the simulator's, not those of people."

// renderCard writes the model card of the release. What only people can state of
// a model nobody has stated of a simulated one.
func (r *Result) renderCard(computed *pipeline.Result) error {
	if r.Release == nil || r.protocol == nil || len(r.SignedRelease) == 0 {
		return nil
	}
	_, payload, err := statement.Payload(r.SignedRelease)
	if err != nil {
		return err
	}
	var signed statement.Release
	if err := statement.Decode(payload, &signed); err != nil {
		return err
	}
	release := card.Release{
		Study: r.protocol, Result: computed, Digest: r.Release.Digest, Signed: signed.Time,
		Accepted: len(r.Release.Accepted), Refused: len(r.Release.Refused), Remark: simulated,
	}
	if r.Cipher == "off" {
		release.Remark += " Its vectors were not encrypted."
	}
	for _, round := range signed.Rounds {
		release.Rounds = append(release.Rounds, card.Round{Step: round.Step, Contributors: len(round.Contributors)})
	}
	c, err := card.New(release)
	if err != nil {
		return err
	}
	r.Card = c.Markdown()
	if r.CardXML, err = c.XML(); err != nil {
		return err
	}
	r.CardPDF, err = c.PDF()
	return err
}
