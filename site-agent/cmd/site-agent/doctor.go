package main

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check that everything is in order, and say how to mend what is not",
		Long: `Check the configuration, the state directory and its keys, the records against
every study, and the way to the coordinator: name, connection, TLS, certificate,
clock. Exit code 1 if a check failed.`,
		Args: console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.ownConfig()
			if err != nil {
				return err
			}
			checks := append(a.exposed(c),
				siteagent.Doctor(cmd.Context(), siteagent.DoctorOptions{Dir: c.dir, Source: c.source(), Address: c.coordinator, Proxy: c.proxy})...)
			failed := 0
			for _, check := range checks {
				if check.Result == siteagent.Fail {
					failed++
				}
				a.Printf("%s  %s: %s\n", check.Result, check.Name, check.Detail)
				if check.Fix != "" {
					a.Printf("      fix: %s\n", check.Fix)
				}
			}
			if a.JSON {
				if err := a.PrintJSON(checks); err != nil {
					return err
				}
			}
			if failed > 0 {
				return &console.Problem{What: "not everything is in order", Why: "see the checks marked FAIL", Next: "mend them from the first one on; later ones may follow from it"}
			}
			return nil
		},
	}
}

// exposed looks at what other users of this machine may read.
func (a *app) exposed(c config) []siteagent.Check {
	known := siteagent.Check{Name: "configuration", Result: siteagent.Pass, Detail: "every key is known"}
	if u, err := url.Parse(c.proxy); err == nil && u.User != nil && othersRead(a.configFile()) {
		known = siteagent.Check{Name: "configuration", Result: siteagent.Warn, Detail: "everybody on this machine may read the proxy's password in it", Fix: "chmod o-r " + a.configFile()}
	}
	checks := []siteagent.Check{known}
	if c.records != "" && othersRead(c.records) {
		checks = append(checks, siteagent.Check{Name: "privacy of the records", Result: siteagent.Warn, Detail: "everybody on this machine may read " + c.records, Fix: "chmod o-r " + c.records + ", readable by the agent's user"})
	}
	return checks
}

// othersRead reports that the modes of a file and of all folders that it is in let
// every user of the machine read it.
func othersRead(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil || runtime.GOOS == "windows" {
		return false
	}
	for bit := fs.FileMode(0o004); ; bit = 0o001 { // of folders, to go through
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&bit == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}
