//go:build !unix

package siteagent

// Owner does not know on this system.
func Owner(string) (owner string, another bool, err error) { return "", false, nil }
