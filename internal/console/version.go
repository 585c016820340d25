package console

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version adds the command that every program has: people name its answer when
// they report something.
func (c *Console) version(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use:   "version",
		Short: "Print the program's version, to name it in a report",
		Args:  Arguments(),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"program": root.Name(), "version": "unknown"}
			if info, ok := debug.ReadBuildInfo(); ok {
				v["version"], v["go"] = info.Main.Version, info.GoVersion
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v["revision"] = s.Value
					}
				}
			}
			if c.JSON {
				return c.PrintJSON(v)
			}
			c.Printf("%s %s (%s)\n", v["program"], v["version"], v["go"])
			return nil
		},
	})
}
