//go:build unix

package siteagent

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Owner returns whose a state directory is if it is not this process's user's. An
// agent cannot read what another user, root before all, leaves in its state:
// keys, certificates and decisions are for their owner's eyes alone.
func Owner(dir string) (owner string, another bool, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && os.Geteuid() == 0 {
		info, err = os.Stat(filepath.Dir(dir)) // root would make it, in somebody's folder
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(s.Uid) == os.Geteuid() {
		return "", false, nil
	}
	id := strconv.FormatUint(uint64(s.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username, true, nil
	}
	return "#" + id, true, nil // as sudo names a user without a name
}
