package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// status is what consilium shows of a study.
type status struct {
	Study            string     `json:"study"`
	Name             string     `json:"name"`
	Title            string     `json:"title"`
	Version          int        `json:"version"`
	State            string     `json:"state"`
	Reason           string     `json:"reason"`
	Decisions        []decision `json:"decisions"`
	Rounds           []round    `json:"rounds"`
	Release          string     `json:"release"`
	ReleaseDecisions []decision `json:"release_decisions"`
}

type decision struct {
	Site     string `json:"site"`
	Decision string `json:"decision"`
	Reason   string `json:"reason"`
}

type round struct {
	ID           string    `json:"id"`
	Step         string    `json:"step"`
	Question     string    `json:"question"`
	State        string    `json:"state"`
	Reason       string    `json:"reason"`
	Contributors []string  `json:"contributors"`
	Openers      []string  `json:"openers"`
	Missing      []string  `json:"missing"`
	BytesUp      uint64    `json:"bytes_up"`
	Started      time.Time `json:"started"`
	Ended        time.Time `json:"ended"`
}

// sites that decided so.
func sites(decisions []decision, word string) []string {
	names := []string{}
	for _, d := range decisions {
		if d.Decision == word {
			names = append(names, d.Site)
		}
	}
	return names
}

func (d *demo) status(ctx context.Context) (status, error) {
	var list struct {
		Studies []status `json:"studies"`
	}
	if err := d.as(ctx, "researcher", &list, "study", "list"); err != nil {
		return status{}, err
	}
	for _, s := range list.Studies {
		if s.Study == d.study {
			return s, nil
		}
	}
	return status{}, fmt.Errorf("the coordinator does not list study %s", d.study)
}

var titleLine = regexp.MustCompile(`(?m)^title: .*$`)

// protocolFile is the study as it is proposed. Over synthetic patients its title
// says so, because reports are read without the demonstration around them.
func (d *demo) protocolFile() []byte {
	if d.seed == 0 {
		return protocol
	}
	return titleLine.ReplaceAll(protocol, []byte("$0 (synthetic patients)"))
}

// propose checks the protocol file and hands it in.
func (d *demo) propose(ctx context.Context) error {
	file := filepath.Join(d.out, "study.yaml")
	if err := os.WriteFile(file, d.protocolFile(), 0o644); err != nil {
		return err
	}
	if err := d.as(ctx, "", nil, "study", "check", file); err != nil {
		return err
	}
	var proposed struct {
		Study string `json:"study"`
		Name  string `json:"name"`
	}
	if err := d.as(ctx, "researcher", &proposed, "study", "propose", file); err != nil {
		return err
	}
	d.study = proposed.Study
	d.say("consilium study propose: %s, whose name is its digest %.16s…", proposed.Name, d.study)
	return nil
}

// approve lets every hospital see the dry run and decide.
func (d *demo) approve(ctx context.Context) error {
	approvals, rows, skipped := 0, 0, 0
	for _, h := range d.hospitals {
		if err := d.review(ctx, h); err != nil {
			return err
		}
		for _, n := range h.skipped {
			skipped += n
		}
		if h.refused != "" {
			continue
		}
		approvals++
		rows += h.rows
		if err := d.at(ctx, h, nil, "approve", d.study); err != nil {
			return err
		}
	}
	first := d.hospitals[0]
	d.say("site-agent approve, dry run: hospital %s would use %d records and skip %d; over all hospitals %d and %d",
		first.name, first.rows, total(first.skipped), rows, skipped)
	if err := d.as(ctx, "researcher", nil, "study", "start", d.study, "--wait-approvals", strconv.Itoa(approvals)); err != nil {
		return err
	}
	line := fmt.Sprintf("site-agent approve: %d hospitals say yes", approvals)
	if n := len(d.hospitals) - approvals; n > 0 {
		line += fmt.Sprintf(", %d have no usable record and say no", n)
	}
	d.say("%s; consilium study start", line)
	return nil
}

// review waits until a hospital has seen the study and reads its dry run.
func (d *demo) review(ctx context.Context, h *hospital) error {
	return d.until(ctx, h.name+" to see the study", func() (bool, error) {
		var reviews []struct {
			Study  string `json:"study"`
			State  string `json:"state"`
			Reason string `json:"reason"`
			DryRun struct {
				Rows       int            `json:"rows"`
				Skipped    map[string]int `json:"skipped"`
				Unreadable string         `json:"unreadable"`
			} `json:"dry_run"`
		}
		if err := d.at(ctx, h, &reviews, "approve"); err != nil {
			return false, err
		}
		for _, r := range reviews {
			if r.Study != d.study {
				continue
			}
			if r.DryRun.Unreadable != "" {
				return false, fmt.Errorf("hospital %s: %s", h.name, r.DryRun.Unreadable)
			}
			h.rows, h.skipped = r.DryRun.Rows, r.DryRun.Skipped
			if r.State == "refused" {
				h.refused = r.Reason
			}
			// Without a usable record the agent refuses by itself.
			return h.rows > 0 || h.refused != "", nil
		}
		return false, nil
	})
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// follow watches the rounds to the end of the study.
func (d *demo) follow(ctx context.Context) error {
	if _, err := d.Do(ctx, "consilium", "study", "watch", d.study, "--identity", d.identity("researcher")); err != nil {
		return err
	}
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	d.release = s.Release
	var steps []string
	bytes := uint64(0)
	for _, r := range s.Rounds {
		steps = append(steps, fmt.Sprintf("%s over %d hospitals", r.Step, len(r.Contributors)))
		bytes += r.BytesUp
	}
	d.say("consilium study watch: %d encrypted sums opened (%s), %.1f MB sent in all", len(s.Rounds), strings.Join(steps, ", "), float64(bytes)/1e6)
	return nil
}
