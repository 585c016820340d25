package docs

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every key that the parser accepts is on the page of the study file. The keys
// are the words that the source of study hands to its strict reader.
func TestEveryKeyOfAStudyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("study-file.md")
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`^[a-z][a-z_]*$`)
	keys := map[string]bool{}
	for _, file := range sources(t) {
		if file.folder != "study" {
			continue
		}
		ast.Inspect(file.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			if method, ok := call.Fun.(*ast.SelectorExpr); !ok || method.Sel.Name != "section" {
				return true
			}
			for _, argument := range call.Args[2:] {
				if literal, ok := argument.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if key, err := strconv.Unquote(literal.Value); err == nil && word.MatchString(key) {
						keys[key] = true
					}
				}
			}
			return true
		})
	}
	if len(keys) < 60 {
		t.Fatalf("found only %d keys: the reader has changed", len(keys))
	}
	for key := range keys {
		if !strings.Contains(string(page), "`"+key+"`") && !regexp.MustCompile(`\b`+key+`:`).Match(page) &&
			!regexp.MustCompile("`[^`\n]*\\b"+key+"\\b[^`\n]*`").Match(page) {
			t.Errorf("study-file.md does not say what %s is", key)
		}
	}
}
