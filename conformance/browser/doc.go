// Package browser lets a real browser do what people do.
//
// What only a browser decides is proven here: that its policies let it return to the
// application after a form, that a page works with a keyboard alone and without scripts, that
// it has nothing to complain about. How the pages look, and whether a screen reader can read
// them, is told in package web, page by page.
//
// Without Chromium the tests are skipped, unless MINTMARK_REQUIRE_BROWSER is set.
package browser
