package paper

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

var (
	trailerRoot = regexp.MustCompile(`/Root (\d+) 0 R`)
	trailerSize = regexp.MustCompile(`/Size (\d+)`)
	startOfRefs = regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF\s*$`)
)

// note appends the document's information as an incremental update (ISO 32000-1,
// 7.5.6): a new object, a section of cross references that points at it, and a
// trailer that names the one before. The library writes the standard entries
// only, and ours may have any name.
func note(pdf []byte, title string, about About) ([]byte, error) {
	end := pdf[max(0, len(pdf)-400):]
	root, size, start := trailerRoot.FindSubmatch(end), trailerSize.FindSubmatch(end), startOfRefs.FindSubmatch(end)
	if root == nil || size == nil || start == nil {
		return nil, errors.New("the PDF has no trailer to add the document's information to")
	}
	object, err := strconv.Atoi(string(size[1]))
	if err != nil {
		return nil, fmt.Errorf("the PDF's trailer: %w", err)
	}
	date := "D:" + about.Time.UTC().Format("20060102150405") + "Z"
	var b bytes.Buffer
	b.Write(pdf)
	b.WriteString("\n")
	at := b.Len()
	fmt.Fprintf(&b, "%d 0 obj\n<<\n/Title %s\n/Producer %s\n/CreationDate %s\n/ModDate %s\n",
		object, hexText(title), hexText(about.Software), hexText(date), hexText(date))
	for _, n := range about.Notes {
		if !name.MatchString(n.Name) {
			return nil, fmt.Errorf("%q is not a name for an entry of a PDF's information: use letters and digits", n.Name)
		}
		fmt.Fprintf(&b, "/%s %s\n", n.Name, hexText(n.Value))
	}
	b.WriteString(">>\nendobj\n")
	refs := b.Len()
	fmt.Fprintf(&b, "xref\n%d 1\n%010d 00000 n \ntrailer\n<<\n/Size %d\n/Root %s 0 R\n/Info %d 0 R\n/Prev %s\n>>\nstartxref\n%d\n%%%%EOF\n",
		object, at, object+1, root[1], object, start[1], refs)
	return b.Bytes(), nil
}

var name = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

// hexText is a text string in UTF-16 with its mark, in hexadecimal, so that
// nothing in it needs an escape. Dates are plain ASCII.
func hexText(text string) string {
	var b strings.Builder
	b.WriteString("<")
	if strings.HasPrefix(text, "D:") {
		fmt.Fprintf(&b, "%X", text)
	} else {
		b.WriteString("FEFF")
		for _, unit := range utf16.Encode([]rune(text)) {
			fmt.Fprintf(&b, "%04X", unit)
		}
	}
	b.WriteString(">")
	return b.String()
}
