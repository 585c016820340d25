package web

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// The pieces of a file are one file, an empty file is one too, and what was
// longer before leaves nothing behind.
func TestPiecesBecomeFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	spool, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &archive{to: tar.NewWriter(&out), spool: spool, folder: "evidence", at: time.Unix(0, 0)}
	for _, piece := range [][2]string{{"long", "abc"}, {"long", "defgh"}, {"empty", ""}, {"short", "x"}} {
		if err := a.add(piece[0], []byte(piece[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.close(), spool.Close()); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(h.Name + "=" + string(content) + "\n")
	}
	if want := "evidence/long=abcdefgh\nevidence/empty=\nevidence/short=x\n"; got.String() != want {
		t.Errorf("the archive holds\n%swant\n%s", got.String(), want)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("the spool leaves %v behind, %v", left, err)
	}
}

// Nothing more is written to a reader who may not read any more.
func TestADownloadEndsWithTheMembership(t *testing.T) {
	gone := errors.New("removed")
	var out bytes.Buffer
	var still error
	d := &download{to: &out, deadline: http.NewResponseController(deadlines{httptest.NewRecorder()}), still: func() error { return still }}
	if _, err := d.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	still = gone
	if _, err := d.Write([]byte("after")); !errors.Is(err, gone) || out.String() != "before" {
		t.Errorf("written is %q, error %v", &out, err)
	}
}

// deadlines takes deadlines, as a connection does.
type deadlines struct{ http.ResponseWriter }

func (deadlines) SetWriteDeadline(time.Time) error { return nil }

// A stopping coordinator does not wait for downloads.
func TestAStoppingCoordinatorEndsDownloads(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	s := &site{serving: ctx}
	if err := s.still(httptest.NewRequest(http.MethodGet, "/", nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSoManyDownloadsAtATime(t *testing.T) {
	s := &site{bundles: make(chan struct{}, 1)}
	s.bundles <- struct{}{}
	w := httptest.NewRecorder()
	err := s.bundle(w, httptest.NewRequest(http.MethodGet, "/studies/x/bundle.tar.gz", nil))
	if p, ok := errors.AsType[*problem](err); !ok || p.Status != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("error %v, header %v", err, w.Header())
	}
	if len(s.bundles) != 1 {
		t.Error("the refused download has freed another's place")
	}
}
