package card

import "github.com/consilium-fl/consilium/compute/page/paper"

// PDF sets the page of the card on paper. The file carries the card's XML among
// its information as chaiMcXml, where programs that read CHAI cards look for it,
// and the software that made it as chaiMcSoftwareId.
func (c *Card) PDF() ([]byte, error) {
	page, err := c.HTML()
	if err != nil {
		return nil, err
	}
	xml, err := c.XML()
	if err != nil {
		return nil, err
	}
	return paper.Set(page, paper.About{
		Time: c.r.Signed, Software: "Consilium",
		Notes: []paper.Note{{Name: "chaiMcXml", Value: string(xml)}, {Name: "chaiMcSoftwareId", Value: "Consilium"}},
	})
}
