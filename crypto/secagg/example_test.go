package secagg_test

import (
	"fmt"
	"log"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// Three sites learn how many patients they have together and the sum of their
// doses, and nothing about each other.
func Example() {
	layout := secagg.Layout{
		{Name: "patients", Length: 1, FracBits: 0, Bound: 1e6},
		{Name: "dose", Length: 1, FracBits: 20, Bound: 1e8},
	}
	suite, err := secagg.SelectSuite(layout, 3, 3, 2)
	if err != nil {
		log.Fatal(err)
	}
	round, err := secagg.NewRound(secagg.RoundSpec{
		ID: [32]byte{1}, Suite: suite, Layout: layout,
		Invited: 3, Committee: 3, Threshold: 2,
	})
	if err != nil {
		log.Fatal(err)
	}

	var contributions []*secagg.Contribution
	for _, site := range [][]float64{{120, 4312.5}, {75, 2500.25}, {301, 9921}} {
		c, err := round.Seal(site)
		if err != nil {
			log.Fatal(err)
		}
		contributions = append(contributions, c)
	}

	openings := map[int][]byte{} // the third member is away
	for member := range 2 {
		var shares [][]byte // unsealed by the member; they travel encrypted to it
		for _, c := range contributions {
			shares = append(shares, c.Shares[member])
		}
		if openings[member], err = round.AddShares(shares); err != nil {
			log.Fatal(err)
		}
	}

	sum, err := round.Open(3, func(contributor, chunk int) ([]byte, error) {
		return contributions[contributor].Chunks[chunk], nil
	}, openings)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(suite, sum.Contributors(), sum.Values())
	// Output: rlwe4096 3 [496 16733.75]
}
