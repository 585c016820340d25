package federation

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// inMemory is a file system in memory.
const inMemory = "/dev/shm"

// freeMemory is how many bytes fit there: as many as it may still grow by, and no
// more than the machine can give.
func freeMemory() uint64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(inMemory, &s); err != nil {
		return 0
	}
	return min(s.Bavail*uint64(s.Bsize), available())
}

// available is how much memory programs can have without any being paged out.
func available() (size uint64) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(info) {
		if n, _ := fmt.Sscanf(string(line), "MemAvailable: %d kB", &size); n == 1 {
			return size << 10
		}
	}
	return 0
}
