// Package settings reads the configuration files of our servers.
//
// A configuration is YAML, and refuses what it does not understand: an unknown
// key is an error that names its line and the nearest key, and so are a key
// given twice, a list where one value belongs, and a value that its key cannot
// mean. A misspelled limit must not become no limit. What a file leaves out keeps
// the value it had before reading, so a program states its defaults by filling
// its configuration first; what each key means it states by Keys.
//
// No message repeats a value, because a value may be a password.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/study"
)

// Keys are all keys that a file may have. A dot separates a section's name from
// its keys: "studies.approve" is the key approve in the section studies.
type Keys map[string]Key

// Key says how a key is read.
type Key struct {
	List bool                    // it takes a list, and Read reads each item
	Read func(text string) error // "line 3: key \"x\": " precedes the error
}

// ReadFile reads a program's configuration file. Its errors tell a person what
// to do next.
func ReadFile(path, program string, keys Keys) error {
	source, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return console.Fail("the configuration cannot be read", err, "the same command as the user that "+program+" runs as")
	}
	if err != nil {
		return console.Fail("the configuration cannot be read", err, fmt.Sprintf("%s config > %s.yaml", program, program))
	}
	if err := Parse(source, keys); err != nil {
		return console.Fail("the configuration is not valid", fmt.Errorf("%s: %w", path, err), program+" config   prints a complete example")
	}
	return nil
}

// Parse reads a configuration.
func Parse(source []byte, keys Keys) error {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // only comments
	} else if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one document in the file")
	}
	return keys.section(document.Content[0], "")
}

// section reads a mapping whose keys begin with prefix.
func (keys Keys) section(node *yaml.Node, prefix string) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: this is not a list of keys and values", node.Line)
	}
	names := keys.names(prefix)
	seen := make(map[string]bool)
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		if seen[name] {
			return fmt.Errorf("line %d: key %q is given twice", key.Line, name)
		}
		seen[name] = true
		known, isKey := keys[name]
		var err error
		switch {
		case !slices.Contains(names, key.Value): // a dot in it would pass for a section's
			err = unknown(key, prefix, names)
		case isKey:
			err = known.value(name, value)
		default:
			err = keys.section(value, name+".")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the keys and sections directly below a prefix, sorted.
func (keys Keys) names(prefix string) []string {
	var names []string
	for key := range keys {
		if rest, below := strings.CutPrefix(key, prefix); below {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func unknown(key *yaml.Node, prefix string, names []string) error {
	if near := study.Nearest(key.Value, names); near != "" {
		return fmt.Errorf("line %d: unknown key %q; the nearest is %q", key.Line, prefix+key.Value, prefix+near)
	}
	return fmt.Errorf("line %d: unknown key %q; the keys here are %s", key.Line, prefix+key.Value, strings.Join(names, ", "))
}

// value reads what stands behind a key.
func (k Key) value(name string, node *yaml.Node) error {
	values := []*yaml.Node{node}
	if k.List {
		if node.Kind != yaml.SequenceNode {
			return fmt.Errorf("line %d: key %q takes a list", node.Line, name)
		}
		values = node.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: key %q takes one value", v.Line, name)
		}
		if err := k.Read(v.Value); err != nil {
			return fmt.Errorf("line %d: key %q: %w", v.Line, name, err)
		}
	}
	return nil
}

// Relative makes relative paths in a configuration file start at the file's own
// folder. An empty path stays empty.
func Relative(file string, paths ...*string) {
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(file), *path)
		}
	}
}
