package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// suite is one call of go test.
type suite struct {
	Package   string `json:"package"`
	Pattern   string `json:"pattern"`
	CPU       int    `json:"cpu"`
	BenchTime string `json:"bench_time"`
	Once      bool   `json:"once,omitempty"` // too long to be repeated
}

// The cryptography is measured on one core; a round has its parties on two. The
// patterns are of whole names, so that a new benchmark joins no suite by chance.
var suites = []suite{
	{Package: "./crypto/secagg", Pattern: ".", CPU: 1, BenchTime: "400ms"},
	{Package: "./simulations/federation", Pattern: "^Benchmark(Plain)?Round$", CPU: 2, BenchTime: "5x"},
	{Package: "./simulations/federation", Pattern: "^BenchmarkRounds$", CPU: 2, BenchTime: "1x"},
	{Package: "./simulations/federation", Pattern: "^BenchmarkStudy$/model=(gaussian|boost100)/", CPU: 2, BenchTime: "1x", Once: true},
	{Package: "./simulations/federation", Pattern: "^BenchmarkAudit$/patients=1000000/", CPU: 2, BenchTime: "1x", Once: true},
}

// command is how a person runs a suite.
func (s suite) command() []string {
	return []string{"go", "test", "-run", "^$", "-bench", s.Pattern, "-benchtime", s.BenchTime,
		"-cpu", strconv.Itoa(s.CPU), "-timeout", "20m", s.Package}
}

// Result is one benchmark. Of several passes the one with the most values per
// second counts, of processor time where it is known: what else a machine does
// only ever makes a benchmark slower.
type Result struct {
	Name          string             `json:"name"`
	Package       string             `json:"package"`
	NsPerOp       float64            `json:"ns_per_op"`
	ValuesPerS    float64            `json:"values_per_s,omitempty"`
	ValuesPerCore float64            `json:"values_per_core_s,omitempty"` // by processor time
	BytesPerValue float64            `json:"bytes_per_value,omitempty"`
	Metrics       map[string]float64 `json:"metrics,omitempty"` // of this benchmark alone, by unit
	Slowest       float64            `json:"slowest,omitempty"` // of the passes, in the same unit
	Passes        int                `json:"passes"`
}

// measure runs every suite so many times, the suites taking turns, so that a
// busy minute does not fall on one of them alone.
func measure(ctx context.Context, passes int, progress io.Writer) (results []*Result, machine map[string]string, err error) {
	dir, err := os.MkdirTemp("", "consilium-bench-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	// Built once, so that every pass measures the same programs.
	programs := make([]string, len(suites))
	for i, s := range suites {
		programs[i] = filepath.Join(dir, fmt.Sprintf("suite%d.test", i))
		if err := s.build(ctx, programs[i], progress); err != nil {
			return nil, nil, err
		}
	}
	known := make(map[string]*Result)
	machine = make(map[string]string)
	for pass := range passes {
		for i, s := range suites {
			if s.Once && pass > 0 {
				continue
			}
			lines, err := s.run(ctx, programs[i], progress)
			if err != nil {
				return nil, nil, err
			}
			for _, line := range lines {
				for _, fact := range []string{"goos", "goarch", "cpu"} {
					if value, ok := strings.CutPrefix(line, fact+": "); ok {
						machine[fact] = value
					}
				}
				r, ok := parse(line)
				if !ok {
					continue
				}
				r.Package = s.Package
				if before := known[r.Name]; before != nil {
					before.merge(r)
					continue
				}
				known[r.Name] = r
				results = append(results, r)
			}
		}
	}
	if len(results) == 0 {
		return nil, nil, errors.New("no benchmark ran")
	}
	return results, machine, nil
}

func (s suite) build(ctx context.Context, program string, progress io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, s.Package)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s does not build: %w", s.Package, err)
	}
	return nil
}

// run runs a suite once, in its package's folder as go test does.
func (s suite) run(ctx context.Context, program string, progress io.Writer) ([]string, error) {
	fmt.Fprintln(progress, strings.Join(s.command(), " "))
	cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", s.Pattern, "-test.benchtime", s.BenchTime,
		"-test.cpu", strconv.Itoa(s.CPU), "-test.timeout", "20m")
	cmd.Dir = filepath.FromSlash(s.Package)
	cmd.Stderr = progress
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var lines []string
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		fmt.Fprintln(progress, "  "+scanner.Text())
	}
	if err := errors.Join(scanner.Err(), cmd.Wait()); err != nil {
		return nil, fmt.Errorf("the benchmarks of %s: %w", s.Package, err)
	}
	return lines, nil
}

// parse reads a line of go test -bench: a name, a count, and pairs of a number
// and its unit. The -N after the name, the number of cores, is cut off.
func parse(line string) (*Result, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
		return nil, false
	}
	r := &Result{Name: fields[0], Passes: 1, Metrics: make(map[string]float64)}
	if at := strings.LastIndexByte(r.Name, '-'); at > 0 {
		if _, err := strconv.Atoi(r.Name[at+1:]); err == nil {
			r.Name = r.Name[:at]
		}
	}
	for i := 2; i < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, false
		}
		switch unit := fields[i+1]; unit {
		case "ns/op":
			r.NsPerOp = value
		case "values/s":
			r.ValuesPerS = value
		case "values/core-s":
			r.ValuesPerCore = value
		case "bytes/value":
			r.BytesPerValue = value
		default:
			r.Metrics[unit] = value
		}
	}
	r.Slowest = r.speed()
	return r, true
}

// speed is what passes are compared by.
func (r *Result) speed() float64 {
	if r.ValuesPerCore > 0 {
		return r.ValuesPerCore
	}
	return r.ValuesPerS
}

// merge takes in another pass of the same benchmark.
func (r *Result) merge(other *Result) {
	passes, slowest := r.Passes+1, min(r.Slowest, other.Slowest)
	if other.speed() > r.speed() || r.speed() == 0 && other.NsPerOp < r.NsPerOp {
		*r = *other
	}
	r.Passes, r.Slowest = passes, slowest
}
