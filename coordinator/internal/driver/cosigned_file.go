package driver

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/internal/durable"
)

// keptCosignature is a cosignature in the file that outlives the process.
type keptCosignature struct {
	Site      string `json:"site"`
	Size      uint64 `json:"size"`
	Key       []byte `json:"key"` // the site's, then
	Signature []byte `json:"signature"`
}

// keepCosigned writes down what sites have cosigned last, once for every entry
// that is worth witnessing: a site may be away, or gone, when the coordinator
// starts again and the evidence is asked for. It is not a fact: nothing is decided
// by it, and each site brings its own again. The caller holds the lock.
func (d *Driver) keepCosigned() {
	if d.CosignedFile == "" {
		return
	}
	var kept []keptCosignature
	for _, site := range slices.Sorted(maps.Keys(d.cosigned)) {
		c := d.cosigned[site]
		kept = append(kept, keptCosignature{site, c.size, c.key, c.bytes})
	}
	data, err := json.Marshal(kept)
	if err == nil {
		err = durable.WriteFile(d.CosignedFile, data, 0o600)
	}
	if err != nil {
		d.Logger.Warn("cosignatures could not be kept", zap.Error(err))
	}
}

// readCosigned takes back what was kept, as far as it is of this log: whatever is
// damaged is brought again by its site.
func (d *Driver) readCosigned() {
	data, err := os.ReadFile(d.CosignedFile)
	if d.CosignedFile == "" || errors.Is(err, fs.ErrNotExist) {
		return
	}
	var kept []keptCosignature
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		d.Logger.Warn("cosignatures that were kept could not be read", zap.Error(err))
		return
	}
	for _, k := range kept {
		head, err := d.headAt(k.Size)
		if err == nil {
			_, err = ledger.VerifyCosignature(head, k.Signature, k.Key)
		}
		if err != nil {
			d.Logger.Warn("a cosignature that was kept is not of this log", zap.String("site", k.Site), zap.Error(err))
			continue
		}
		d.cosigned[k.Site] = cosignature{k.Size, k.Key, k.Signature}
	}
}
