//go:build !linux

package federation

const inMemory = ""

// freeMemory is 0 where no file system in memory is known.
func freeMemory() uint64 { return 0 }
