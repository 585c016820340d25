package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/page/plot"
)

//go:embed pages/*.html
var pagesHTML embed.FS

//go:embed style.css
var styleCSS string

// templates of the pages, by name: each fills the frame that all share.
var templates = func() map[string]*template.Template {
	frame := template.Must(template.New("frame").Funcs(template.FuncMap{
		"plural":  plot.Plural,
		"grouped": func(n int64) string { return plot.Grouped(int(n)) },
		"short":   func(digest any) string { return fmt.Sprint(digest)[:12] },
		"names":   func(names []string) string { return strings.Join(names, ", ") },
		"add":     func(a, b int) int { return a + b },
		"stamp":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).ParseFS(pagesHTML, "pages/frame.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"studies", "study", "compare", "ledger", "entry", "problem"} {
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(pagesHTML, "pages/"+name+".html"))
	}
	return all
}()

// frame is what every page has.
type frame struct {
	Kind, Title, Lead string
	Root              string // leads to the top, so that the pages can stand below a path
	Consortium        string
	Reader            string
	Page              any
}

func (s *site) frame(r *http.Request, kind, title string) frame {
	return frame{
		Kind: kind, Title: title, Consortium: s.driver.Roster().Consortium, Reader: reader(r).Name,
		Root: strings.Repeat("../", min(max(0, strings.Count(r.URL.Path, "/")-1), 4)),
	}
}

// write renders a whole page before any of it is sent.
func write(w http.ResponseWriter, status int, name string, f frame) error {
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "frame.html", f); err != nil {
		return fmt.Errorf("the page %s cannot be written: %w", name, err)
	}
	send(w, status, "text/html; charset=utf-8", b.Bytes())
	return nil
}

// send answers. A reader who has gone is no error.
func send(w http.ResponseWriter, status int, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

func (s *site) style(w http.ResponseWriter, _ *http.Request) error {
	send(w, http.StatusOK, "text/css; charset=utf-8", []byte(string(plot.Style())+styleCSS))
	return nil
}
