//go:build !linux

package storage

// networkFileSystem can't tell on this system.
func networkFileSystem(string) string { return "" }
