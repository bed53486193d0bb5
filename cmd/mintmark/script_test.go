package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata run the program itself, as its own process.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mintmark": main})
}

// TestScripts tells the stories in testdata/*.txtar: what an operator types, and what happens.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"certificate": certificate, "ready": ready, "exits": exits, "onejson": oneJSON, "take": take, "gives": gives,
		},
	})
}

// ready FOLDER waits until the server of a data folder serves.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	// A minute, because with the race detector on a busy machine the first keys take their time.
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a, err := folder(ts.MkAbs(args[0])).read()
		if err != nil {
			continue
		}
		at, err := dial(a.Server, "", a.TLSCert, nil)
		ts.Check(err)
		if _, err := at.get(context.Background(), a.Server+"/readyz"); err == nil {
			ts.Setenv("ISSUER", a.Issuer)
			return
		}
	}
	ts.Fatalf("the server is not ready after a minute")
}

// certificate CERT KEY makes a certificate for loopback that nobody vouches for.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// exits CODE PROGRAM ARGUMENTS… runs a program that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// onejson FILE holds if the file is one JSON object or one array, and nothing else.
func oneJSON(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	d := json.NewDecoder(strings.NewReader(text))
	var v json.RawMessage
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("not JSON: %v", err)
	}
	if d.More() || v[0] != '{' && v[0] != '[' {
		ts.Fatalf("not one object or array")
	}
}

// take NAME PATH sets a variable to a value of the JSON in stdout. A path is made of members and
// indices: 0.kid.
func take(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], dig(ts, args[1]))
}

// gives PATH VALUE holds if the JSON in stdout has that value there.
func gives(ts *testscript.TestScript, neg bool, args []string) {
	if got := dig(ts, args[0]); (got == args[1]) == neg {
		ts.Fatalf("%s is %q", args[0], got)
	}
}

func dig(ts *testscript.TestScript, path string) string {
	var v any
	d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile("stdout"))))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for part := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			if part == "length" {
				v = len(at)
				continue
			}
			i, err := strconv.Atoi(part)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: there are only %d", path, len(at))
			}
			v = at[i]
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	ts.Check(err)
	return string(text)
}
