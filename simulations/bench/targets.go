package main

import "fmt"

// A target is one line of the cost model's table: what was measured, what it is
// held against, and whether that is met.
type target struct {
	Name     string  `json:"name"`
	Wanted   string  `json:"wanted"`
	Measured string  `json:"measured"`
	Ratio    float64 `json:"ratio"` // measured over wanted or wanted over measured: 1 or more is met
	Met      bool    `json:"met"`
	Binds    string  `json:"binds,omitempty"` // what stands in the way when it is not met
}

// waiting is what the profiles of rounds show (go test -cpuprofile, -mutexprofile).
const waiting = "not the cipher: most of the processor time of an encrypted round is for files, digests and TLS. " +
	"By the clock a round waits for files to be synced, the hospitals' own and those of the coordinator, and, on a busy machine, for a core"

// The wide suite carries every long vector.
const wide = "rlwe8192"

// benchmarks finds results by name.
type benchmarks []*Result

func (b benchmarks) named(name string) (*Result, error) {
	for _, r := range b {
		if r.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("benchmark %s did not run", name)
}

// atLeast is a target of a speed, atMost one of a cost.
func atLeast(name, wanted, measured string, value, limit float64) target {
	return target{Name: name, Wanted: wanted, Measured: measured, Ratio: value / limit, Met: value >= limit}
}

func atMost(name, wanted, measured string, value, limit float64) target {
	return target{Name: name, Wanted: wanted, Measured: measured, Ratio: limit / value, Met: value <= limit}
}

// bound says what stands in the way of a target that is not met.
func (t target) bound(format string, args ...any) target {
	if !t.Met {
		t.Binds = fmt.Sprintf(format, args...)
	}
	return t
}

// targets holds the results against the cost model.
func targets(b benchmarks) (out []target, err error) {
	need := func(name string) *Result {
		r, missing := b.named(name)
		if missing != nil {
			err = missing
			return &Result{ValuesPerS: 1}
		}
		return r
	}
	seal, ckks := need("BenchmarkSeal/suite="+wide+"/bits=16"), need("BenchmarkLattigoCKKS/seal")
	aggregate, accumulate := need("BenchmarkAggregate/suite="+wide), need("BenchmarkPlainFloat64Accumulate")
	open, inverse := need("BenchmarkOpen/suite="+wide), need("BenchmarkInverseNTT/suite="+wide)
	on, off := need("BenchmarkRound/cipher=on/values=1000000/sites=8"), need("BenchmarkRound/cipher=off/values=1000000/sites=8")
	plain := need("BenchmarkPlainRound/values=1000000/sites=8")
	few, many := need("BenchmarkOpenPeak/sites=16"), need("BenchmarkOpenPeak/sites=256")
	type study struct {
		name            string
		limit           float64
		federated, pool *Result
	}
	var studies []study
	for _, s := range []study{{name: "gaussian", limit: 5}, {name: "boost100", limit: 60}} {
		size := "BenchmarkStudy/model=" + s.name + "/patients=100000/features=100"
		s.federated, s.pool = need(size+"/sites=20"), need(size+"/pooled")
		studies = append(studies, s)
	}
	audit := need(wideAudit)
	short, long := need("BenchmarkSealStream/values=1000000"), need("BenchmarkSealStream/values=100000000")
	if err != nil {
		return nil, err
	}

	for _, sites := range []int{16, 32} {
		s, err := upload(1e7, sites)
		if err != nil {
			return nil, err
		}
		plain := 4 * float64(s.Values)
		share := float64(s.Upload) / plain
		out = append(out, atMost(fmt.Sprintf("upload of 10^7 16-bit values, %d sites", sites), "≤ 0.75 × plain float32",
			fmt.Sprintf("%.3f × (%.2f bytes per value)", share, 4*share), share, 0.75).
			bound("the ciphertext is %.3f ×, the key shares of the committee the other %.3f ×: 2 bytes to a coefficient of a key", float64(s.Ciphertext)/plain, float64(s.KeyShares)/plain))
	}
	faster := seal.speed() / ckks.speed()
	out = append(out, atLeast("seal, against CKKS as NVIDIA FLARE uses it", "≥ 40 × its values/s",
		fmt.Sprintf("%.1f × (%s against %s values/s)", faster, si(seal.speed()), si(ckks.speed())), faster, 40))
	rate := seal.speed() * 4 / 1e6
	out = append(out, atLeast("seal", "≥ 250 MB/s of float32 per core", fmt.Sprintf("%.0f MB/s", rate), rate, 250))
	adding := aggregate.speed() / accumulate.speed()
	out = append(out, atLeast("aggregate, against a plain []float64 accumulate", "≥ 1 × its values/s",
		fmt.Sprintf("%.2f × (%s against %s values/s)", adding, si(aggregate.speed()), si(accumulate.speed())), adding, 1))
	whole, transforms := 1e9/open.speed(), 1e9/inverse.speed() // milliseconds for 10^6 values
	out = append(out, atMost("open, beyond the transforms", "≤ 10 ms per 10^6 values per core",
		fmt.Sprintf("%.1f ms (%.1f ms in all, %.1f ms of it inverse transforms)", whole-transforms, whole, transforms), whole-transforms, 10))
	took := on.Metrics["s/round"]
	for _, other := range []struct {
		name string
		r    *Result
	}{{"the same round with the cipher off", off}, {"plain float32 over the same connection", plain}} {
		plain := other.r.Metrics["s/round"]
		out = append(out, atMost("round of 10^6 values, 8 sites, against "+other.name, "≤ 1.25 × its time",
			fmt.Sprintf("%.2f × (%.2f s against %.2f s; of processor time %.2f s against %.2f s)", took/plain, took, plain,
				on.Metrics["core-s/round"], other.r.Metrics["core-s/round"]), took/plain, 1.25).bound(waiting))
	}
	out = append(out, atMost("round of 10^6 values, 8 sites, two cores", "≤ 1 s", fmt.Sprintf("%.2f s (%.2f s of processor time)", took, on.Metrics["core-s/round"]), took, 1).bound(waiting))
	for _, r := range []struct {
		sites int
		*Result
	}{{16, few}, {256, many}} {
		peak := r.Metrics["peak/packed"]
		out = append(out, atMost(fmt.Sprintf("memory of opening, %d sites", r.sites), "≤ 3 × one packed vector", fmt.Sprintf("%.2f ×", peak), peak, 3))
	}
	grown := long.Metrics["peak-MB"] / short.Metrics["peak-MB"]
	out = append(out, atMost("memory of sealing 10^8 values as a stream", "that of 10^6",
		fmt.Sprintf("%.2f × (%.1f MB)", grown, long.Metrics["peak-MB"]), grown, 1.05))
	for _, s := range studies {
		took, pooled, rounds := s.federated.NsPerOp/1e9, s.pool.NsPerOp/1e9, s.federated.Metrics["rounds"]
		name := "study of 10^5 patients, 100 features, 20 sites, " + map[string]string{"gaussian": "gaussian", "boost100": "100 boosted trees of depth 6 in 64 bins"}[s.name]
		const cost = "%.0f sums of %.2f s each, %.0f MB from each hospital: what a round among 20 hospitals costs whatever is asked (key shares sealed to and opened by 20 members, signatures, files), and the way of the ciphertext through vault, connection, store and verification"
		out = append(out, atMost(name, fmt.Sprintf("≤ %.0f s", s.limit), fmt.Sprintf("%.1f s (%.1f s of processor time), enrolment, release and verification included", took, s.federated.Metrics["core-s"]), took, s.limit).
			bound(cost, rounds, took/rounds, s.federated.Metrics["MB/site"]))
		out = append(out, atMost(name+", against its pooled twin", "≤ 2 × its time", fmt.Sprintf("%.1f × (%.1f s)", took/pooled, pooled), took/pooled, 2).
			bound(cost, rounds, took/rounds, s.federated.Metrics["MB/site"]))
	}
	auditing := audit.Metrics["audit-s"]
	out = append(out, atMost("audit of 10^6 patients, 60 intersections, 200 replicates, 20 sites", "≤ 30 s",
		fmt.Sprintf("%.1f s (%.1f s of processor time; %s patients/s; %.0f rounds, %s from each hospital)", auditing, audit.Metrics["audit-core-s"],
			si(audit.Metrics["patients/s"]), audit.Metrics["rounds"], octets(int64(audit.Metrics["bytes/site"]))), auditing, 30).
		bound("%.1f s of processor time on two cores: every hospital counts its patients by group, seals and tries the release; the replicates are drawn by the coordinator", audit.Metrics["audit-core-s"]))
	return out, nil
}

// wideAudit is the benchmark of the audit of a large study.
const wideAudit = "BenchmarkAudit/patients=1000000/intersections=60/replicates=200/sites=20"

// fewValues is what a round costs whatever is asked, in a sentence: there is no
// target for it, but a study of many rounds takes as long as its rounds do. Empty
// where it was not measured.
func fewValues(b []*Result) string {
	r, err := benchmarks(b).named("BenchmarkRounds/sites=20/trees=5")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.0f ms by the clock and %.0f ms of the processor time of all 21 parties together, the mean of the %.0f rounds of a study of 4000 patients and 4 features, enrolment, release and verification included",
		r.Metrics["ms/round"], r.Metrics["core-ms/round"], r.Metrics["rounds"])
}

// si writes a number with three significant digits and a letter.
func si(v float64) string {
	for _, step := range []struct {
		size   float64
		letter string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= step.size {
			return fmt.Sprintf("%.3g %s", v/step.size, step.letter)
		}
	}
	return fmt.Sprintf("%.3g", v)
}
