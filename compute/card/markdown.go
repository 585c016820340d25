package card

import (
	"fmt"
	"strings"
)

// Markdown writes the card as a text that people can read as it is.
func (c *Card) Markdown() []byte {
	p := &markdown{}
	c.read(p)
	return []byte(p.String())
}

// markdown is the card as it is being written.
type markdown struct {
	strings.Builder
	unstated
}

func (p *markdown) title(title string) { fmt.Fprintf(p, "# %s\n", escape(title)) }

func (p *markdown) section(title string) {
	p.end()
	fmt.Fprintf(p, "\n## %s\n", title)
}

func (p *markdown) end() {
	if rest := p.take(); rest != "" {
		fmt.Fprintf(p, "\n%s\n", rest)
	}
}

func (p *markdown) say(t text) { fmt.Fprintf(p, "\n%s\n", t.markdown()) }

func (p *markdown) under(heading, value string) {
	if t := stated(value); t.stated {
		fmt.Fprintf(p, "\n### %s\n", heading)
		p.say(t)
		return
	}
	p.add(heading)
}

func (p *markdown) line(name, value string) {
	if t := stated(value); t.stated {
		fmt.Fprintf(p, "\n**%s:** %s\n", name, t.markdown())
		return
	}
	p.add(name)
}

func (p *markdown) listing(heading, value string) {
	fmt.Fprintf(p, "\n### %s\n\n%s\n", heading, indented(value))
}

// indented makes a code block, in which nothing is markup.
func indented(value string) string {
	var lines []string
	for line := range strings.Lines(value) {
		lines = append(lines, "    "+strings.TrimRight(line, " \t\r\n"))
	}
	return strings.Join(lines, "\n")
}
