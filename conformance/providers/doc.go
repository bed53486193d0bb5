// Package providers signs people in with other people's providers: what those really send, and
// not what we think of it.
//
// Each story runs the built program on both databases with providers around it: oidc-provider as
// its own process, the example provider of zitadel/oidc, another Mintmark, and servers that
// answer as GitHub and Discord document it. A person comes through each with a scripted browser
// and with Chromium. attack_test.go is what went wrong elsewhere, through the running server; load_test.go
// measures what of a sign-in is ours.
//
//	npm install --prefix conformance/clients/node
//	go test ./conformance/providers/
//
// Without Node.js or Chromium their part is skipped, unless MINTMARK_REQUIRE_CLIENTS or
// MINTMARK_REQUIRE_BROWSER is set. Providers are at localhost and the server at 127.0.0.1: cookies
// know no ports.
package providers
