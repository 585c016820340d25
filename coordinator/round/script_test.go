package round

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata give into them")

// TestScripts runs every script in testdata. A script is blocks of commands,
// each closed by a line of dashes and what the commands gave. With -rewrite the
// answers are written anew; the reader's eye on the difference is the test.
//
//	round N floor F [exact]   plan a round of the sites A, B, …
//	at D                      the clock says D after the round began
//	ledger                    what is signed is in the ledger
//	contribute S…  begin S…  decline S…  share S…
//	fault S: S…               a member reports senders
//	tick S… | tick all        time passes; these sites are there
//	sum | violated            the Sum job's outcome
//	show                      state, jobs, tasks
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		t.Run(filepath.Base(path), func(t *testing.T) {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(source))
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(source) {
				t.Errorf("the script gives something else; run with -rewrite and look at the difference:\n%s", got)
			}
		})
	}
}

// play runs a script and returns it with the answers it gives.
func play(t *testing.T, source string) string {
	s := &script{history: history{t: t}, now: began}
	var out strings.Builder
	answering := false
	var answers []string
	for line := range strings.Lines(source) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "----":
			answering = true
			out.WriteString("----\n" + strings.Join(answers, ""))
			answers = nil
		case answering && line != "":
			// an old answer: replaced by the new ones
		case line == "" || strings.HasPrefix(line, "#"):
			answering = false
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			answers = append(answers, s.command(strings.Fields(line)))
		}
	}
	return out.String()
}

type script struct {
	history
	now time.Time
}

func (s *script) command(words []string) string {
	args := words[1:]
	each := func(input func(string) Input) (out string) {
		for _, site := range args {
			out += s.answer(input(site))
		}
		return out
	}
	switch words[0] {
	case "round":
		n, _ := strconv.Atoi(args[0])
		floor, _ := strconv.Atoi(args[2])
		m, planned := newRound(s.t, n, floor, slices.Contains(args, "exact"))
		s.m, s.records = m, []Record{planned}
		return fmt.Sprintf("invited %v, floor %d, threshold %d\n", m.Plan().Invited, floor, m.Plan().Threshold)
	case "at":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = began.Add(d)
		return ""
	case "ledger":
		if s.m.State() == Inviting {
			return s.answer(PlanLedgered{Envelope: digest("plan"), Leaf: 1})
		}
		return s.answer(requestLedgered())
	case "begin":
		return each(func(site string) Input { return begin(site) })
	case "contribute":
		return each(func(site string) Input { s.answer(begin(site)); return commit(site) })
	case "decline":
		return each(func(site string) Input { return Decline{Site: site, Reason: "its own"} })
	case "share":
		return each(func(site string) Input { return share(site) })
	case "fault":
		return s.answer(fault(strings.TrimSuffix(args[0], ":"), args[1:]...))
	case "tick":
		if slices.Equal(args, []string{"all"}) {
			return s.answer(everybody())
		}
		return s.answer(present(args...))
	case "sum":
		return s.answer(Opened{Sum: digest("sum")})
	case "violated":
		return s.answer(Violated{Reason: "the noise is out of bounds"})
	case "show":
		return s.show()
	}
	s.t.Fatalf("unknown command %q", words)
	return ""
}

func (s *script) answer(in Input) string {
	records, err := s.try(s.now, in)
	if err != nil {
		return fmt.Sprintf("refused (%s): %v\n", code(err), err)
	}
	if len(records) == 0 {
		return "nothing\n"
	}
	var out string
	for _, r := range records {
		switch r := r.(type) {
		case SetFixed:
			out += fmt.Sprintf("set-fixed %v\n", r.Contributors)
		case SharesClosed:
			out += fmt.Sprintf("shares-closed %v\n", r.Openers)
		case Ended:
			out += fmt.Sprintf("ended %s: %q missing %v at fault %v\n", r.State, r.Reason, r.Missing, r.AtFault)
		case Contributed:
			out += fmt.Sprintf("contributed %s\n", r.Site)
		default:
			out += r.kind() + "\n"
		}
	}
	return out
}

func (s *script) show() string {
	out := fmt.Sprintf("%s jobs %v", s.m.State(), s.m.Jobs())
	if at, ok := s.m.Wake(s.now); ok {
		out += fmt.Sprintf(" wake %v", at.Sub(began))
	}
	for _, site := range s.m.Plan().Invited {
		if task := s.m.Assignment(site); task != Nothing {
			out += fmt.Sprintf(" %s:%s", site, task)
		}
	}
	return out + "\n"
}
