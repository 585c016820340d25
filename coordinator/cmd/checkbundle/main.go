// Command checkbundle verifies an evidence bundle with the second, independent
// verifier: see package independent for what it holds and what it does not.
//
//	checkbundle [-governance FINGERPRINT] BUNDLE
//
// Exit code 0 if everything holds, 1 if something does not, 2 if it was called in
// another way.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/consilium-fl/consilium/coordinator/audit/independent"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("checkbundle", flag.ContinueOnError)
	flags.SetOutput(errs)
	governance := flags.String("governance", "", "SHA-256 of the governance key that you trust, in hex")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		fmt.Fprintln(errs, "usage: checkbundle [-governance FINGERPRINT] BUNDLE")
		return 2
	}
	s, err := independent.Verify(os.DirFS(flags.Arg(0)), *governance)
	if err != nil {
		fmt.Fprintf(errs, "%s does not hold: %v\n", flags.Arg(0), err)
		return 1
	}
	fmt.Fprintf(out, "study %s\n%d entries, %d statements, %d published rounds, ciphertexts %v; cosigned by %d of %d hospitals\n",
		s.Study, s.Entries, s.Statements, s.Rounds, s.Ciphertexts, s.Cosigned, s.Hospitals)
	if *governance == "" {
		fmt.Fprintf(out, "The governance key %s was taken from the bundle: compare it with the consortium's.\n", s.Governance)
	}
	fmt.Fprintln(out, "Everything that is checked here holds. Not checked here: that the sums are what the ciphertexts open to, that the plans follow from the study, and that the model and the audit follow from the sums. consilium audit verify does that.")
	return 0
}
