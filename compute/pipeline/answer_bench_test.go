package pipeline

import (
	"fmt"
	"testing"

	"github.com/consilium-fl/consilium/compute/glm"
)

// BenchmarkAnswer measures a site's work for one round of a model of five
// terms, in patients per second.
func BenchmarkAnswer(b *testing.B) {
	const patients = 100_000
	const centre = `"centre":{"columns":[0,0,0,0,0],"outcome":0}`
	records := cohort(patients, true, asIs)
	one := func(int) string { return "1" }
	columns := []string{"y", "a", "b", "c"}
	binary := parse(b, fmt.Sprintf(small, `{column: y, type: binary, positive: ["1"]}`, "binomial", 0.0, 3, 25))
	dose := parse(b, fmt.Sprintf(small, `{column: y, type: number, range: [-20, 20]}`, "gaussian", 0.0, 3, 25))
	for _, c := range []struct {
		step, parameters string
		binary           bool
	}{
		{"describe/counts", "", true},
		{glm.StepGram, `{` + centre + `}`, false},
		{glm.StepNewton, `{"coefficients":[0.1,0.2,0.3,0.4,0.5],` + centre + `}`, true},
	} {
		s := dose
		if c.binary {
			s = binary
		}
		m := matrices(b, s, columns, records, one)[0]
		b.Run(fmt.Sprintf("%s/patients=%d", c.step, patients), func(b *testing.B) {
			for b.Loop() {
				if _, err := Answer(s, c.step, within(c.parameters), Site{Name: "A", Records: m}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(patients)*float64(b.N)/b.Elapsed().Seconds(), "patients/s")
		})
	}
}
