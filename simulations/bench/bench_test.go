package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseBenchmarkLine(t *testing.T) {
	r, ok := parse("BenchmarkRound/cipher=on/values=1000000/sites=8-2 \t 5\t1156056563 ns/op\t 3.094 bytes/value\t 1.110 s/round\t 900647 values/s")
	if !ok {
		t.Fatal("not read")
	}
	if r.Name != "BenchmarkRound/cipher=on/values=1000000/sites=8" || r.NsPerOp != 1156056563 || r.ValuesPerS != 900647 || r.BytesPerValue != 3.094 || r.Metrics["s/round"] != 1.11 {
		t.Errorf("%+v", r)
	}
	for _, line := range []string{"PASS", "ok  \tpackage\t1.2s", "goos: linux", "BenchmarkX", "--- FAIL: BenchmarkX", "BenchmarkX-2 5 x ns/op"} {
		if _, ok := parse(line); ok {
			t.Errorf("%q is taken for a benchmark", line)
		}
	}
}

func TestFastestPassCounts(t *testing.T) {
	r := &Result{Name: "BenchmarkSeal", ValuesPerS: 10, Slowest: 10, NsPerOp: 3, Passes: 1}
	r.merge(&Result{Name: "BenchmarkSeal", ValuesPerS: 20, Slowest: 20, NsPerOp: 2, Passes: 1})
	r.merge(&Result{Name: "BenchmarkSeal", ValuesPerS: 5, Slowest: 5, NsPerOp: 9, Passes: 1})
	if r.ValuesPerS != 20 || r.NsPerOp != 2 || r.Slowest != 5 || r.Passes != 3 {
		t.Errorf("%+v", r)
	}
	timed := &Result{Name: "BenchmarkTransform", NsPerOp: 3, Passes: 1} // tells no values
	timed.merge(&Result{Name: "BenchmarkTransform", NsPerOp: 2, Passes: 1})
	timed.merge(&Result{Name: "BenchmarkTransform", NsPerOp: 4, Passes: 1})
	if timed.NsPerOp != 2 || timed.Passes != 3 {
		t.Errorf("%+v", timed)
	}
}

// A run in which a target is met by every figure but one fails that one alone.
func TestTargetsNameWhatIsNotMet(t *testing.T) {
	good := func() benchmarks {
		b := benchmarks{
			{Name: "BenchmarkSeal/suite=rlwe8192/bits=16", ValuesPerS: 90e6},
			{Name: "BenchmarkLattigoCKKS/seal", ValuesPerS: 2e6},
			{Name: "BenchmarkAggregate/suite=rlwe8192", ValuesPerS: 2e9},
			{Name: "BenchmarkPlainFloat64Accumulate", ValuesPerS: 1e9},
			{Name: "BenchmarkOpen/suite=rlwe8192", ValuesPerS: 100e6},
			{Name: "BenchmarkInverseNTT/suite=rlwe8192", ValuesPerS: 900e6},
		}
		for name, seconds := range map[string]float64{
			"BenchmarkRound/cipher=on/values=1000000/sites=8": 0.6, "BenchmarkRound/cipher=off/values=1000000/sites=8": 0.5,
			"BenchmarkPlainRound/values=1000000/sites=8": 0.5,
		} {
			b = append(b, &Result{Name: name, Metrics: map[string]float64{"s/round": seconds}})
		}
		for _, name := range []string{"BenchmarkOpenPeak/sites=16", "BenchmarkOpenPeak/sites=256"} {
			b = append(b, &Result{Name: name, Metrics: map[string]float64{"peak/packed": 2.9}})
		}
		for _, name := range []string{"BenchmarkSealStream/values=1000000", "BenchmarkSealStream/values=100000000"} {
			b = append(b, &Result{Name: name, Metrics: map[string]float64{"peak-MB": 2}})
		}
		b = append(b, &Result{Name: wideAudit, Metrics: map[string]float64{"audit-s": 12, "audit-core-s": 20, "patients/s": 83e3, "rounds": 5, "bytes/site": 2e6}})
		for _, name := range []string{"gaussian", "boost100"} {
			size := "BenchmarkStudy/model=" + name + "/patients=100000/features=100"
			b = append(b, &Result{Name: size + "/sites=20", NsPerOp: 4e9, Metrics: map[string]float64{"rounds": 9}}, &Result{Name: size + "/pooled", NsPerOp: 3e9})
		}
		return b
	}
	unmet := func(b benchmarks) (names []string) {
		all, err := targets(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range all {
			if !target.Met && !strings.HasPrefix(target.Name, "upload") { // computed, not measured
				names = append(names, target.Name)
			}
			if target.Met != (target.Ratio >= 1) {
				t.Errorf("%s: met %v at a ratio of %v", target.Name, target.Met, target.Ratio)
			}
		}
		return names
	}
	if names := unmet(good()); names != nil {
		t.Errorf("not met: %q", names)
	}
	slow := good()
	r, err := slow.named("BenchmarkAggregate/suite=rlwe8192")
	if err != nil {
		t.Fatal(err)
	}
	r.ValuesPerS = 0.9e9
	if names := unmet(slow); len(names) != 1 || !strings.HasPrefix(names[0], "aggregate") {
		t.Errorf("not met: %q", names)
	}
	late := good()
	r, err = late.named(wideAudit)
	if err != nil {
		t.Fatal(err)
	}
	r.Metrics["audit-s"] = 31
	if names := unmet(late); len(names) != 1 || !strings.HasPrefix(names[0], "audit of 10^6 patients") {
		t.Errorf("not met: %q", names)
	}
	// By wall time alone the aggregate seems to be slower than the plain one.
	busy := good()
	r, _ = busy.named("BenchmarkAggregate/suite=rlwe8192")
	r.ValuesPerS, r.ValuesPerCore = 0.1e9, 2e9
	if names := unmet(busy); names != nil {
		t.Errorf("a busy machine fails %q", names)
	}
	if _, err := targets(good()[1:]); err == nil {
		t.Error("a benchmark that did not run is not missed")
	}
}

// The benchmarks that the page is made from keep their names.
func TestBenchmarkNamesAreStable(t *testing.T) {
	sources := map[string][]string{
		"../../crypto/secagg": {"BenchmarkSeal", "BenchmarkAggregate", "BenchmarkOpen", "BenchmarkInverseNTT", "BenchmarkKeyShares",
			"BenchmarkPlainFloat32Encode", "BenchmarkPlainFloat64Accumulate", "BenchmarkLattigoCKKS", "BenchmarkOpenPeak", "BenchmarkSealStream"},
		"../federation": {"BenchmarkRound", "BenchmarkPlainRound", "BenchmarkRounds", "BenchmarkStudy", "BenchmarkAudit"},
	}
	function := regexp.MustCompile(`(?m)^func (Benchmark\w+)\(`)
	for folder, want := range sources {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", folder, err)
		}
		var found []string
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range function.FindAllSubmatch(source, -1) {
				found = append(found, string(match[1]))
			}
		}
		for _, name := range want {
			if !slices.Contains(found, name) {
				t.Errorf("%s has no %s", folder, name)
			}
		}
	}
}

// Each benchmark of whole studies is in one suite: a pattern does not also take
// those whose names begin alike, which are measured otherwise.
func TestSuitesTakeOnlyTheirBenchmarks(t *testing.T) {
	for name, want := range map[string]string{
		"BenchmarkRound": "5x", "BenchmarkPlainRound": "5x", "BenchmarkRounds": "1x", "BenchmarkStudy": "1x", "BenchmarkAudit": "1x", "BenchmarkCoordinatorMemory": "",
	} {
		var times []string
		for _, s := range suites {
			function, _, _ := strings.Cut(s.Pattern, "/")
			if s.Package == "./simulations/federation" && regexp.MustCompile(function).MatchString(name) {
				times = append(times, s.BenchTime)
			}
		}
		if got := strings.Join(times, " "); got != want {
			t.Errorf("%s runs %q, not %q", name, got, want)
		}
	}
}

// The page says what a round and the audit cost, and gives commands that a shell
// takes as they are.
func TestPageTellsRoundsAndAudit(t *testing.T) {
	out, err := render(&Report{Suites: suites, Benchmarks: []*Result{{Name: "BenchmarkRounds/sites=20/trees=5", Passes: 3,
		Metrics: map[string]float64{"ms/round": 151, "core-ms/round": 240, "rounds": 42}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"takes 151 ms by the clock and 240 ms of the processor time", "The *audit* is from the last round",
		"-bench '^Benchmark(Plain)?Round$'", "`^BenchmarkStudy$/model=(gaussian|boost100)/` and `^BenchmarkAudit$/patients=1000000/` run once"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// The computed sizes follow the cost model: chunks * N log2(q)/8 + m * 2N, and
// little more.
func TestSizesFollowTheCostModel(t *testing.T) {
	update, model, err := sizes()
	if err != nil {
		t.Fatal(err)
	}
	if len(update) != len(tableValues)*len(tableSites) || len(model) == 0 {
		t.Fatalf("%d and %d sizes", len(update), len(model))
	}
	for _, s := range slices.Concat(update, model) {
		parts := s.Ciphertext + s.KeyShares
		if over := s.Upload - parts; over < 0 || float64(over) > 0.02*float64(parts)+2000 {
			t.Errorf("%d values, %d sites: %d bytes beside %d of ciphertext and key shares", s.Values, s.Sites, over, parts)
		}
		if s.Values >= 1e6 && float64(s.Upload) > 4*float64(s.Values)*1.2 {
			t.Errorf("%d values, %d sites: %d bytes", s.Values, s.Sites, s.Upload)
		}
	}
}

// The target for the upload is met by computation, on every machine.
func TestUploadIsAtMostThreeQuartersOfPlainFloat32(t *testing.T) {
	for _, sites := range []int{16, 32} {
		s, err := upload(1e7, sites)
		if err != nil {
			t.Fatal(err)
		}
		if share := float64(s.Upload) / (4 * float64(s.Values)); share > 0.75 {
			t.Errorf("%d sites: %.4f of plain float32", sites, share)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int]string{10: "10", 1000: "1000", 10_000: "10^4", 100_000_000: "10^8", 5000: "5000", 1_500_000: "1500000"} {
		if got := power(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{42: "42 B", 42_500: "42.5 kB", 2_930_000: "2.93 MB"} {
		if got := octets(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
}
