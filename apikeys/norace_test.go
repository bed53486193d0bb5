//go:build !race

package apikeys_test

const raced = false
