package web

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
)

// bundle streams a study's evidence, the files that `consilium audit fetch`
// fetches without ciphertexts, below a folder of the study's name. A download
// that is cut off does not look complete: the connection is torn, and gzip's own
// end is missing.
func (s *site) bundle(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.bundles <- struct{}{}:
		defer func() { <-s.bundles }()
	default:
		return busy(w, "other evidence is being downloaded")
	}
	st, err := s.driver.Status(r.PathValue("study"))
	if err != nil {
		return err
	}
	folder := "evidence-" + st.Study.String()[:12]
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+folder+`.tar.gz"`)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := s.stream(w, r, st.Study.String(), folder); err != nil {
		s.log.Warn("evidence was cut off", zap.String("reader", reader(r).Name), zap.Stringer("study", st.Study), zap.Error(err))
		panic(http.ErrAbortHandler) // tears the connection
	}
	s.log.Info("evidence was downloaded", zap.String("reader", reader(r).Name), zap.Stringer("study", st.Study))
	return nil
}

func (s *site) stream(w http.ResponseWriter, r *http.Request, study, folder string) (err error) {
	spool, err := newSpool()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	zipped := gzip.NewWriter(&download{w, http.NewResponseController(w), func() error { return s.still(r) }})
	archive := &archive{to: tar.NewWriter(zipped), spool: spool, folder: folder, at: s.now()}
	if err := s.driver.Evidence(study, reader(r), false, archive.add); err != nil {
		return err
	}
	return errors.Join(archive.close(), zipped.Close())
}

// download gives every write its own time, so that a reader may be slow but must
// not stall, and asks before it whether the reader may still read.
type download struct {
	to       io.Writer
	deadline *http.ResponseController
	still    func() error
}

func (d *download) Write(data []byte) (int, error) {
	if err := errors.Join(d.still(), d.deadline.SetWriteDeadline(time.Now().Add(stall))); err != nil {
		return 0, err
	}
	return d.to.Write(data)
}

// archive writes files whose pieces come one after another. A tar header holds
// the size of what follows, so that a file is spooled until it is complete.
type archive struct {
	to     *tar.Writer
	spool  *spool
	folder string
	path   string
	at     time.Time
}

func (a *archive) add(path string, piece []byte) error {
	if path != a.path {
		if err := a.flush(); err != nil {
			return err
		}
		a.path = path
	}
	_, err := a.spool.Write(piece)
	return err
}

func (a *archive) flush() error {
	if a.path == "" {
		return nil
	}
	size, err := a.spool.rewind()
	if err != nil {
		return err
	}
	if err := a.to.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: a.folder + "/" + a.path, Size: size, Mode: 0o644, ModTime: a.at, Format: tar.FormatPAX,
	}); err != nil {
		return err
	}
	if _, err := io.Copy(a.to, a.spool); err != nil {
		return err
	}
	return a.spool.reset()
}

func (a *archive) close() error { return errors.Join(a.flush(), a.to.Close()) }

// spool is a file of unknown length on its way: in memory that would be as much
// as the largest sum. What it holds is no secret, being part of the evidence.
type spool struct{ *os.File }

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "consilium-evidence-")
	if err != nil {
		return nil, fmt.Errorf("evidence needs a temporary file: %w", err)
	}
	return &spool{f}, nil
}

func (s *spool) rewind() (size int64, err error) {
	if size, err = s.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	_, err = s.Seek(0, io.SeekStart)
	return size, err
}

func (s *spool) reset() error {
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.Truncate(0)
}

// Close removes the file.
func (s *spool) Close() error { return errors.Join(s.File.Close(), os.Remove(s.Name())) }
