package console

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version adds the command, and the flag, that every program has: people name the
// answer when they report something.
func (c *Console) version(root *cobra.Command) {
	v := map[string]string{"program": root.Name(), "version": "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		v["version"], v["go"] = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v["revision"] = s.Value
			}
		}
	}
	root.Version = fmt.Sprintf("%s (%s)", v["version"], v["go"])
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the program's version")
	root.AddCommand(&cobra.Command{
		Use:   "version",
		Short: "Print the program's version, to name it in a report",
		Args:  Arguments(),
		RunE: func(*cobra.Command, []string) error {
			if c.JSON {
				return c.PrintJSON(v)
			}
			c.Printf("%s %s\n", root.Name(), root.Version)
			return nil
		},
	})
}
