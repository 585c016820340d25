package card

import "strings"

// unstated gathers what nobody states in a section of a card.
type unstated struct{ headings []string }

func (u *unstated) add(heading string) { u.headings = append(u.headings, heading) }

// take gives the line that says so and begins anew; it is empty if all is stated.
func (u *unstated) take() string {
	if u.headings == nil {
		return ""
	}
	line := "Not stated by the developer: " + strings.ToLower(strings.Join(u.headings, "; ")) + "."
	u.headings = nil
	return line
}
