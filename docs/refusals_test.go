package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every rule of refusals.md has a test, and every test it names exists.
func TestEveryRefusalHasItsTest(t *testing.T) {
	page, err := os.ReadFile("refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\[(\w+)\]\(([^)]+)\)`)
	parsed := map[string]map[string]bool{}
	rules := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| rule |") {
			continue
		}
		rules++
		cells := strings.Split(line, "|")
		tests := link.FindAllStringSubmatch(cells[len(cells)-2], -1)
		if len(tests) == 0 {
			t.Errorf("no test proves: %s", strings.TrimSpace(cells[1]))
		}
		for _, found := range tests {
			name, file := found[1], found[2]
			if parsed[file] == nil {
				parsed[file] = functions(t, file)
			}
			if !parsed[file][name] {
				t.Errorf("%s: %s is not in %s", strings.TrimSpace(cells[1]), name, file)
			}
		}
	}
	if rules < 30 {
		t.Errorf("found only %d rules: the page's form has changed", rules)
	}
}

// functions returns the names of the tests and fuzz targets of a file.
func functions(t *testing.T, file string) map[string]bool {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Error(err)
		return map[string]bool{}
	}
	names := map[string]bool{}
	for _, declaration := range syntax.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
			names[f.Name.Name] = true
		}
	}
	return names
}
