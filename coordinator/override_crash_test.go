package coordinator_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
)

// The coordinator is killed inside the override of a blocked release: just before
// it is durable, and just after, when nobody has had an answer. There is then
// neither override nor release, or both with their two entries in the ledger; the
// auditor's same envelope, sent again, comes to the one release, and no second
// override beside it.
func TestKilledInsideAnOverride(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"before it is durable": true, "after it is durable": false} {
		t.Run(name, func(t *testing.T) {
			p := &play{Consortium: rehearsal.New(t), t: t}
			// Of so few patients no criterion can be decided, so this one blocks.
			p.protocol = strings.Replace(rehearsal.Study, "fairness:\n", "fairness:\n  criteria: [{metric: mae, margin: 0, on_insufficient: block}]\n", 1)
			p = start(t, p, coordinator.Options{}, 3, nil, func(p *play) { p.Enrol(identity.RoleAuditor, "Olga") })
			if st := p.finish(); st.Gate != "blocked" || !st.Release.IsZero() {
				t.Fatalf("the study is %s (%s), its release %s", st.State, st.Reason, st.Gate)
			}
			p.server.Stop()
			o, pulled, closeStore := plugged(t, p.StateDir(), 0)
			pulled.at, pulled.before = `"kind":"overridden"`, before
			p.server = p.Start(o)
			olga := p.Auditor("Olga")
			envelope, _ := olga.Sign(p.study, "the hospitals want it for women only")
			if release, err := olga.Send(p.study, envelope); err == nil {
				t.Fatalf("the coordinator was killed and answered %s", release)
			}
			if !pulled.pulled.Load() {
				t.Fatal("nothing was overridden, so nobody was killed")
			}
			p.server.Stop()
			closeStore()
			p.server = p.Start(coordinator.Options{})

			st, err := p.server.Status(p.study)
			if err != nil {
				t.Fatal(err)
			}
			if durable := st.Override != nil; durable == before || (!st.Release.IsZero()) != durable {
				t.Errorf("back again: override %+v, release %v", st.Override, st.Release)
			}
			release, err := p.Auditor("Olga").Send(p.study, envelope)
			if err != nil {
				t.Fatalf("the same envelope again: %v", err)
			}
			if st, err = p.server.Status(p.study); err != nil || st.Release.String() != release || st.Override == nil {
				t.Errorf("release %s was answered, and there is %+v (%v)", release, st, err)
			}
			if again, err := p.Auditor("Olga").Send(p.study, envelope); err != nil || again != release {
				t.Errorf("a third time: %s, %v", again, err)
			}
			if err := p.Auditor("Olga").Override(p.study, "another reason"); rehearsal.Code(err) != "overridden-already" {
				t.Errorf("a second override: %v", err)
			}
			_, conn := p.Connect("Olga")
			entries := bytes.Count(p.fetch(t, conn, false)["entries.jsonl"].Data, []byte(`"`+ledger.TypeReleaseOverride+`"`))
			if entries != 1 {
				t.Errorf("the ledger has %d overrides", entries)
			}
			p.verify(t)
		})
	}
}
