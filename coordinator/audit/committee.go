package audit

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// checkCommittee holds that nobody chose the committee: whoever could would
// choose its friends. It is everyone who is invited or, of too many, those whom
// the ledger draws.
func (v *verifier) checkCommittee(plan *statement.Plan) error {
	if plan.Draw != nil {
		if err := v.checkDraw(plan); err != nil {
			return err
		}
	}
	if want := plan.Appointed(); !slices.Equal(plan.Committee, want) {
		return fmt.Errorf("its committee is not the %d that its %d invited sites and its draw give", len(want), len(plan.Invited))
	}
	return nil
}

// checkDraw holds that a plan draws from the checkpoint at which its study
// started, by the roster that was in force then, and only among its members: a
// name that is given later can be chosen for its place in the draw.
func (v *verifier) checkDraw(plan *statement.Plan) error {
	if v.start == nil {
		return fmt.Errorf("its committee is drawn for a study that was never started")
	}
	if err := v.draw(); err != nil {
		return err
	}
	switch draw, want := plan.Draw, v.drawn; {
	case draw.Size != want.Size:
		return fmt.Errorf("its committee is drawn from the first %d entries, where %s is the last of %d", draw.Size, v.start, want.Size)
	case draw.Root != want.Root:
		return fmt.Errorf("its committee is drawn from another ledger than this one: the first %d entries have another root", want.Size)
	case draw.Roster != want.Roster:
		return fmt.Errorf("its committee is drawn from another roster than number %d, which was in force at %s", v.start.roster.Number, v.start)
	}
	for _, site := range plan.Invited {
		if member, ok := v.start.roster.Member(site); !ok || member.Role != identity.RoleSite {
			return fmt.Errorf("it invites %q, which is no site on roster %d, from which its committee is drawn", site, v.start.roster.Number)
		}
	}
	return nil
}

// draw finds what the study's committees are drawn from, once.
func (v *verifier) draw() error {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	if v.drawn != nil {
		return nil
	}
	below := v.leaves[:v.start.index+1]
	root, err := ledger.RootOf(below)
	if err != nil {
		return err
	}
	v.drawn = &statement.Draw{Size: uint64(len(below)), Root: root}
	for _, r := range v.records[:len(below)] {
		if r.entry.Type == ledger.TypeRoster {
			v.drawn.Roster = r.entry.Subject
		}
	}
	return nil
}
