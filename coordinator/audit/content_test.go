package audit

import (
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// counting is a bundle that counts how often each file is read.
type counting struct {
	fstest.MapFS
	mu    sync.Mutex
	reads map[string]int
}

func (c *counting) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads[name]++
}

func (c *counting) Open(name string) (fs.File, error) {
	c.count(name)
	return c.MapFS.Open(name)
}

func (c *counting) ReadFile(name string) ([]byte, error) {
	c.count(name)
	return c.MapFS.ReadFile(name)
}

// chunksOf names the ciphertexts of a bundle.
func chunksOf(t *testing.T, files fstest.MapFS) (chunks []string) {
	t.Helper()
	for _, file := range files {
		kind, payload, err := statement.Payload(file.Data)
		if err != nil || kind != statement.KindContributionHeader {
			continue
		}
		var h statement.ContributionHeader
		must(t, statement.Decode(payload, &h))
		for _, chunk := range h.Chunks {
			chunks = append(chunks, blobFile(chunk))
		}
	}
	return chunks
}

// Ciphertext is nearly all of a bundle: it is read once, to hold it against its
// name and to open it.
func TestNoCiphertextIsReadTwice(t *testing.T) {
	c := newConsortium(t)
	honest := build(t, c, lies{})
	bundle := &counting{MapFS: honest, reads: make(map[string]int)}
	f, err := Verify(bundle, Trust{Governance: c.governance.Public()})
	must(t, err)
	if !f.Holds() {
		t.Fatal("an honest bundle does not hold")
	}
	chunks := chunksOf(t, honest)
	if len(chunks) < 12 {
		t.Fatalf("the bundle has %d ciphertexts: the test has lost its object", len(chunks))
	}
	for _, chunk := range chunks {
		if n := bundle.reads[chunk]; n != 1 {
			t.Errorf("%s is read %d times", chunk, n)
		}
	}
}

// What is read to be opened is held against its name even where the round does
// not open: a chunk after the one that stops the opening is not overlooked.
func TestACiphertextOfARoundThatDoesNotOpenIsHeldAgainstItsName(t *testing.T) {
	c := newConsortium(t)
	lying := build(t, c, lies{share: func(member string, share []byte) []byte {
		if member == siteNames[0] {
			share[0] ^= 1
		}
		return share
	}})
	trust := Trust{Governance: c.governance.Public()}
	expect(t, lying, trust, "shares", "does not open")
	for _, chunk := range chunksOf(t, lying) {
		files := copied(lying)
		files[chunk].Data[len(files[chunk].Data)-1] ^= 1
		expect(t, files, trust, "files", strings.TrimPrefix(chunk, blobFolder), "damaged")
	}
}
