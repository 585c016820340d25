package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the program's version, to name it in a report",
		Args:  console.Arguments(),
		RunE: func(*cobra.Command, []string) error {
			version := map[string]string{"version": "unknown"}
			if info, ok := debug.ReadBuildInfo(); ok {
				version["version"], version["go"] = info.Main.Version, info.GoVersion
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
						version[s.Key[len("vcs."):]] = s.Value
					}
				}
			}
			if a.JSON {
				return a.PrintJSON(version)
			}
			a.Printf("site-agent %s (%s, revision %s)\n", version["version"], version["go"], version["revision"])
			return nil
		},
	}
}
