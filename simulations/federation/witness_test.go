package federation

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
)

// The real agents cosign what they see of the ledger, and the second verifier
// holds their study's bundle, too. How far each has cosigned when the evidence is
// asked for is a matter of time; that each has is not, since it polled again after
// the study was shown to it.
func TestEveryHospitalCosignsTheLedger(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "bundle")
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: hospitals(t, 3, 400), Bundle: bundle})
	s, err := independent.Verify(os.DirFS(bundle), "")
	if err != nil {
		t.Fatal(err)
	}
	if s.Hospitals != 3 || s.Cosigned != 3 || !s.Ciphertexts || s.Rounds != len(result.Rounds) {
		t.Errorf("%+v", s)
	}
	r, _, err := audit.Replay(os.DirFS(bundle), audit.Trust{})
	if err != nil || !r.Released || !r.Equal {
		t.Errorf("replay: %+v, %v", r, err)
	}
}
