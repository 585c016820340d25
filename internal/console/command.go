package console

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Run executes a command line, reports how it ended and returns the exit code.
func (c *Console) Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SilenceErrors, root.SilenceUsage = true, true // Report words them
	c.version(root)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return Usage(cmd, err.Error()) })
	root.SetArgs(args)
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	unknown := helpOnlyWithWhatIsThere(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = *unknown
	}
	return c.Report(err)
}

// helpOnlyWithWhatIsThere makes "program oepn --help" and "program help oepn" the
// mistake that "program oepn" is: cobra would explain the program, as if asked
// for that. What was asked for and is not there is known after the execution.
func helpOnlyWithWhatIsThere(root *cobra.Command) *error {
	var unknown error
	explain := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if words := cmd.Flags().Args(); cmd.HasSubCommands() {
			unknown = cmd.ValidateArgs(words)
		}
		if unknown == nil {
			explain(cmd, args)
		}
	})
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil && cmd.HasSubCommands() {
				err = cmd.ValidateArgs(rest)
			}
			if err != nil {
				return err
			}
			return cmd.Help()
		},
	})
	return &unknown
}

// AsGroup makes a command that only holds others explain itself when it is
// called alone and refuse a subcommand that it does not have.
func AsGroup(group *cobra.Command) *cobra.Command {
	group.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		what := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			what += fmt.Sprintf("; did you mean %q?", cmd.CommandPath()+" "+near[0])
		}
		return Usage(cmd, what)
	}
	group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	group.SuggestionsMinimumDistance = 2
	return group
}

// Arguments checks the number of positional arguments. Each name says what an
// argument is; one in [brackets] may be left out, and so may those after it.
func Arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > len(names):
			return Usage(cmd, fmt.Sprintf("unexpected argument %q", args[len(names)]))
		case len(args) < len(names) && !strings.HasPrefix(names[len(args)], "["):
			return Usage(cmd, fmt.Sprintf("%s is missing", names[len(args)]))
		}
		return nil
	}
}

// Require refuses a command whose named flags are empty.
func Require(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if cmd.Flag(name).Value.String() == "" {
			return Usage(cmd, fmt.Sprintf("--%s is missing", name))
		}
	}
	return nil
}
