package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// How long a connection may take. A client that is slower than this is not waited for.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10

	finishTimeout = 10 * time.Second // for requests that are being answered when the listener closes
	defaultDrain  = 2 * time.Second
)

// Listen opens a listener. Its errors say what an operator can do.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another program: end that one, or choose another address with --listen", address)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("listening on %s is not permitted: choose a port above 1023 with --listen", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this machine: choose another with --listen", address)
	}
	return nil, fmt.Errorf("can not listen on %q, choose another address with --listen: %w", address, err)
}

// Run serves until ctx ends, and then ends in order: /readyz says no while everything else
// goes on (Config.DrainDelay), so that balancers look elsewhere; the listener closes; requests
// that have begun are finished; the background jobs stop. It returns nil if all of that went well.
func (s *Server) Run(ctx context.Context) error {
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	listener := s.cfg.Listener
	if listener == nil {
		if listener, err = Listen(s.cfg.Listen); err != nil {
			return err
		}
	}
	defer listener.Close()
	servers := []*http.Server{s.newServer(s.handler)}
	listeners := []net.Listener{listener}
	if certificate != nil {
		servers[0].TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate}}
	}
	if s.cfg.AdminListen != "" {
		inside, err := Listen(s.cfg.AdminListen)
		if err != nil {
			return err
		}
		defer inside.Close()
		servers, listeners = append(servers, s.newServer(s.inside())), append(listeners, inside)
	}

	// The jobs outlive ctx: while requests are being finished, keys must stay fresh.
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJobs()
	wait := s.startJobs(jobs)
	failed := make(chan error, len(servers))
	for i, server := range servers {
		go func() {
			if server.TLSConfig != nil {
				failed <- server.ServeTLS(listeners[i], "", "")
			} else {
				failed <- server.Serve(listeners[i])
			}
		}()
	}
	s.log.InfoContext(ctx, "serving", "issuer", s.cfg.Issuer, "address", listener.Addr().String())

	select {
	case err = <-failed:
		s.draining.Store(true) // nobody new can come: there is nothing to wait for
	case <-ctx.Done():
		err = s.drain(failed)
	}
	s.revoked.End() // they come back, to another copy
	err = errors.Join(err, finish(servers))
	stopJobs()
	wait()
	s.log.Info("ended")
	return err
}

// drain makes /readyz say no and waits until everybody has had the time to see it, or a listener
// fails: then nobody new can come, and there is nothing to wait for.
func (s *Server) drain(failed <-chan error) error {
	s.draining.Store(true)
	if s.cfg.DrainDelay <= 0 {
		return nil
	}
	s.log.Info("ending", "after", s.cfg.DrainDelay)
	select {
	case err := <-failed:
		return err
	case <-time.After(s.cfg.DrainDelay):
		return nil
	}
}

// finish closes the listeners and waits for the requests that have begun.
func finish(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	var all error
	for _, server := range servers {
		if err := server.Shutdown(ctx); err != nil {
			all = errors.Join(all, fmt.Errorf("not every request could be finished: %w", err), server.Close())
		}
	}
	return all
}

func (s *Server) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		// Every stranger with a broken TLS stack can cause these lines.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) certificate() (*tls.Certificate, error) {
	if s.cfg.TLSCert == "" {
		return nil, nil
	}
	c, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("the certificate of tls.cert and tls.key can not be used: %w", err)
	}
	return &c, nil
}
