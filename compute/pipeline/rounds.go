package pipeline

import (
	"sync"

	"github.com/consilium-fl/consilium/study"
)

// Rounds is the most rounds that a step of a study can take where so many hospitals
// are invited, and false if the study has no such step.
//
// Every plan is held against it several times, and listing the steps of a study of
// trees takes longer than many a round: what was listed lately is remembered, by
// the study's file.
func Rounds(s *study.Study, step string, sites int) (most int, known bool) {
	most, known = listed.of(s, sites)[step]
	return most, known
}

var listed = &rounds{lists: make(map[listing]map[string]int)}

// rounds remembers the rounds of the steps of some studies.
type rounds struct {
	mu    sync.Mutex
	lists map[listing]map[string]int
}

type listing struct {
	study [32]byte
	sites int
}

// fewLists is more than the studies that run at the same time; two lists for each.
const fewLists = 64

func (r *rounds) of(s *study.Study, sites int) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := listing{s.Digest(), sites}
	list := r.lists[key]
	if list != nil {
		return list
	}
	list = make(map[string]int)
	for _, step := range Steps(s, sites) {
		if _, twice := list[step.Step]; !twice {
			list[step.Step] = step.Rounds
		}
	}
	if len(r.lists) >= fewLists {
		clear(r.lists)
	}
	r.lists[key] = list
	return list
}
