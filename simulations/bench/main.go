// Command bench measures what the secure sum costs and writes it down: every
// benchmark of the cryptography and of whole rounds, beside what the same work
// costs without protection and with what others ship, all in one run on one
// machine.
//
//	go run ./simulations/bench            # from the module's root; or: make bench
//
// It writes out/bench.json for programs and docs/performance.md for people: the
// targets with what was measured and whether they are met, the table of bytes
// per site, which is computed and not measured, every benchmark, and what others
// have published. A target that is not met is no error: the page says so.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Report is out/bench.json.
type Report struct {
	Date       time.Time `json:"date"`
	Commit     string    `json:"commit,omitempty"`
	Machine    Machine   `json:"machine"`
	Suites     []suite   `json:"suites"`
	Benchmarks []*Result `json:"benchmarks"`
	Targets    []target  `json:"targets"`
	Update     []size    `json:"update_sizes"` // of 16-bit values
	Model      []size    `json:"model_sizes"`  // of sums with 60 bits behind the point
}

// Machine is where the benchmarks ran.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Go         string `json:"go"`
	LoadBefore string `json:"load_before,omitempty"` // processes that wanted a core, over 1, 5 and 15 minutes
	LoadAfter  string `json:"load_after,omitempty"`
}

func main() {
	passes := flag.Int("passes", 3, "how often every benchmark runs; the fastest counts")
	data := flag.String("json", "out/bench.json", "where the figures go")
	page := flag.String("page", "docs/performance.md", "where the page goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *passes, *data, *page); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, passes int, data, page string) error {
	report := &Report{Date: time.Now().UTC().Truncate(time.Second), Commit: commit(ctx), Suites: suites}
	report.Machine = Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: load()}
	var err error
	if report.Update, report.Model, err = sizes(); err != nil {
		return err
	}
	results, machine, err := measure(ctx, max(passes, 1), os.Stderr)
	if err != nil {
		return err
	}
	report.Benchmarks = results
	report.Machine.LoadAfter = load()
	report.Machine.CPU, report.Machine.OS, report.Machine.Arch = machine["cpu"], machine["goos"], machine["goarch"]
	if report.Targets, err = targets(results); err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	if err := write(data, append(encoded, '\n')); err != nil {
		return err
	}
	rendered, err := render(report)
	if err != nil {
		return err
	}
	if err := write(page, rendered); err != nil {
		return err
	}
	for _, t := range report.Targets {
		fmt.Printf("%-8s %s: %s (wanted %s)\n", verdict(t), t.Name, t.Measured, t.Wanted)
	}
	fmt.Printf("\nwritten: %s and %s\n", data, page)
	return nil
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// load is how busy the machine is, where it says so.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}
