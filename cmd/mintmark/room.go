package main

import (
	"context"
	"runtime"

	"mintmark/server"
)

// room is how much is allocated between two rounds of the garbage collector, at least.
const room = 16 << 20

// runWithRoom runs a server, and gathers the lines of its log meanwhile.
//
// A server keeps a few megabytes, and the garbage collector begins when as much again was
// allocated: under load all the time, a sixth of all work. A slice that is counted but never
// touched, and so takes no memory of the machine, makes it wait. A larger GOGC would do that
// too, but multiply the 19 MiB of every password that is being hashed. GOGC and GOMEMLIMIT
// mean what they always mean.
func runWithRoom(ctx context.Context, s *setting, srv *server.Server) error {
	untouched := make([]byte, room)
	defer runtime.KeepAlive(untouched)
	s.journal.Begin()
	defer s.journal.End() // a log that can not be written can not be told
	return srv.Run(ctx)
}
