package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/simulations/cohort"
	"github.com/consilium-fl/consilium/simulations/federation"
)

const (
	syntheticPatients = 3000
	syntheticSeed     = 2009 // any number: the year of the dose equation
)

// hospital is a site with a folder of its own.
type hospital struct {
	name string
	dir  string // site-agent.yaml, patients.csv, state

	rows    int
	skipped map[string]int
	refused string // why it does not take part, if it does not
}

func (h *hospital) config() string   { return filepath.Join(h.dir, "site-agent.yaml") }
func (h *hospital) patients() string { return filepath.Join(h.dir, "patients.csv") }

// admitPatients gives every hospital its file of patients.
func (d *demo) admitPatients(data string) error {
	source, kind := records.CSV(data), "real patients from "+data
	if data == "" {
		d.seed = syntheticSeed
		table := cohort.Generate(cohort.Default(syntheticPatients), d.seed)
		source, kind = records.Memory(table.Columns, table.Rows), "SYNTHETIC patients (nobody's records; made by simulations/cohort)"
	}
	sites, _, err := federation.Split(source, "site")
	if err != nil {
		return err
	}
	if len(sites) < 5 {
		return fmt.Errorf("the data has %d hospitals in its column site; the demonstration needs at least 5", len(sites))
	}
	patients := 0
	for _, site := range sites {
		h := &hospital{name: site.Name, dir: filepath.Join(d.out, "hospitals", site.Name)}
		if err := os.MkdirAll(h.dir, 0o755); err != nil {
			return err
		}
		n, err := writeCSV(h.patients(), site.Records)
		if err != nil {
			return err
		}
		patients += n
		d.hospitals = append(d.hospitals, h)
	}
	d.say("%d hospitals with %d %s", len(d.hospitals), patients, kind)
	return nil
}

// writeCSV writes records to a file and returns how many.
func writeCSV(path string, source records.Source) (n int, err error) {
	rows, err := source.Open()
	if err != nil {
		return 0, err
	}
	defer rows.Close() // read only: nothing is lost if closing fails
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := csv.NewWriter(file)
	if err := out.Write(rows.Columns()); err != nil {
		return 0, err
	}
	for ; ; n++ {
		record, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
		if err := out.Write(record); err != nil {
			return n, err
		}
	}
	out.Flush()
	return n, out.Error()
}
