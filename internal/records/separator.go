package records

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// longestHeader is how much of a file may go by before its header has ended; of a
// longer header the part seen decides.
const longestHeader = 64 << 10

// separator is what stands between the cells of a file: commas, semicolons as
// spreadsheets write them where the comma is for decimals, or tabs. The header
// says which, by what it has outside quotation marks. One that has two kinds of
// them is refused and not guessed at: the wrong guess would read other numbers out
// of the same cells, or take two columns for one. Numbers are read with a decimal
// point whatever the separator is.
func separator(name string, input *bufio.Reader) (rune, error) {
	header, err := input.Peek(longestHeader)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	var commas, semicolons, tabs, quoted, begun bool
	for _, b := range header {
		switch {
		case b == '"':
			quoted, begun = !quoted, true
		case quoted:
		case b == '\n' && begun:
			return decide(name, commas, semicolons, tabs)
		case b == ',':
			commas, begun = true, true
		case b == ';':
			semicolons, begun = true, true
		case b == '\t':
			tabs, begun = true, true
		case b != '\n' && b != '\r':
			begun = true
		}
	}
	return decide(name, commas, semicolons, tabs)
}

func decide(name string, commas, semicolons, tabs bool) (rune, error) {
	kinds := 0
	for _, is := range []bool{commas, semicolons, tabs} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return 0, fmt.Errorf("%s line 1 has more than one of comma, semicolon and tab, so it is not clear which separates the columns; "+
			"write a name that holds one in quotation marks, or save the file with commas", name)
	case semicolons:
		return ';', nil
	case tabs:
		return '\t', nil
	}
	return ',', nil // also of a single column
}
