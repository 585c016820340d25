package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "usage"},
		{[]string{"a", "b"}, 2, "usage"},
		{[]string{"-no-such-flag", "a"}, 2, "usage"},
		{[]string{t.TempDir()}, 1, "does not hold: entries.jsonl"},
		{[]string{"/no/such/bundle"}, 1, "does not hold"},
	} {
		var out, errs bytes.Buffer
		if code := run(test.args, &out, &errs); code != test.code || !strings.Contains(errs.String(), test.says) {
			t.Errorf("%q: exit code %d, %s", test.args, code, errs.String())
		}
	}
}
