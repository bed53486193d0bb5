package load_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mintmark/conformance"
)

// A target is a server that runs as a process of its own.
type target struct {
	b       testing.TB
	address string
	pid     int
	data    string
}

// launch runs a program until the benchmark ends. Its log goes to a file, as in production.
func launch(b testing.TB, cmd *exec.Cmd) {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = file
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		file.Close()
	})
}

func startLeast(b testing.TB) *target {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), least+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	launch(b, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &target{b: b, address: strings.TrimSpace(line), pid: cmd.Process.Pid}
}

// start runs `mintmark serve` as in production, but for TLS.
func start(b testing.TB, database string, flags ...string) *target {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &target{b: b, address: free.Addr().String(), data: b.TempDir()}
	free.Close()
	key, err := exec.Command(conformance.Program(b), "secrets", "new").Output()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(conformance.Program(b), append([]string{"serve", "--listen", s.address, "--issuer", "http://" + s.address,
		"--database", database, "--data", s.data, "--log-format", "json"}, flags...)...)
	cmd.Env = append(conformance.Environment(), "MINTMARK_SECRETS_ENCRYPTION_KEY="+strings.TrimSpace(string(key)))
	launch(b, cmd)
	s.pid = cmd.Process.Pid
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if resp, err := http.Get("http://" + s.address + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
	}
	b.Fatal("the server was not ready after 20 s")
	return nil
}

// run runs a command of the program, and returns what it says.
func (s *target) run(stdin string, args ...string) []byte {
	s.b.Helper()
	cmd := exec.Command(conformance.Program(s.b), append(args, "--data", s.data)...)
	cmd.Env, cmd.Stdin = conformance.Environment(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.b.Fatalf("mintmark %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// cpu is the processor time that the server has used: zero where the system doesn't tell.
func (s *target) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the third and those after it
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// A visit is a client with a connection of its own. It costs little: the machine is for the server.
type visit struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	body    []byte // of the last answer
	pace    *pace  // nil: each request follows the last answer
}

func (s *target) visit(b testing.TB) *visit {
	b.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &visit{address: s.address, conn: conn, in: bufio.NewReader(conn)}
}

// request is a request as it is sent.
func (s *target) request(method, path, authorization string, form url.Values) []byte {
	body := form.Encode()
	head := method + " " + path + " HTTP/1.1\r\nHost: " + s.address + "\r\n"
	if authorization != "" {
		head += authorization + "\r\n"
	}
	if method == "POST" {
		head += "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return []byte(head + "\r\n" + body)
}

// post is a request with a JSON body.
func (s *target) post(path, authorization, body string) []byte {
	return []byte("POST " + path + " HTTP/1.1\r\nHost: " + s.address + "\r\n" + authorization +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// send sends a request and returns the answer, which must have that status and hold that text. The
// body is good until the next one.
func (v *visit) send(request []byte, status int, holds string) (body []byte, to string, err error) {
	if v.pace != nil {
		due, err := v.pace.wait()
		if err != nil {
			return nil, "", err
		}
		defer v.pace.saw(request, due)
	}
	if _, err := v.conn.Write(request); err != nil {
		return nil, "", err
	}
	got, to, err := v.read()
	if err != nil {
		return nil, "", err
	}
	if got != status || !strings.Contains(to, holds) && !bytes.Contains(v.body, []byte(holds)) {
		return nil, "", fmt.Errorf("%.60s: %d %s %.200s", request, got, to, v.body)
	}
	return v.body, to, nil
}

// read reads an answer, with a Content-Length or without a body, which all of these have. It looks
// at three headers and keeps none, as a client that costs more measures itself.
func (v *visit) read() (status int, to string, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := v.in.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case first && len(line) < 12:
			return 0, "", fmt.Errorf("%q is no answer", line)
		case first:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, "", err
			}
		case len(line) == 0:
			v.body = slices.Grow(v.body[:0], length)[:length]
			_, err = io.ReadFull(v.in, v.body)
			return status, to, err
		case string(name) == "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, "", err
			}
		case string(name) == "Location":
			to = string(value)
		case string(name) == "Transfer-Encoding":
			return 0, "", fmt.Errorf("the answer is %s", value)
		}
	}
}

func basic(id, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// str is a text member of a JSON object whose values need no unescaping, such as tokens.
func str(body []byte, name string) string {
	_, rest, _ := strings.Cut(string(body), `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// clients is how many clients there are at the same time.
const clients = 16

// measure lets sixteen clients do something b.N times in all. prepare makes what one client does.
func (s *target) measure(b *testing.B, prepare func(v *visit) func() error) {
	b.Helper()
	var do [clients]func() error
	for i := range do {
		do[i] = prepare(s.visit(b))
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var group sync.WaitGroup
	before := s.cpu()
	b.ResetTimer()
	for _, do := range do {
		group.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				begin := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64((s.cpu()-before).Microseconds())/float64(b.N), "server-µs/op")
	b.ReportMetric(0, "ns/op") // of sixteen at once: it would be read as a latency
}
