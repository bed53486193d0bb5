package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// openBrowser starts Chromium without a window, and skips the test if there is none.
func openBrowser(t *testing.T) context.Context {
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
	ctx, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// axe returns the source of axe-core, or "" if it is not here and need not be.
func axe(t *testing.T) string {
	t.Helper()
	file := os.Getenv("MINTMARK_AXE")
	if file == "" {
		if os.Getenv("MINTMARK_REQUIRE_BROWSER") != "" {
			t.Fatal("MINTMARK_REQUIRE_BROWSER is set, and MINTMARK_AXE does not name axe.min.js")
		}
		t.Log("without MINTMARK_AXE, accessibility is not checked")
		return ""
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// Every page, light and dark, from a small telephone to a wide screen: nothing to scroll
// sideways to, nothing that axe finds, nothing that the browser complains about. With
// MINTMARK_SHOTS set, pictures of them are left in that folder.
func TestEveryPageInABrowser(t *testing.T) {
	ctx := openBrowser(t)
	source := axe(t)
	s := newSite(t)
	samples := s.samples()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, x := range samples {
			if r.URL.Path == "/"+x.name {
				s.show(w, 200, x.template, x.page, x.allow)
				return
			}
		}
		s.Static(w, r)
	}))
	t.Cleanup(server.Close)

	for _, x := range samples {
		t.Run(x.name, func(t *testing.T) {
			tab, end := chromedp.NewContext(ctx)
			defer end()
			complaints := chromedp.Console(tab)
			for _, theme := range []string{"light", "dark"} {
				for _, width := range []int64{320, 390, 1280} {
					look(t, tab, server.URL+"/"+x.name, x.name, theme, width)
				}
				if source != "" {
					checkAxe(t, tab, source, theme)
				}
			}
			// A last line of ours ends the reading.
			if err := chromedp.Do(tab, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				_, err := chromedp.Evaluate[int](`console.log("the end"), 1`)(ctx, target)
				return err
			})); err != nil {
				t.Fatal(err)
			}
			for m, err := range complaints {
				if err != nil || m.Text == "the end" {
					break
				}
				t.Errorf("the browser says: %s", m)
			}
		})
	}
}

func look(t *testing.T, tab context.Context, address, name, theme string, width int64) {
	t.Helper()
	height := int64(844)
	if width > 1000 {
		height = 800
	}
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	if err == nil {
		err = chromedp.Do(tab, chromedp.EmulateViewport(width, height), chromedp.Navigate(address))
	}
	if err != nil {
		t.Fatal(err)
	}
	wide, err := chromedp.Run(tab, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
	if err != nil {
		t.Fatal(err)
	}
	if wide > width {
		t.Errorf("%d wide in a window of %d", wide, width)
	}
	// WCAG 2.2 §2.5.8 asks for 24 pixels; thumbs want 44.
	small, err := chromedp.Run(tab, chromedp.Evaluate[string](`[...document.querySelectorAll("button, .button, input:not([type=hidden])")]
		.filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML).join("\n")`))
	if err != nil {
		t.Fatal(err)
	}
	if small != "" {
		t.Errorf("lower than 44 pixels at %d: %s", width, small)
	}
	if folder := os.Getenv("MINTMARK_SHOTS"); folder != "" && width != 320 {
		picture, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), picture, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func checkAxe(t *testing.T, tab context.Context, source, theme string) {
	t.Helper()
	bounded, end := context.WithTimeout(tab, 20*time.Second)
	defer end()
	if _, err := chromedp.Run(bounded, chromedp.Evaluate[bool](source+"\n;true")); err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(bounded, chromedp.Evaluate[string](
		`axe.run().then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)}))))`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("axe, %s: %s: %s\n%s", theme, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
	}
}
