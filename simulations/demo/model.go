package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// report writes the page of the bias audit.
func (d *demo) report(ctx context.Context) error {
	if err := d.as(ctx, "auditor", nil, "audit", "report", d.study, "--out", filepath.Join(d.out, "report.html")); err != nil {
		return err
	}
	d.say("consilium audit report: for whom the model errs, signed, in %s", filepath.Join(d.out, "report.html"))
	return nil
}

// decide lets a person in the first hospital look at the release and accept it;
// in the others a rule decides.
func (d *demo) decide(ctx context.Context) error {
	first := d.hospitals[slices.IndexFunc(d.hospitals, func(h *hospital) bool { return h.refused == "" })]
	var shown struct {
		State      string `json:"state"`
		Comparison struct {
			Groups []struct {
				Own   map[string]float64 `json:"own"`
				Whole map[string]float64 `json:"whole"`
			} `json:"groups"`
		} `json:"comparison"`
	}
	if err := d.until(ctx, "the release to reach "+first.name, func() (bool, error) {
		var offered []struct {
			Release string `json:"release"`
		}
		if err := d.at(ctx, first, &offered, "releases", "list"); err != nil {
			return false, err
		}
		return len(offered) > 0, nil
	}); err != nil {
		return err
	}
	if err := d.at(ctx, first, &shown, "releases", "show", d.release); err != nil {
		return err
	}
	if shown.State == "waiting" {
		if err := d.at(ctx, first, nil, "releases", "accept", d.release); err != nil {
			return err
		}
	}
	all := shown.Comparison.Groups[0]
	d.say("site-agent releases show: on its own patients hospital %s sees a mean absolute error of %.2f mg/wk, over all hospitals it is %.2f", first.name, all.Own["mae"], all.Whole["mae"])

	var s status
	if err := d.until(ctx, "the hospitals to decide about the release", func() (done bool, err error) {
		s, err = d.status(ctx)
		return err == nil && len(sites(s.ReleaseDecisions, "pending")) == 0, err
	}); err != nil {
		return err
	}
	d.say("release %.16s…: accepted by %d hospitals, refused by %d after a test on their own patients", d.release,
		len(sites(s.ReleaseDecisions, "accepted")), len(sites(s.ReleaseDecisions, "refused")))
	return nil
}

// predict uses the model where it was accepted.
func (d *demo) predict(ctx context.Context) error {
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	accepted := sites(s.ReleaseDecisions, "accepted")
	if len(accepted) == 0 {
		return fmt.Errorf("no hospital accepted the release, so there is nothing to predict with")
	}
	h := d.hospitals[slices.IndexFunc(d.hospitals, func(h *hospital) bool { return h.name == accepted[0] })]
	out := filepath.Join(d.out, "predictions.csv")
	var done struct {
		Predicted int `json:"predicted"`
		Without   int `json:"without"`
	}
	if err := d.at(ctx, h, &done, "predict", "--input", h.patients(), "--output", out); err != nil {
		return err
	}
	example, err := examplePrediction(out)
	if err != nil {
		return err
	}
	d.say("site-agent predict: %d doses at hospital %s, offline, such as %s", done.Predicted, h.name, example)
	return nil
}

// examplePrediction puts the first prediction of a file into words.
func examplePrediction(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() // read only: nothing is lost if closing fails
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return "", err
	}
	for _, line := range lines[1:] {
		if line[1] != "" {
			return fmt.Sprintf("%.4s mg/wk (%.4s to %.4s)", line[1], line[2], line[3]), nil
		}
	}
	return "", fmt.Errorf("%s holds no prediction", path)
}

// prove fetches the evidence as an auditor and verifies it offline.
func (d *demo) prove(ctx context.Context) error {
	bundle := filepath.Join(d.out, "bundle")
	if err := d.as(ctx, "auditor", nil, "audit", "fetch", d.study, "--out", bundle, "--ciphertexts"); err != nil {
		return err
	}
	findings, err := d.verify(ctx)
	if err != nil {
		return err
	}
	d.say("consilium audit verify: %d of %d checks hold; every sum was opened again from its ciphertexts", findings.count("ok"), len(findings.Checks))
	return nil
}

// findings is what consilium audit verify prints.
type findings struct {
	Entries uint64    `json:"entries"`
	Root    string    `json:"root"`
	Checks  []finding `json:"checks"`
}

type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
}

func (f findings) count(state string) int {
	n := 0
	for _, c := range f.Checks {
		if c.State == state {
			n++
		}
	}
	return n
}

func (d *demo) verify(ctx context.Context) (f findings, err error) {
	return f, d.as(ctx, "auditor", &f, "audit", "verify", filepath.Join(d.out, "bundle"))
}

// outboxes adds up what the hospitals say has left.
func (d *demo) outboxes(ctx context.Context) error {
	requests, bytes := 0, int64(0)
	var kinds []string
	for _, h := range d.hospitals {
		var left []struct {
			Kind  string `json:"kind"`
			Bytes int64  `json:"bytes"`
		}
		if err := d.at(ctx, h, &left, "outbox"); err != nil {
			return err
		}
		for _, entry := range left {
			requests++
			bytes += entry.Bytes
			if !slices.Contains(kinds, entry.Kind) {
				kinds = append(kinds, entry.Kind)
			}
		}
	}
	slices.Sort(kinds)
	d.say("site-agent outbox: %d messages and %.1f MB have left the hospitals: %s", requests, float64(bytes)/1e6, strings.Join(kinds, ", "))
	return nil
}
