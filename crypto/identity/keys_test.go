package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// No way of printing or encoding keys, nor what holds them, shows a secret.
func TestKeysHaveNoPrintableForm(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	sealing, err := site.Keys().secret().sealing.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{site.Keys().Signing().Seed(), sealing, c.governance.key().Seed(), c.coordinator.authority().Seed()}
	type holder struct {
		Keys       Keys
		keys       Keys
		pointer    *Keys
		governance Governance
		node       *Node
	}
	values := []any{
		site.Keys(), *site.Keys(), c.governance, *c.governance, site, c.coordinator,
		holder{*site.Keys(), *site.Keys(), site.Keys(), *c.governance, site},
		&holder{*site.Keys(), *site.Keys(), site.Keys(), *c.governance, site},
		[]*Keys{site.Keys()}, map[string]Keys{"k": *site.Keys()},
	}
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		logger.Info("value", "v", v)
		encoded, _ := json.Marshal(v)
		out.Write(encoded)
	}
	printed := out.String()
	for i, secret := range secrets {
		for form, text := range map[string]string{
			"raw":     string(secret),
			"hex":     hex.EncodeToString(secret[:8]),
			"base64":  base64.StdEncoding.EncodeToString(secret)[:16],
			"decimal": strings.Trim(fmt.Sprint(secret[:8]), "[]"),
			"source":  strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", secret[:8]), "[]byte{"), "}"),
		} {
			if strings.Contains(strings.ToLower(printed), strings.ToLower(text)) {
				t.Errorf("secret %d is printed as %s", i, form)
			}
		}
	}
	if _, err := json.Marshal(site.Keys()); err == nil {
		t.Error("keys are JSON")
	}
	if _, err := json.Marshal(c.governance); err == nil {
		t.Error("a governance key is JSON")
	}
	if got := fmt.Sprintf("%v %#v", site.Keys(), *site.Keys()); got != "[private keys] [private keys]" {
		t.Errorf("prints %s", got)
	}
}

func TestPrivateFilesAreForTheOwnerAlone(t *testing.T) {
	c := begin(t, "north")
	c.enrol("mercy", RoleSite)
	err := filepath.WalkDir(c.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if path != c.dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		if strings.HasPrefix(entry.Name(), ".new-") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	member := c.memberDir("mercy")
	for path, open := range map[string]func() error{
		filepath.Join(member, "signing.key"):                 func() error { _, err := OpenNode(member); return err },
		filepath.Join(member, "sealing.key"):                 func() error { _, err := OpenNode(member); return err },
		filepath.Join(c.dir, "coordinator", "authority.key"): func() error { _, err := OpenNode(filepath.Join(c.dir, "coordinator")); return err },
		filepath.Join(c.dir, "governance", "governance.key"): func() error { _, err := OpenGovernance(filepath.Join(c.dir, "governance")); return err },
	} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := open(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("%s with mode %04o: %v", filepath.Base(path), mode, err)
			}
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); err != nil {
			t.Errorf("%s with mode 0600: %v", filepath.Base(path), err)
		}
	}
}

func TestDamagedDirectoriesAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"no certificate":        remove("certificate.pem"),
		"damaged certificate":   write("certificate.pem", "x"),
		"certificate is no DER": write("certificate.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"no signing key":        remove("signing.key"),
		"damaged signing key":   write("signing.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		"empty signing key":     write("signing.key", ""),
		"no sealing key":        remove("sealing.key"),
		"damaged sealing key":   write("sealing.key", "-----BEGIN HPKE MLKEM768-P256 PRIVATE KEY-----\nAAAA\n-----END HPKE MLKEM768-P256 PRIVATE KEY-----\n"),
		"no name":               remove("name"),
		"another name":          write("name", "luke\n"),
		"no governance key":     remove("governance.pub"),
		"damaged governance":    write("governance.pub", "x"),
		"no first roster":       remove("rosters/000001.json"),
		"damaged roster":        write("rosters/000002.json", "{}"),
	} {
		t.Run(name, func(t *testing.T) {
			c := begin(t, "north")
			c.enrol("mercy", RoleSite)
			spoil(t, c.memberDir("mercy"))
			if _, err := OpenNode(c.memberDir("mercy")); err == nil {
				t.Error("opened")
			}
		})
	}
	t.Run("another member's keys", func(t *testing.T) {
		c := begin(t, "north")
		c.enrol("mercy", RoleSite)
		stranger, err := GenerateKeys(RoleSite)
		if err != nil {
			t.Fatal(err)
		}
		if err := stranger.save(c.memberDir("mercy")); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenNode(c.memberDir("mercy")); err == nil {
			t.Error("opened with keys that the roster does not list")
		}
	})
	if _, err := OpenNode(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("opened a directory that is not there")
	}
}

func remove(file string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
}

func write(file, contents string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublicKeysCrossAsPEM(t *testing.T) {
	keys, err := GenerateKeys(RoleAuditor)
	if err != nil {
		t.Fatal(err)
	}
	text, err := FormatPublicKey(keys.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParsePublicKey(text); err != nil || !got.Equal(keys.Public()) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x", string(text) + "x", string(text) + string(text), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := ParsePublicKey([]byte(bad)); err == nil {
			t.Errorf("parsed %q", bad)
		}
	}
}

func TestWhatIsWrittenOnceIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "roster")
	for range 2 { // the same bytes again are no change
		if err := writeOnce(path, []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeOnce(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if got, _ := readFile(path); string(got) != "one" {
		t.Errorf("file holds %q", got)
	}
	if err := writeFile(path, []byte("three")); err != nil {
		t.Fatal(err)
	}
	if got, _ := readFile(path); string(got) != "three" {
		t.Errorf("file holds %q", got)
	}
}
