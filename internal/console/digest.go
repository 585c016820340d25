package console

import (
	"fmt"
	"strings"
)

// minimumPrefix is how many digits of a digest a person has to type.
const minimumPrefix = 8

// FindDigest finds the one digest that a person means by its first digits. What
// says what the digests name, such as "study"; list is the command that shows
// them.
func FindDigest(prefix string, digests []string, what, list string) (string, error) {
	prefix = strings.ToLower(strings.TrimSpace(prefix))
	if strings.Trim(prefix, "0123456789abcdef") != "" || len(prefix) > 64 {
		return "", &Problem{What: fmt.Sprintf("%q is no digest", prefix), Why: "a digest is 64 hex digits, of which the first 8 will do", Next: list, Exit: ExitUsage}
	}
	if len(prefix) < minimumPrefix {
		return "", &Problem{What: fmt.Sprintf("%q is too short to name a %s", prefix, what), Why: fmt.Sprintf("at least %d digits are needed", minimumPrefix), Next: list, Exit: ExitUsage}
	}
	var found []string
	for _, digest := range digests {
		if strings.HasPrefix(digest, prefix) {
			found = append(found, digest)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &Problem{What: fmt.Sprintf("there is no %s %s", what, prefix), Why: "none begins like that", Next: list}
	}
	return "", &Problem{What: fmt.Sprintf("%s names more than one %s", prefix, what), Why: fmt.Sprintf("it begins %d digests", len(found)), Next: "type more digits; " + list + " shows them", Exit: ExitUsage}
}
