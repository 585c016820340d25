package main

import (
	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

func (a *app) predictCommand() *cobra.Command {
	var input, output, studyName string
	cmd := &cobra.Command{
		Use:   "predict --input patients.csv --output predictions.csv",
		Short: "Predict for patients with an accepted release, offline",
		Long: `Write a prediction with a 95% interval for every row of a CSV file, and for each
feature what its value does to the prediction against the mean patient of the
study. The release's signature is verified first. A row that cannot be used gets
a reason in place of a prediction. Nothing is sent anywhere.

The columns written: row (from 1), prediction, lower, upper, contribution:FEATURE
for each feature, reason; and, with a release that asks for the patient's group,
group and, where groups have thresholds of their own, positive.`,
		Example: "  site-agent predict --input today.csv --output doses.csv",
		Args:    console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if input == "" || output == "" {
				return console.Usage(cmd, "--input and --output are needed")
			}
			c, err := a.config()
			if err != nil {
				return err
			}
			done, err := siteagent.PredictFile(c.dir, studyName, input, output)
			if err != nil {
				return fail("there are no predictions", err, "site-agent releases list")
			}
			if a.JSON {
				return a.PrintJSON(done)
			}
			a.Printf("%d predictions with release %s of study %s in %s", done.Predicted, console.Short(done.Release.String()), done.Study, output)
			if done.Without > 0 {
				a.Printf("; %d rows have a reason instead", done.Without)
			}
			a.Printf("\n")
			return nil
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "CSV `FILE` of patients")
	cmd.Flags().StringVar(&output, "output", "", "CSV `FILE` to write")
	cmd.Flags().StringVar(&studyName, "study", "", "`NAME` of the study, where releases of several are in use")
	return cmd
}
