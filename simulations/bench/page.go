package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"text/template"
)

//go:embed page.md
var pageText string

var page = template.Must(template.New("performance.md").Funcs(template.FuncMap{
	"verdict": verdict, "si": si, "size": sizeTable, "others": others, "float": func(v float64) string { return fmt.Sprintf("%.3g", v) },
	"commands": commands, "fewValues": fewValues, "once": once, "committee": committeeTable,
}).Parse(pageText))

// render writes docs/performance.md.
func render(r *Report) ([]byte, error) {
	var out bytes.Buffer
	if err := page.Execute(&out, r); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func verdict(t target) string {
	if t.Met {
		return "met"
	}
	return "not met"
}

// sizeTable is a Markdown table of what one site sends: values down, sites across.
func sizeTable(all []size, plain bool) string {
	var values, sites []int
	for _, s := range all {
		if !slices.Contains(values, s.Values) {
			values = append(values, s.Values)
		}
		if !slices.Contains(sites, s.Sites) {
			sites = append(sites, s.Sites)
		}
	}
	var out strings.Builder
	head, rule := "| values |", "|---:|"
	if plain {
		head, rule = head+" plain float32 |", rule+"---:|"
	}
	for _, n := range sites {
		head, rule = head+fmt.Sprintf(" %d sites |", n), rule+"---:|"
	}
	fmt.Fprintf(&out, "%s\n%s\n", head, rule)
	for _, v := range values {
		fmt.Fprintf(&out, "| %s |", power(v))
		if plain {
			fmt.Fprintf(&out, " %s |", octets(4*int64(v)))
		}
		for _, s := range all {
			if s.Values == v {
				fmt.Fprintf(&out, " %s `%s` |", octets(s.Upload), strings.TrimPrefix(s.Suite, "rlwe"))
			}
		}
		out.WriteByte('\n')
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// maxMessage is the longest message that agents and the coordinator accept.
const maxMessage = 64 << 20

// committeeTable is what a member of the committee receives and answers.
func committeeTable(all []size) string {
	var out strings.Builder
	out.WriteString("| values | sites | ring | opening request | opening share |\n|---:|---:|---:|---:|---:|\n")
	for _, s := range all {
		if s.Values != 1000 && s.Values != 1e6 && s.Values != 1e8 {
			continue
		}
		down := octets(s.OpeningDown)
		if s.OpeningDown > maxMessage {
			down += " (too long)"
		}
		fmt.Fprintf(&out, "| %s | %d | %s | %s | %s |\n", power(s.Values), s.Sites, strings.TrimPrefix(s.Suite, "rlwe"), down, octets(s.OpeningUp))
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func power(n int) string {
	exponent := 0
	for m := n; m%10 == 0; m /= 10 {
		exponent++
	}
	if lead := n; exponent > 3 {
		for range exponent {
			lead /= 10
		}
		if lead == 1 {
			return fmt.Sprintf("10^%d", exponent)
		}
	}
	return fmt.Sprint(n)
}

func octets(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	return si(float64(n)) + "B"
}

// others lists the units of a result that only its benchmark has.
func others(r *Result) string {
	var out []string
	for unit, value := range r.Metrics {
		out = append(out, fmt.Sprintf("%.3g %s", value, unit))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// commands are how each suite is run by hand.
func commands(all []suite) string {
	var out []string
	for _, s := range all {
		args := s.command()
		for i, a := range args {
			if strings.ContainsAny(a, ".^$()?|") && !strings.HasPrefix(a, "./") {
				args[i] = "'" + a + "'"
			}
		}
		out = append(out, "    "+strings.Join(args, " "))
	}
	return strings.Join(out, "\n")
}

// once lists the patterns of the suites that are not repeated.
func once(all []suite) string {
	var out []string
	for _, s := range all {
		if s.Once {
			out = append(out, "`"+s.Pattern+"`")
		}
	}
	return strings.Join(out, " and ")
}

// commit names the source that was measured; empty outside a git checkout.
func commit(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(head))
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", "*.go", "*.s", "go.mod").Output()
	if err == nil && len(changed) > 0 {
		name += " with changes"
	}
	return name
}
