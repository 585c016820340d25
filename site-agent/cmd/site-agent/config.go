package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"github.com/consilium-fl/consilium/crypto/statement"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// config is what the file says.
type config struct {
	dir         string
	records     string
	coordinator string
	proxy       string
	logLevel    zapcore.Level
	policy      siteagent.Policy
}

func defaults() config {
	return config{dir: "state", logLevel: zapcore.InfoLevel, policy: siteagent.Policy{
		Approve: siteagent.Manual, MinimumRows: 1, MinimumContributors: 3,
		Releases: siteagent.Manual, WorstErrorRatio: 1.5, WorstBrier: 0.25,
	}}
}

// keys of the file, each with how to read its values: one, or those of a list.
var keys = map[string]struct {
	list bool
	read func(c *config, text string) error
}{
	"dir":     {read: func(c *config, text string) error { return notEmpty(&c.dir, text) }},
	"records": {read: func(c *config, text string) error { return notEmpty(&c.records, text) }},
	"coordinator": {read: func(c *config, text string) error {
		if host, port, found := strings.Cut(text, ":"); text != "" && (!found || host == "" || port == "") {
			return errors.New("it is not host:port")
		}
		c.coordinator = text
		return nil
	}},
	"proxy": {read: func(c *config, text string) error {
		// The value may hold a password, so no message repeats it.
		if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return errors.New("it is not a URL such as http://proxy.example:3128")
		}
		c.proxy = text
		return nil
	}},
	"log_level": {read: func(c *config, text string) error {
		if err := c.logLevel.UnmarshalText([]byte(text)); err != nil || c.logLevel > zapcore.ErrorLevel {
			return errors.New("it is not debug, info, warn or error")
		}
		return nil
	}},
	"studies.approve": {read: func(c *config, text string) error {
		return oneOf(&c.policy.Approve, text, siteagent.Manual, siteagent.Listed, siteagent.Any)
	}},
	"studies.list": {list: true, read: func(c *config, text string) error {
		digest, err := statement.ParseDigest(text)
		c.policy.Studies = append(c.policy.Studies, digest)
		return err
	}},
	"studies.minimum_rows":         {read: func(c *config, text string) error { return atLeast(&c.policy.MinimumRows, text, 1) }},
	"studies.minimum_contributors": {read: func(c *config, text string) error { return atLeast(&c.policy.MinimumContributors, text, 2) }},
	"releases.decide": {read: func(c *config, text string) error {
		return oneOf(&c.policy.Releases, text, siteagent.Manual, siteagent.Automatic)
	}},
	"releases.worst_error_ratio": {read: func(c *config, text string) error { return positive(&c.policy.WorstErrorRatio, text) }},
	"releases.worst_brier":       {read: func(c *config, text string) error { return positive(&c.policy.WorstBrier, text) }},
}

func notEmpty(target *string, text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	*target = text
	return nil
}

func oneOf(target *string, text string, words ...string) error {
	for _, word := range words {
		if text == word {
			*target = text
			return nil
		}
	}
	return fmt.Errorf("it is not one of %s", strings.Join(words, ", "))
}

func atLeast(target *int, text string, least int) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return fmt.Errorf("it is not a whole number of at least %d", least)
	}
	*target = n
	return nil
}

func positive(target *float64, text string) error {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x > 0) {
		return errors.New("it is not a number above 0")
	}
	*target = x
	return nil
}

// readConfig reads a configuration file. What it leaves out has the default of
// the example. Relative paths start at the file's folder.
func readConfig(path string) (config, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return config{}, &problem{What: "the configuration cannot be read", Why: reason(err), Next: "site-agent config > " + defaultConfig, exit: exitFailed}
	}
	c, err := parseConfig(source)
	if err != nil {
		return config{}, &problem{What: "the configuration is not valid", Why: fmt.Sprintf("%s: %v", path, err), Next: "site-agent config   prints a complete example", exit: exitFailed}
	}
	for _, p := range []*string{&c.dir, &c.records} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return c, nil
}

func parseConfig(source []byte) (config, error) {
	c := defaults()
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
	return c, c.read(document.Content[0], "")
}

// read reads a mapping whose keys begin with prefix.
func (c *config) read(node *yaml.Node, prefix string) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: this is not a list of keys and values", node.Line)
	}
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		if seen[name] {
			return fmt.Errorf("line %d: key %q is given twice", key.Line, name)
		}
		seen[name] = true
		if isSection(name) {
			if err := c.read(value, name+"."); err != nil {
				return err
			}
			continue
		}
		known, ok := keys[name]
		if !ok {
			return fmt.Errorf("line %d: unknown key %q; the nearest is %q", key.Line, name, nearest(name))
		}
		values := []*yaml.Node{value}
		if known.list {
			if value.Kind != yaml.SequenceNode {
				return fmt.Errorf("line %d: key %q takes a list", value.Line, name)
			}
			values = value.Content
		}
		for _, v := range values {
			if v.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: key %q takes one value", v.Line, name)
			}
			if err := known.read(c, v.Value); err != nil {
				return fmt.Errorf("line %d: key %q: %w", v.Line, name, err)
			}
		}
	}
	return nil
}

func isSection(name string) bool {
	for key := range keys {
		if strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
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
