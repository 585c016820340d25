package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/settings"
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
		Releases: siteagent.Manual, Warnings: siteagent.Ask, WorstErrorRatio: 1.5, WorstBrier: 0.25, WorstConcordance: 0.5, WorstEventRatio: 2,
	}}
}

// keys of the file.
func (c *config) keys() settings.Keys {
	return settings.Keys{
		"dir":     settings.Text(&c.dir),
		"records": settings.Text(&c.records),
		"coordinator": {Read: func(text string) error {
			at := strings.LastIndex(text, ":") // the last: an IPv6 address has several
			if text != "" && (at < 1 || at == len(text)-1 || strings.Contains(text, "/")) {
				return errors.New("it is not host:port, such as coordinator.example.org:7443")
			}
			c.coordinator = text
			return nil
		}},
		"proxy": {Read: func(text string) error {
			// The value may hold a password, so no message repeats it.
			if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
				return errors.New("it is not a URL such as http://proxy.example:3128")
			}
			c.proxy = text
			return nil
		}},
		"log_level":       settings.LogLevel(&c.logLevel),
		"studies.approve": settings.OneOf(&c.policy.Approve, siteagent.Manual, siteagent.Listed, siteagent.Any),
		"studies.list": {List: true, Read: func(text string) error {
			digest, err := statement.ParseDigest(text)
			c.policy.Studies = append(c.policy.Studies, digest)
			return err
		}},
		"studies.minimum_rows":         settings.AtLeast(&c.policy.MinimumRows, 1),
		"studies.minimum_share":        orNone(&c.policy.MinimumShare, share(&c.policy.MinimumShare)),
		"studies.minimum_contributors": settings.AtLeast(&c.policy.MinimumContributors, 2),
		"studies.largest_epsilon":      orNone(&c.policy.LargestEpsilon, settings.Positive(&c.policy.LargestEpsilon)),
		"studies.total_epsilon":        orNone(&c.policy.TotalEpsilon, settings.Positive(&c.policy.TotalEpsilon)),
		"studies.hospital_counts":      settings.OneOf(&c.policy.HospitalCounts, siteagent.Accept, siteagent.Ask, siteagent.Refuse),
		"releases.decide":              settings.OneOf(&c.policy.Releases, siteagent.Manual, siteagent.Automatic),
		"releases.warnings":            settings.OneOf(&c.policy.Warnings, siteagent.Accept, siteagent.Ask, siteagent.Refuse),
		"releases.worst_error_ratio":   settings.Positive(&c.policy.WorstErrorRatio),
		"releases.worst_brier":         share(&c.policy.WorstBrier),
		"releases.worst_concordance":   share(&c.policy.WorstConcordance),
		"releases.worst_event_ratio":   settings.Positive(&c.policy.WorstEventRatio),
	}
}

// orNone is a number, or none, which is 0.
func orNone(target *float64, number settings.Key) settings.Key {
	return settings.Key{Read: func(text string) error {
		*target = 0
		if text == "none" {
			return nil
		}
		return number.Read(text)
	}}
}

// share is a number above 0 and up to 1, so that nobody's 80 is taken for 80%.
func share(target *float64) settings.Key {
	return settings.Key{Read: func(text string) error {
		err := settings.Positive(target).Read(text)
		if err == nil && *target > 1 {
			err = errors.New("it is above 1: it is a share, such as 0.8")
		}
		return err
	}}
}

// readConfig reads a configuration file. What it leaves out has the default of
// the example. Relative paths start at the file's folder.
func readConfig(path string) (config, error) {
	c := defaults()
	err := settings.ReadFile(path, "site-agent", c.keys())
	settings.Relative(path, &c.dir, &c.records)
	if err == nil {
		if wrong := c.policy.Valid(); wrong != nil {
			err = console.Fail("the configuration is not valid", fmt.Errorf("%s: %w", path, wrong), "site-agent config   prints a complete example")
		}
	}
	return c, err
}
