package participant_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// beta's header in an otherwise good opening request, under every signature but
// beta's own.
func TestAHeaderWithABadMissingOrUnrosteredSignatureIsRefused(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	seed := sha256.Sum256([]byte("someone whom no roster lists"))
	outsider := ed25519.NewKeyFromSeed(seed[:])
	outside := func(h statement.ContributionHeader, name string) []byte {
		h.Site = name
		envelope, err := statement.Sign(statement.KindContributionHeader, h, name, outsider)
		check(t, err)
		return envelope
	}
	cut := func(envelope []byte) []byte {
		i := bytes.Index(envelope, []byte(`"signatures":`))
		return append(slices.Clone(envelope[:i]), `"signatures":[]}`...)
	}
	for name, forge := range map[string]func(genuine []byte, h statement.ContributionHeader) []byte{
		"a bit of the signature flipped": func(g []byte, _ statement.ContributionHeader) []byte {
			i := bytes.Index(g, []byte(`"sig":"`)) + len(`"sig":"`)
			g = slices.Clone(g)
			g[i] = map[bool]byte{true: 'B', false: 'A'}[g[i] == 'A']
			return g
		},
		"no signature":          func(g []byte, _ statement.ContributionHeader) []byte { return cut(g) },
		"nothing at all":        func([]byte, statement.ContributionHeader) []byte { return nil },
		"an unrostered key":     func(_ []byte, h statement.ContributionHeader) []byte { return outside(h, "beta") },
		"an unrostered name":    func(_ []byte, h statement.ContributionHeader) []byte { return outside(h, "zeta") },
		"a rostered researcher": func(_ []byte, h statement.ContributionHeader) []byte { return outside(h, "rita") },
		"the coordinator":       func(_ []byte, h statement.ContributionHeader) []byte { return outside(h, "coordinator") },
		"a signature on a plan": func([]byte, statement.ContributionHeader) []byte { return c.sign(statement.KindPlan, p) },
		"another site's own header": func(_ []byte, h statement.ContributionHeader) []byte {
			h.Site = "gamma"
			return c.signAs(c.nodes["gamma"], statement.KindContributionHeader, h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := c.opening(p, siteNames)
			_, payload, err := statement.Payload(in.Headers[1])
			check(t, err)
			var h statement.ContributionHeader
			check(t, statement.Decode(payload, &h))
			in.Headers[1] = forge(in.Headers[1], h)
			_, err = c.site.AcceptOpening(now, in)
			if name == "another site's own header" {
				wants(t, err, participant.ErrHeaderRound)
				return
			}
			wants(t, err, participant.ErrHeader)
		})
	}
}

// A header is good once in a set: nobody is counted twice, under whatever order.
func TestASiteListedTwiceIsRefused(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	for name, set := range map[string][]string{
		"side by side":   {"alpha", "beta", "beta", "gamma"},
		"at the end":     {"alpha", "beta", "gamma", "gamma"},
		"out of order":   {"alpha", "beta", "gamma", "beta"},
		"and one beyond": {"alpha", "beta", "beta", "delta", "gamma"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.site.AcceptOpening(now, c.opening(p, set))
			wants(t, err, participant.ErrSetOrder)
		})
	}
}
