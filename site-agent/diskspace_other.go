//go:build !unix

package siteagent

// freeBytes does not know on this system.
func freeBytes(string) (uint64, bool) { return 0, false }
