// Package docs holds what people read. Its tests keep the written architecture
// true: they read the imports of every source file and fail where one crosses
// a line that docs/architecture.md draws.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/consilium-fl/consilium"

// sourceFile is one non-test Go file: its package's path below the module
// root, and what it imports.
type sourceFile struct {
	name    string
	folder  string
	imports []string
	syntax  *ast.File
}

// sources reads every non-test, non-generated Go file of the module.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != "." || entry.Name() == "testdata" || name == "out" || name == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".pb.go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", name), nil, 0)
		if err != nil {
			return err
		}
		file := sourceFile{name: name, folder: path.Dir(name), syntax: syntax}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			file.imports = append(file.imports, imported)
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d source files: the walk has lost the tree", len(files))
	}
	return files
}

// below reports whether a folder or import path lies in a tree.
func below(name, tree string) bool { return name == tree || strings.HasPrefix(name, tree+"/") }

// ours returns the folder of an import of this module, and whether it is one.
func ours(imported string) (string, bool) {
	folder, ok := strings.CutPrefix(imported, module+"/")
	return folder, ok
}

func TestOnlySecaggImportsLattigo(t *testing.T) {
	for _, file := range sources(t) {
		for _, imported := range file.imports {
			if strings.HasPrefix(imported, "github.com/tuneinsight/lattigo") && !below(file.folder, "crypto/secagg") {
				t.Errorf("%s imports %s: only crypto/secagg may", file.name, imported)
			}
		}
	}
}

func TestCoordinatorAndSiteAgentStayApart(t *testing.T) {
	for _, file := range sources(t) {
		for _, imported := range file.imports {
			folder, ok := ours(imported)
			switch {
			case !ok:
			case below(file.folder, "coordinator") && below(folder, "site-agent"),
				below(file.folder, "site-agent") && below(folder, "coordinator"):
				t.Errorf("%s imports %s: the two sides share only contracts", file.name, imported)
			case below(file.folder, "coordinator") && file.folder != "coordinator/cmd/consilium" && below(folder, "internal/records"):
				t.Errorf("%s imports %s: the server has no records to read; a researcher's dry run has", file.name, imported)
			case below(folder, "simulations") && !below(file.folder, "simulations"):
				t.Errorf("%s imports %s: nothing imports simulations", file.name, imported)
			}
		}
	}
}

func TestCryptoImportsNothingOfOursOutsideCrypto(t *testing.T) {
	for _, file := range sources(t) {
		if !below(file.folder, "crypto") {
			continue
		}
		for _, imported := range file.imports {
			if folder, ok := ours(imported); ok && !below(folder, "crypto") {
				t.Errorf("%s imports %s", file.name, imported)
			}
		}
	}
}

// The pure packages decide; they do not act. What they may not import is what
// would let them act or differ between two runs.
func TestPureCoresTouchNothingOutside(t *testing.T) {
	pure := []string{"study", "compute", "coordinator/round", "coordinator/audit", "site-agent/participant"}
	forbidden := []string{"net", "os", "context", "database/sql", "math/rand", "crypto/rand", "log", "log/slog",
		"go.uber.org/zap", "google.golang.org/grpc", module + "/proto"}
	for _, file := range sources(t) {
		if !slices.ContainsFunc(pure, func(tree string) bool { return below(file.folder, tree) }) {
			continue
		}
		for _, imported := range file.imports {
			// A network begins at weights drawn from the study's seed, and the audit
			// draws what chance would do from its digest.
			if imported == "math/rand/v2" && (file.folder == "compute/neural" || file.folder == "compute/fairness") {
				continue
			}
			for _, no := range forbidden {
				// net/url and the like parse text and open nothing.
				if imported == no || strings.HasPrefix(no, module) && below(imported, no) || no == "google.golang.org/grpc" && below(imported, no) || no == "math/rand" && below(imported, no) {
					t.Errorf("%s imports %s: this package is pure", file.name, imported)
				}
			}
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			if call, ok := node.(*ast.SelectorExpr); ok && call.Sel.Name == "Now" {
				if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" {
					t.Errorf("%s reads the clock: this package is pure", file.name)
				}
			}
			return true
		})
	}
}

func TestComputeImportsOnlyStudyAndNumerics(t *testing.T) {
	for _, file := range sources(t) {
		for _, imported := range file.imports {
			folder, ok := ours(imported)
			switch {
			case below(file.folder, "study") && ok && !below(folder, "study"):
				t.Errorf("%s imports %s: study stands alone", file.name, imported)
			case below(file.folder, "compute") && ok && !below(folder, "compute") && !below(folder, "study"):
				t.Errorf("%s imports %s: compute knows the study and itself", file.name, imported)
			}
		}
	}
}

// Only the uplink opens a connection out of a hospital.
func TestOnlyTheUplinkOpensConnections(t *testing.T) {
	network := []string{"net", "net/http", "google.golang.org/grpc", "crypto/tls"}
	for _, file := range sources(t) {
		if !below(file.folder, "site-agent") || below(file.folder, "site-agent/internal/uplink") {
			continue
		}
		for _, imported := range file.imports {
			if slices.Contains(network, imported) {
				t.Errorf("%s imports %s: only site-agent/internal/uplink may reach the network", file.name, imported)
			}
		}
	}
}

// Sending vectors unencrypted exists for comparison in the simulator alone.
func TestOnlySimulationsSendUnencrypted(t *testing.T) {
	for _, file := range sources(t) {
		if below(file.folder, "simulations") || below(file.folder, "crypto/secagg") {
			continue
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			if call, ok := node.(*ast.SelectorExpr); ok && call.Sel.Name == "Unencrypted" {
				t.Errorf("%s names secagg.Unencrypted: only simulations may", file.name)
			}
			return true
		})
	}
}

func TestNoJunkDrawers(t *testing.T) {
	for _, file := range sources(t) {
		for _, part := range strings.Split(file.folder, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "pkg", "lib"}, part) {
				t.Errorf("%s lies in a folder called %s", file.name, part)
			}
		}
	}
}
