package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
)

// config is what the file says.
type config struct {
	dir            string
	listen         string
	certificateTTL time.Duration
	logLevel       zapcore.Level
}

// keys of the file, each with how to read it.
var keys = map[string]func(c *config, text string) error{
	"dir": func(c *config, text string) error {
		if text == "" {
			return errors.New("it is empty")
		}
		c.dir = text
		return nil
	},
	"listen": func(c *config, text string) error {
		if _, _, err := net.SplitHostPort(text); err != nil {
			return errors.New("it is not host:port")
		}
		c.listen = text
		return nil
	},
	"certificate_ttl": func(c *config, text string) (err error) {
		c.certificateTTL, err = time.ParseDuration(text)
		if err != nil || c.certificateTTL < 10*time.Minute {
			return errors.New("it is not a duration of at least 10m, such as 24h")
		}
		return nil
	},
	"log_level": func(c *config, text string) error {
		if err := c.logLevel.UnmarshalText([]byte(text)); err != nil || c.logLevel > zapcore.ErrorLevel {
			return errors.New("it is not debug, info, warn or error")
		}
		return nil
	},
}

// readConfig reads a configuration file. What it leaves out has the default of
// the example.
func readConfig(path string) (config, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return config{}, &problem{
			what: "the configuration cannot be read", why: err.Error(),
			next: "coordinator config > coordinator.yaml",
		}
	}
	c, err := parseConfig(source)
	if err != nil {
		return config{}, &problem{what: "the configuration is not valid", why: fmt.Sprintf("%s: %v", path, err), next: "coordinator config   prints a complete example"}
	}
	if !filepath.IsAbs(c.dir) {
		c.dir = filepath.Join(filepath.Dir(path), c.dir)
	}
	return c, nil
}

func parseConfig(source []byte) (config, error) {
	c := config{dir: "state", listen: "0.0.0.0:7443", certificateTTL: 24 * time.Hour, logLevel: zapcore.InfoLevel}
	var document yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(source))
	if err := dec.Decode(&document); errors.Is(err, io.EOF) {
		return c, nil // only comments
	} else if err != nil {
		return c, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, errors.New("there is more than one document in the file")
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return c, fmt.Errorf("line %d: this is not a list of keys and values", root.Line)
	}
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		read, known := keys[key.Value]
		switch {
		case !known:
			return c, fmt.Errorf("line %d: unknown key %q; the nearest is %q", key.Line, key.Value, nearest(key.Value))
		case seen[key.Value]:
			return c, fmt.Errorf("line %d: key %q is given twice", key.Line, key.Value)
		case value.Kind != yaml.ScalarNode:
			return c, fmt.Errorf("line %d: key %q takes one value", value.Line, key.Value)
		}
		seen[key.Value] = true
		if err := read(&c, value.Value); err != nil {
			return c, fmt.Errorf("line %d: key %q: %w", value.Line, key.Value, err)
		}
	}
	return c, nil
}

// nearest returns the known key with the smallest edit distance.
func nearest(name string) string {
	best, least := "", 1<<30
	for key := range keys {
		if d := distance(name, key); d < least || d == least && key < best {
			best, least = key, d
		}
	}
	return best
}

// distance counts insertions, deletions and substitutions.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
