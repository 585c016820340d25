package card

import (
	"fmt"
	"strings"
	"unicode"
)

// text is what a card says in one place: blocks of other people's and our own
// words, written literally in every form.
type text struct {
	blocks   []block
	computed bool // some of it follows from the study or its sums
	stated   bool // some of it people have stated
}

// block is a paragraph, a list or a table: one of them.
type block struct {
	paragraph string
	items     []string
	head      []string
	rows      [][]string
}

const notStated = "Not stated by the developer."

func paragraph(format string, args ...any) block {
	return block{paragraph: fmt.Sprintf(format, args...)}
}

func computed(blocks ...block) text { return text{blocks: blocks, computed: true} }

// stated is what a person wrote, or that nobody did.
func stated(value string) text {
	if strings.TrimSpace(value) == "" {
		return text{blocks: []block{{paragraph: notStated}}}
	}
	return text{blocks: blocksOf(value), stated: true}
}

// with adds what people state to what the software says.
func (t text) with(value string) text {
	if strings.TrimSpace(value) == "" {
		t.blocks = append(t.blocks, block{paragraph: "More than that is not stated by the developer."})
		return t
	}
	t.blocks = append(append(t.blocks, block{paragraph: "The developer states:"}), blocksOf(value)...)
	t.stated = true
	return t
}

// source says in a word whose text it is.
func (t text) source() string {
	switch {
	case t.computed && t.stated:
		return "computed and stated"
	case t.computed:
		return "computed"
	case t.stated:
		return "stated"
	}
	return "not stated"
}

// blocksOf divides a person's text into paragraphs and items.
func blocksOf(value string) []block {
	var out []block
	open := false // the last block is a paragraph that goes on
	for line := range strings.Lines(value) {
		line = strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(line, "- ")
		last := len(out) - 1
		switch {
		case line == "":
			open = false
		case isItem && last >= 0 && out[last].items != nil:
			out[last].items = append(out[last].items, item)
			open = false
		case isItem:
			out = append(out, block{items: []string{item}})
			open = false
		case open:
			out[last].paragraph += " " + line
		default:
			out = append(out, block{paragraph: line})
			open = true
		}
	}
	return out
}

// markdown writes the text so that nothing in it is markup.
func (t text) markdown() string {
	var parts []string
	for _, b := range t.blocks {
		parts = append(parts, b.markdown())
	}
	return strings.Join(parts, "\n\n")
}

func (b block) markdown() string {
	switch {
	case b.items != nil:
		var lines []string
		for _, item := range b.items {
			lines = append(lines, "- "+escape(item))
		}
		return strings.Join(lines, "\n")
	case b.head != nil:
		lines := []string{tableLine(b.head), "|" + strings.Repeat(" --- |", len(b.head))}
		for _, row := range b.rows {
			lines = append(lines, tableLine(row))
		}
		return strings.Join(lines, "\n")
	}
	return escape(b.paragraph)
}

func tableLine(cells []string) string {
	var b strings.Builder
	b.WriteString("|")
	for _, cell := range cells {
		b.WriteString(" " + escape(cell) + " |")
	}
	return b.String()
}

// plain writes the text without any markup.
func (t text) plain() string {
	var parts []string
	for _, b := range t.blocks {
		parts = append(parts, b.plain())
	}
	return strings.Join(parts, "\n")
}

func (b block) plain() string {
	var lines []string
	switch {
	case b.items != nil:
		for _, item := range b.items {
			lines = append(lines, "- "+clean(item))
		}
	case b.head != nil:
		for _, row := range b.rows {
			var cells []string
			for i, cell := range row[1:] {
				if cell != "" {
					cells = append(cells, b.head[i+1]+" "+cell)
				}
			}
			lines = append(lines, clean("- "+row[0]+": "+strings.Join(cells, "; ")))
		}
	default:
		return clean(b.paragraph)
	}
	return strings.Join(lines, "\n")
}

// clean makes one line of somebody's words, without control characters and
// without those that turn the direction of the text around them.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar, r == 0xFFFE, r == 0xFFFF:
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, " ")
}

// markup are the characters that can begin markup anywhere in a line of
// CommonMark or of a GitHub table.
var markup = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"#", `\#`, "|", `\|`, "~", `\~`, "$", `\$`)

// escape writes somebody's words as Markdown that shows just them.
func escape(s string) string {
	s = underscores(markup.Replace(clean(s)))
	// At the beginning of a line more characters are markup.
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	switch {
	case s == "":
		return ""
	case strings.ContainsRune("-+=:", rune(s[0])):
		return `\` + s
	case digits > 0 && digits < len(s) && (s[digits] == '.' || s[digits] == ')') && (digits+1 == len(s) || s[digits+1] == ' '):
		return s[:digits] + `\` + s[digits:]
	}
	return s
}

// underscores escapes those that are not inside a word, where they are letters.
func underscores(s string) string {
	letter := func(i int) bool {
		return i >= 0 && i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z')
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '_' && !(letter(i-1) && letter(i+1)) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
