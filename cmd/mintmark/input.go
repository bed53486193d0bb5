package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// fromFiles sets members to what files hold, without the newline that editors put at the end.
func fromFiles(stdin io.Reader, in map[string]any, files map[string]string) error {
	for name, file := range files {
		if file == "" {
			continue
		}
		content, err := readInput(stdin, file)
		if err != nil {
			return err
		}
		content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
		if len(content) == 0 {
			return fmt.Errorf("%s is empty", file)
		}
		in[name] = string(content)
	}
	return nil
}

// addClaims sets the member "claims" to what a JSON file holds.
func addClaims(stdin io.Reader, in map[string]any, file string) error {
	if file == "" {
		return nil
	}
	content, err := readInput(stdin, file)
	if err != nil {
		return err
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(content, &claims); err != nil {
		return fmt.Errorf("%s does not hold a JSON object: %w", file, err)
	}
	in["claims"] = claims
	return nil
}

// readInput reads a file, or the standard input if it is called "-".
func readInput(stdin io.Reader, file string) ([]byte, error) {
	const limit = 1 << 20
	if file == "-" {
		content, err := io.ReadAll(io.LimitReader(stdin, limit+1))
		if err == nil && len(content) > limit {
			err = errors.New("the standard input is too long")
		}
		return content, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(content) > limit {
		err = fmt.Errorf("%s is too long", file)
	}
	return content, err
}
