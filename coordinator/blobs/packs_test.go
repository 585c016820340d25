package blobs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
)

var thePack = statement.DigestOf([]byte("a round"))

// inPack opens a folder anew, as after a restart.
func inPack(t *testing.T, dir string) blobs.Store {
	t.Helper()
	return open(t, dir).In(thePack)
}

func packFile(dir string) string { return filepath.Join(dir, thePack.String()+".pack") }

func mustBe(t *testing.T, s blobs.Store, name statement.Digest, want []byte) {
	t.Helper()
	got, err := s.Get(name)
	streamed, streamErr := read(s, name)
	if err != nil || streamErr != nil || !bytes.Equal(got, want) || !bytes.Equal(streamed, want) {
		t.Errorf("%d bytes came back as %d and %d, %v, %v", len(want), len(got), len(streamed), err, streamErr)
	}
	if has, err := s.Has(name); !has || err != nil {
		t.Errorf("%d bytes are there: %v, %v", len(want), has, err)
	}
}

func TestAPackIsOneFileOfManyBlobs(t *testing.T) {
	dir := t.TempDir()
	s := inPack(t, dir)
	all := [][]byte{{}, []byte("a"), bytes.Repeat([]byte("xyz"), 100_000), []byte("last")}
	for range 2 {
		var named []blobs.Blob
		for _, data := range all {
			named = append(named, blobs.New(data))
		}
		name, err := s.Write(written("written"))
		if err := errors.Join(err, s.Put(named...), s.Put(), s.Stage(blobs.New([]byte("staged"))), s.Sync()); err != nil {
			t.Fatal(err)
		}
		if name != statement.DigestOf([]byte("written")) {
			t.Error("written under another name")
		}
		for _, s := range []blobs.Store{s, inPack(t, dir)} {
			for _, data := range append(all, []byte("written"), []byte("staged")) {
				mustBe(t, s, statement.DigestOf(data), data)
			}
		}
	}
	if got := folder(t, dir); len(got) != 1 {
		t.Errorf("files %v", got)
	}
	info, err := os.Stat(packFile(dir))
	if most := int64(300_000 + 6*100); err != nil || info.Size() > most {
		t.Errorf("the pack takes %d bytes, %v: a blob is in it twice", info.Size(), err)
	}
	if part, err := s.Section(nil, statement.DigestOf(all[2]), 299_998, 2); err != nil || string(part) != "yz" {
		t.Errorf("the end of a blob: %q, %v", part, err)
	}
	if _, err := s.Section(nil, statement.DigestOf(all[2]), 299_998, 3); !errors.Is(err, blobs.ErrDamaged) {
		t.Errorf("beyond a blob's end, where others follow: %v", err)
	}
}

func TestAStoreKnowsItsOwnBlobsAlone(t *testing.T) {
	f := open(t, t.TempDir())
	other := f.In(statement.DigestOf([]byte("another round")))
	name := put(t, f.In(thePack), []byte("of one round"))
	for where, s := range map[string]blobs.Store{"another pack": other, "no pack": f, "no pack, by its digest": f.In(thePack).In(statement.Digest{})} {
		_, err := s.Get(name)
		_, openErr := s.Open(name)
		_, sectionErr := s.Section(nil, name, 0, 0)
		has, hasErr := s.Has(name)
		if !errors.Is(err, blobs.ErrMissing) || !errors.Is(openErr, blobs.ErrMissing) || !errors.Is(sectionErr, blobs.ErrMissing) || has || hasErr != nil {
			t.Errorf("%s: %v, %v, %v, %v, %v", where, err, openErr, sectionErr, has, hasErr)
		}
	}
	mustBe(t, other.In(thePack), name, []byte("of one round"))
}

// A power cut leaves any beginning of what was not synced yet. What was synced
// before stays, what is cut is not there, and it can be stored again.
func TestAPackThatIsCutAnywhereKeepsWhatIsWhole(t *testing.T) {
	dir := t.TempDir()
	first, second := []byte("the first blob"), []byte("the second")
	put(t, inPack(t, dir), first)
	before, err := os.ReadFile(packFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	put(t, inPack(t, dir), second)
	both, err := os.ReadFile(packFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(before); cut < len(both); cut++ {
		for _, zeros := range []bool{false, true} { // the length is on the disk before the bytes, or not
			left := bytes.Clone(both[:cut])
			if zeros {
				left = append(left, make([]byte, len(both)-cut)...)
			}
			if err := os.WriteFile(packFile(dir), left, 0o600); err != nil {
				t.Fatal(err)
			}
			s := inPack(t, dir)
			mustBe(t, s, statement.DigestOf(first), first)
			if has, err := s.Has(statement.DigestOf(second)); has || err != nil {
				t.Fatalf("cut at %d: there is half a blob: %v, %v", cut, has, err)
			}
			put(t, s, second)
			put(t, s, []byte("the third"))
			again := inPack(t, dir)
			for _, data := range [][]byte{first, second, []byte("the third")} {
				mustBe(t, again, statement.DigestOf(data), data)
			}
		}
	}
}

func TestADamagedBlobOfAPackIsNoticedAndCanBeStoredAgain(t *testing.T) {
	dir := t.TempDir()
	first, second := []byte("the first blob"), []byte("the second")
	put(t, inPack(t, dir), first)
	put(t, inPack(t, dir), second)
	stored, err := os.ReadFile(packFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	stored[bytes.Index(stored, first)] ^= 1
	if err := os.WriteFile(packFile(dir), stored, 0o600); err != nil {
		t.Fatal(err)
	}
	s, name := inPack(t, dir), statement.DigestOf(first)
	if _, err := s.Get(name); !errors.Is(err, blobs.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := read(s, name); !errors.Is(err, blobs.ErrDamaged) {
		t.Errorf("damaged, as a stream: %v", err)
	}
	mustBe(t, s, statement.DigestOf(second), second)
	if has, err := s.Has(name); has || err != nil {
		t.Errorf("a damaged blob counts as stored: %v, %v", has, err)
	}
	put(t, s, first)
	for _, s := range []blobs.Store{s, inPack(t, dir)} {
		mustBe(t, s, name, first)
		mustBe(t, s, statement.DigestOf(second), second)
	}
}

// A damaged heading hides what lies behind it. Storing more does not destroy that.
func TestWhatADamagedHeadingHidesIsNotWrittenOver(t *testing.T) {
	dir := t.TempDir()
	first, second, third := []byte("the first blob"), []byte("the second"), bytes.Repeat([]byte("the third"), 100)
	put(t, inPack(t, dir), first)
	put(t, inPack(t, dir), second)
	stored, err := os.ReadFile(packFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	stored[0] ^= 1
	if err := os.WriteFile(packFile(dir), stored, 0o600); err != nil {
		t.Fatal(err)
	}
	s := inPack(t, dir)
	if _, err := s.Get(statement.DigestOf(second)); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("hidden: %v", err)
	}
	put(t, s, third)
	mustBe(t, inPack(t, dir), statement.DigestOf(third), third)
	stored, err = os.ReadFile(packFile(dir))
	if err != nil || !bytes.Contains(stored, first) || !bytes.Contains(stored, second) {
		t.Errorf("what was hidden is gone, %v", err)
	}
}

func TestAFailedWriteLeavesNothingInAPack(t *testing.T) {
	dir := t.TempDir()
	s := inPack(t, dir)
	name := put(t, s, []byte("before"))
	if _, err := s.Write(broken{}); !errors.Is(err, errBroken) {
		t.Errorf("from a source that fails: %v", err)
	}
	after := put(t, s, []byte("after, and longer"))
	for _, s := range []blobs.Store{s, inPack(t, dir)} {
		mustBe(t, s, name, []byte("before"))
		mustBe(t, s, after, []byte("after, and longer"))
		if has, err := s.Has(statement.DigestOf([]byte("half"))); has || err != nil {
			t.Errorf("half of it is there: %v, %v", has, err)
		}
	}
}

func TestManyWritersAndReadersOfAPack(t *testing.T) {
	dir := t.TempDir()
	s := inPack(t, dir)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			own := bytes.Repeat([]byte{byte(i)}, 10_000)
			if err := s.Put(blobs.New([]byte("the same")), blobs.New(own)); err != nil {
				t.Error(err)
			}
			mustBe(t, s, statement.DigestOf(own), own)
		})
	}
	all.Wait()
	again := inPack(t, dir)
	for i := range 16 {
		own := bytes.Repeat([]byte{byte(i)}, 10_000)
		mustBe(t, again, statement.DigestOf(own), own)
	}
	if info, err := os.Stat(packFile(dir)); err != nil || info.Size() > 16*10_100+100 {
		t.Errorf("%d bytes, %v: a blob is in the pack twice", info.Size(), err)
	}
}

// More packs than stay open: those that are used the longest ago are closed, and
// opened again when they are wanted.
func TestMorePacksThanAreKeptOpen(t *testing.T) {
	f := open(t, t.TempDir())
	defer f.Close()
	first := put(t, f.In(thePack), []byte("0"))
	reading, err := f.In(thePack).Open(first)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		put(t, f.In(statement.DigestOf(fmt.Append(nil, i))), fmt.Append(nil, i))
	}
	for i := range 300 {
		data := fmt.Append(nil, i)
		mustBe(t, f.In(statement.DigestOf(data)), statement.DigestOf(data), data)
	}
	if got, err := io.ReadAll(reading); err != nil || string(got) != "0" {
		t.Errorf("a pack was closed under its reader: %q, %v", got, err)
	}
	if err := reading.Close(); err != nil {
		t.Error(err)
	}
}

func TestAllThatIsStoredIsListed(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	single, packed, staged := put(t, f, []byte("single")), put(t, f.In(thePack), []byte("packed")), blobs.New([]byte("staged"))
	if err := f.In(thePack).Stage(staged); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*blobs.Files{f, open(t, dir)} {
		all, err := f.All()
		if err != nil || len(all) != 2 || !slices.Equal(all[f], []statement.Digest{single}) {
			t.Errorf("%v, %v", all, err)
		}
		in := all[f.In(thePack)]
		if len(in) != 2 || !slices.Contains(in, packed) || !slices.Contains(in, staged.Name()) {
			t.Errorf("in the pack: %v", in)
		}
	}
}

func TestAPackInAFolderThatIsGoneIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	s := inPack(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	_, err := s.Write(written("nowhere"))
	if err == nil || s.Put(blobs.New(nil)) == nil || s.Stage(blobs.New(nil)) == nil {
		t.Error("stored in a folder that is gone")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mustBe(t, s, put(t, s, []byte("back")), []byte("back"))
}
