package ledger

import (
	"encoding/base64"
	"fmt"
)

// FormatProofFile writes the proof that a leaf is in the log as C2SP tlog-proof
// does: a text that stands alone beside what it proves. Its unauthenticated
// extra data is the leaf, whose subject is the digest of the file beside it; the
// checkpoint may carry cosignatures.
func FormatProofFile(leaf []byte, index uint64, proof [][32]byte, checkpoint []byte) []byte {
	out := fmt.Appendf(nil, "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n", base64.StdEncoding.EncodeToString(leaf), index)
	for _, hash := range proof {
		out = fmt.Appendf(out, "%s\n", base64.StdEncoding.EncodeToString(hash[:]))
	}
	return append(append(out, '\n'), checkpoint...)
}
