package driver

import "fmt"

// Problem is an error written for the person who caused it: what happened, why,
// and what to do next. Every other error is the coordinator's own and crosses
// no wire.
type Problem struct {
	Class           Class
	Code            string // stable
	What, Why, Next string
	Security        bool // only a deviating party causes it
}

// Class says what kind of problem it is, in the terms of the wire.
type Class int

// Classes.
const (
	Invalid      Class = iota // the request is wrong in itself
	NotFound                  // it names something that does not exist
	Denied                    // the caller may not
	Conflict                  // something else is already on record
	Precondition              // not now, or not any more
	Unavailable               // the coordinator cannot store or answer: try again
)

func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.What, p.Why) }

func problem(class Class, code, what, why, next string) *Problem {
	return &Problem{Class: class, Code: code, What: what, Why: why, Next: next}
}

func violation(class Class, code, what, why, next string) *Problem {
	return &Problem{Class: class, Code: code, What: what, Why: why, Next: next, Security: true}
}
