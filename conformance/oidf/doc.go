// Package oidf lets the OpenID Foundation's conformance suite judge the running program.
//
// The suite is not part of this repository. Run it as its own documentation says, in its
// development mode, and give its address:
//
//	MINTMARK_OIDF=https://localhost.emobix.co.uk:8443 go test -v -timeout 60m ./conformance/oidf
//
// Each certification plan is a test and each of its modules a subtest. A module passes
// with the results PASSED, REVIEW (a person looks at a screenshot) and SKIPPED (for what
// discovery says that we don't have); a WARNING has to be in the table of those that we
// accept, with the reason.
package oidf
