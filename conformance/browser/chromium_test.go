package browser_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mintmark/conformance"
)

// A tab is a browser of its own, without a window, with nothing in it.
type tab struct {
	t   *testing.T
	ctx context.Context
	op  *conformance.Server
	// refused says that the story has a form that is refused. The browser notes every 4xx.
	refused bool
}

const enough = 20 * time.Second

// newTab starts Chromium. When the test ends, it fails if the browser complained about anything.
func newTab(t *testing.T, op *conformance.Server) *tab {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("MINTMARK_REQUIRE_BROWSER") != "" {
			t.Fatal("MINTMARK_REQUIRE_BROWSER is set, and there is no chromium")
		}
		t.Skip("there is no chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-first-run", true))
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, ctx: ctx, op: op}
	complaints := chromedp.Console(ctx)
	t.Cleanup(func() {
		chromedp.Run(ctx, chromedp.Evaluate[int](`console.log("the end"), 1`))
		for m, err := range complaints {
			if err != nil || m.Text == "the end" {
				break
			}
			if b.refused && strings.Contains(m.Text, "422 (Unprocessable") {
				continue
			}
			t.Errorf("the browser says: %s", m)
		}
	})
	return b
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, enough)
	defer end()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s, at %s: %v", what, b.at(), err)
	}
}

func (b *tab) open(address string) {
	b.t.Helper()
	b.do("open "+address, chromedp.Navigate(address))
}

// at is the address of the page.
func (b *tab) at() string {
	ctx, end := context.WithTimeout(b.ctx, enough)
	defer end()
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return at
}

// reach waits until the browser is at an address that begins so, and returns it.
func (b *tab) reach(prefix string) string {
	b.t.Helper()
	for end := time.Now().Add(enough); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if at := b.at(); strings.HasPrefix(at, prefix) {
			return at
		}
	}
	b.t.Fatalf("the browser is at %s and not at %s", b.at(), prefix)
	return ""
}

// see waits for an element.
func (b *tab) see(id string) {
	b.t.Helper()
	b.do("wait for #"+id, chromedp.WaitVisible(chromedp.ID(id)))
}

func (b *tab) click(id string) {
	b.t.Helper()
	b.do("click #"+id, chromedp.Click(chromedp.ID(id), chromedp.NodeVisible))
}

// fill types into a field.
func (b *tab) fill(id, text string) {
	b.t.Helper()
	b.do("fill #"+id, chromedp.SendKeys(chromedp.ID(id), text, chromedp.NodeVisible))
}

func (b *tab) value(id string) string {
	b.t.Helper()
	ctx, end := context.WithTimeout(b.ctx, enough)
	defer end()
	value, err := chromedp.Run(ctx, chromedp.Value(chromedp.ID(id)))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// press presses keys, wherever the focus is.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do("press keys", chromedp.KeyEvent(keys))
}

// tabTo presses the tabulator until the focus is on an element.
func (b *tab) tabTo(id string) {
	b.t.Helper()
	b.see(id)
	for range 20 {
		focus, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.activeElement.id`))
		if err != nil {
			b.t.Fatal(err)
		}
		if focus == id {
			return
		}
		b.press(kb.Tab)
	}
	b.t.Fatalf("the tabulator never comes to #%s", id)
}

func (b *tab) withoutScripts() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		b.t.Fatal(err)
	}
}
