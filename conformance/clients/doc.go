// Package clients lets other people's software judge ours: it signs in with it, or
// verifies our tokens with it, against the running program.
//
// What is written in Go needs nothing else. For the rest the tests look for Node.js with
// the packages of node/package.json, Python with those of python/requirements.txt, and
// Apache with mod_auth_openidc; without them they are skipped, unless
// MINTMARK_REQUIRE_CLIENTS=1 makes that a failure. The script .ci/run installs them.
package clients
