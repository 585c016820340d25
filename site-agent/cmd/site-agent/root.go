package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/records"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// app is what every command shares.
type app struct {
	console.Console
	env func(string) string

	configPath string // --config
	dir        string // --dir
}

const defaultConfig = "site-agent.yaml"

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "site-agent",
		Short: "Take part in studies while the records stay here",
		Long: `The agent of one hospital in a consortium. It asks the coordinator what there
is to do, over connections that it opens itself. It shows you each study before
anything is computed, answers the ones you approved with encrypted vectors of
which only the sum over several hospitals is ever opened, and writes every byte
that leaves to the outbox first.

A hospital's way through it:

  site-agent config > site-agent.yaml    write a configuration, then edit it
  site-agent enroll TOKEN                become a member, with an invitation
  site-agent doctor                      is everything in order?
  site-agent run                         do the work, until stopped
  site-agent status                      how it does, for monitoring
  site-agent approve                     which studies wait, and what they would send
  site-agent outbox                      what has left, and why
  site-agent releases                    offered models, tested on own patients
  site-agent predict                     use an accepted model, offline

The configuration is --config, or $CONSILIUM_SITE_CONFIG, or ./site-agent.yaml.

Exit codes: 0 it worked; 1 it failed; 2 the command line is wrong; 3 run has stopped
for a security violation, and is not to be started again before a person has looked.`,
	}
	root.PersistentFlags().StringVar(&a.configPath, "config", a.env("CONSILIUM_SITE_CONFIG"), "configuration `FILE` (default $CONSILIUM_SITE_CONFIG, then ./site-agent.yaml)")
	root.PersistentFlags().StringVar(&a.dir, "dir", "", "state `DIR`, in place of the configuration's")
	root.PersistentFlags().BoolVar(&a.JSON, "json", false, "print JSON with stable keys instead of text")
	root.AddCommand(
		a.configCommand(), a.enrollCommand(), a.doctorCommand(), a.runCommand(), a.statusCommand(), a.approveCommand(),
		a.outboxCommand(), a.releasesCommand(), a.predictCommand(),
	)
	return console.AsGroup(root)
}

func (a *app) configFile() string {
	if a.configPath == "" {
		return defaultConfig
	}
	return a.configPath
}

// config reads the configuration. With --dir alone none is needed.
func (a *app) config() (config, error) {
	path := a.configFile()
	if a.configPath == "" {
		if _, err := os.Stat(path); err != nil {
			if a.dir != "" {
				c := defaults()
				c.dir = a.dir
				return c, nil
			}
			return config{}, &console.Problem{What: "there is no configuration", Why: "neither --config nor --dir is given, and there is no " + defaultConfig + " here",
				Next: "site-agent config > " + defaultConfig}
		}
	}
	c, err := readConfig(path)
	if a.dir != "" {
		c.dir = a.dir
	}
	return c, err
}

// ownConfig is config for a command that writes into the state: as another user than
// the agent's, root before all, it would leave what the agent cannot read.
func (a *app) ownConfig() (config, error) {
	c, err := a.config()
	if err != nil {
		return c, err
	}
	owner, another, err := siteagent.Owner(c.dir)
	if err != nil {
		return c, fail("the state directory cannot be seen", err, "run the command as the user that the agent runs as")
	}
	if another {
		return c, &console.Problem{What: "this is not the user that the agent runs as", Why: fmt.Sprintf("the state directory %s belongs to %s, who could not read what this command leaves there", c.dir, owner),
			Next: fmt.Sprintf("sudo -u '%s' site-agent …   the same command as %s", owner, owner)}
	}
	return c, nil
}

func (c config) source() records.Source {
	if c.records == "" {
		return nil
	}
	return records.CSV(c.records)
}

func (a *app) configCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "config",
		Short:   "Print a complete configuration file with every default",
		Example: "  site-agent config > site-agent.yaml",
		Args:    console.Arguments(),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.Stdout.Write(siteagent.Example)
			return err
		},
	}
}
