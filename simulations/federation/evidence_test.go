package federation

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/audit"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// What is verified is the bundle that an auditor gets, also where its ciphertexts
// were not copied: the same files with the same bytes, each held against its name.
func TestCiphertextsThatAreNotCopiedAreVerified(t *testing.T) {
	spec := Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: hospitals(t, 3, 400), Dir: t.TempDir()}
	study, err := spec.check()
	ok(t, err)
	c, err := newConsortium(t.Context(), spec, study)
	ok(t, err)
	t.Cleanup(func() { ok(t, c.Close()) })
	ok(t, c.RunStudy(t.Context()))

	evidence, err := c.evidence(t.Context())
	ok(t, err)
	var blobs []string
	ok(t, fetch(t.Context(), consiliumv1.NewLedgerServiceClient(c.auditor.conn), c.digest(), true, func(path string, data []byte) error {
		if !strings.HasPrefix(path, "blobs/") {
			return nil // hospitals cosign meanwhile
		}
		blobs = append(blobs, path)
		if own, err := evidence.ReadFile(path); err != nil || !bytes.Equal(own, data) {
			t.Errorf("%s is not what an auditor gets: %v", path, err)
		}
		return nil
	}))
	listed, err := evidence.ReadDir("blobs")
	ok(t, err)
	if len(listed) != len(blobs) {
		t.Errorf("the bundle has %d blobs, an auditor gets %d", len(listed), len(blobs))
	}

	verify := func() *audit.Findings {
		found, err := audit.Verify(evidence, audit.Trust{Governance: c.governance.Public()})
		ok(t, err)
		return found
	}
	if bad, failed := verify().First(audit.Failed); failed {
		t.Fatalf("%+v", bad)
	}
	longest := slices.MaxFunc(blobs, func(x, y string) int {
		a, _ := evidence.ReadFile(x)
		b, _ := evidence.ReadFile(y)
		return len(a) - len(b)
	})
	whole := evidence.files[longest]
	evidence.files[longest] = func([]byte) ([]byte, error) {
		data, err := whole(nil)
		data = bytes.Clone(data)
		data[len(data)-1] ^= 1
		return data, err
	}
	if bad, _ := verify().First(audit.Failed); bad.Check != "files" || !strings.Contains(bad.Detail, longest) {
		t.Errorf("a ciphertext was damaged at the coordinator: %+v", bad)
	}
}
