package cohort

// Patient is what the dose equation knows. Height and weight are the true
// ones, whatever the hospital wrote down.
type Patient struct {
	Ancestry      Ancestry
	Female        bool
	AgeDecade     int // 10-19 years = 1, ..., 90 and over = 9
	HeightCM      float64
	WeightKG      float64
	VKORC1        string // G/G, A/G or A/A at -1639
	CYP2C9        string // diplotype; beyond *1, *2 and *3 the equation has one term for all
	EnzymeInducer bool   // carbamazepine, phenytoin or rifampin
	Amiodarone    bool
}

// SqrtDose is the square root of the predicted stable dose in mg a week: the
// pharmacogenetic equation of the International Warfarin Pharmacogenetics
// Consortium (N Engl J Med 2009;360:753-764, appendix).
func (p Patient) SqrtDose() float64 {
	y := 5.6044 - 0.2614*float64(p.AgeDecade) + 0.0087*p.HeightCM + 0.0128*p.WeightKG
	switch p.VKORC1 {
	case "G/G":
	case "A/G":
		y -= 0.8677
	case "A/A":
		y -= 1.6974
	default:
		y -= 0.4854
	}
	switch p.CYP2C9 {
	case "*1/*1":
	case "*1/*2":
		y -= 0.5211
	case "*1/*3":
		y -= 0.9357
	case "*2/*2":
		y -= 1.0616
	case "*2/*3":
		y -= 1.9206
	case "*3/*3":
		y -= 2.3312
	default:
		y -= 0.2188
	}
	switch p.Ancestry {
	case Asian:
		y -= 0.1092
	case Black:
		y -= 0.2760
	case Mixed:
		y -= 0.1032
	}
	if p.EnzymeInducer {
		y += 1.1816
	}
	if p.Amiodarone {
		y -= 0.5503
	}
	return y
}
