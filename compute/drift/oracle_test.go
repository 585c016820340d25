package drift

import (
	"fmt"
	"math"
	"testing"
)

// Every figure of a monitor equals what numpy, SciPy and scikit-learn make of the same
// records, by:
//
//	for w in range(6):
//	    for i in range(180):
//	        marker = ((37*i + 11*w*w) % 141 - 70)/20 + w/10
//	        p = 1/(1+exp(1-0.8*marker))
//	        y = ((53*i + 29*w) % 101)/101 < p + 0.02*w
//	        ward, sex = (7*i + w*(i % 5)) % 11 % 3, i % 2
//
// with the ratio sum(y)/sum(p), its z from sqrt(sum(p*(1-p))), and its interval from
// statsmodels' proportion_confint(sum(y), n, method="wilson"), whose distances from
// mean(y) are multiplied by sqrt(mean(p*(1-p)) / (mean(p)*(1-mean(p)))); brier =
// sklearn.metrics.brier_score_loss(y, p); the moving average scipy.signal.lfilter([.2],
// [1, -.8], z); on the ten bins of a column, joined until the first window has eleven
// patients in each, psi = scipy.stats.entropy(Q, P) + entropy(P, Q), js =
// scipy.spatial.distance.jensenshannon(P, Q, base=2)**2, ks = scipy.stats.ks_2samp of
// the bins' numbers (a value on an edge, such as -4 + 8*b/10, is above it); and both sums of the CUSUM by their recursion with k = 0.5.
func TestMonitorEqualsSciPyAndScikitLearn(t *testing.T) {
	s := parse(t, `
study: watch
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: marker, type: number, range: [-4, 4]}
  - {column: ward, type: category, levels: [a, b, c]}
model: {kind: glm, family: binomial}
fairness: {disclosure: primary, minimum_cell: 11, attributes: [{column: sex, levels: [f, m]}]}
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: date, from: 2026-01-01, every: 30d, times: 6}
  ewma: {weight: 0.2, limit: 2.86}
`)
	sites := make([]hospital, 3)
	for site := range sites {
		b, err := s.NewBuilder([]string{"visit", "y", "marker", "ward", "sex"})
		if err != nil {
			t.Fatal(err)
		}
		for w := range 6 {
			from, _ := s.Monitor.Window(w)
			for i := site; i < 180; i += 3 {
				marker := float64((37*i+11*w*w)%141-70)/20 + float64(w)/10
				p := logistic(0.8*marker - 1)
				y := "0"
				if float64((53*i+29*w)%101)/101 < p+0.02*float64(w) {
					y = "1"
				}
				b.Add([]string{from + "T10:00:00Z", y, fmt.Sprint(marker), string("abc"[(7*i+w*(i%5))%11%3]), string("fm"[i%2])})
				sites[site].forecast.Values = append(sites[site].forecast.Values, p)
			}
		}
		sites[site].records = b.Matrix()
	}
	report := federate(t, s, sites)
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) < 1e-9) {
			t.Errorf("%s: %.10f, want %.10f", what, got, want)
		}
	}
	all, men := group(t, report, "all", "all"), group(t, report, "sex", "m")
	for _, c := range []struct {
		name                          string
		of                            Group
		window                        int
		ratio, lower, upper, z, brier float64
		up, average                   float64
	}{
		{"all", all, 0, 1.1709392836, 1.0095377606, 1.3415693586, 2.0614522967, 0.1949536519, 1.5614522967, 0.4122904593},
		{"all", all, 3, 0.9960628594, 0.8526049878, 1.1503640543, -0.0512816300, 0.1964436062, 6.0968801345, 1.1169254225},
		{"all", all, 5, 1.1047937827, 0.9658021776, 1.2478830540, 1.4591858302, 0.2096292513, 7.7686577745, 1.2006841260},
		{"men", men, 0, 1.0988375389, 0.8841344323, 1.3342765867, 0.8602319948, 0.1913608187, 0.3602319948, 0.1720463990},
		{"men", men, 3, 0.9530089551, 0.7563165133, 1.1752296542, -0.4270106309, 0.1884639683, 2.7170250349, 0.6538055896},
		{"men", men, 5, 1.1650961718, 0.9702968031, 1.3634340810, 1.6372794156, 0.2192222855, 3.9469248821, 0.8407107295},
	} {
		p, what := c.of.Points[c.window], fmt.Sprintf("%s, window %d", c.name, c.window)
		near(what+", ratio", p.Ratio.Estimate, c.ratio)
		near(what+", lower", p.Ratio.Lower, c.lower)
		near(what+", upper", p.Ratio.Upper, c.upper)
		near(what+", z", *p.Z, c.z)
		near(what+", Brier score", *p.Error, c.brier)
		near(what+", CUSUM", *p.Up, c.up)
		near(what+", CUSUM down", *p.Down, 0)
		near(what+", moving average", *p.Average, c.average)
	}
	for _, c := range []struct {
		of        Group
		window    int
		column    int // predictions, marker, ward
		bins      int
		psi, js   float64
		ks        float64
		unordered bool
	}{
		{all, 1, 0, 9, 0.0026395485, 0.0004759199, 0.0111111111, false},
		{all, 1, 1, 8, 0.0021039832, 0.0003793581, 0.0111111111, false},
		{all, 1, 2, 3, 0.0005400027, 0.0000973795, 0, true},
		{all, 5, 0, 9, 0.0588544051, 0.0105045236, 0.0722222222, false},
		{all, 5, 1, 8, 0.0843511336, 0.0150090201, 0.0777777778, false},
		{all, 5, 2, 3, 0.0006232163, 0.0001123829, 0, true},
		{men, 1, 0, 5, 0.0038745197, 0.0006983102, 0.0111111111, false},
		{men, 1, 1, 5, 0.0185167460, 0.0033363980, 0.0222222222, false},
		{men, 1, 2, 3, 0.0006736069, 0.0001214715, 0, true},
		{men, 5, 0, 5, 0.0291913526, 0.0052514091, 0.0666666667, false},
		{men, 5, 1, 5, 0.0738515692, 0.0131687881, 0.0777777778, false},
		{men, 5, 2, 3, 0.0006736069, 0.0001214715, 0, true},
	} {
		shift, what := c.of.Points[c.window].Shifts[c.column], fmt.Sprintf("window %d, column %d", c.window, c.column)
		if shift.Bins != c.bins || (shift.KS == nil) != c.unordered {
			t.Fatalf("%s: %+v", what, shift)
		}
		near(what+", PSI", shift.PSI, c.psi)
		near(what+", Jensen-Shannon", shift.JS, c.js)
		if !c.unordered {
			near(what+", Kolmogorov-Smirnov", *shift.KS, c.ks)
		}
	}
}
