package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/upstream"
)

// A ConfiguredProvider is an upstream provider that the configuration names by its kind. It is on if
// both the id and the secret are there.
type ConfiguredProvider struct {
	ClientID, ClientSecret string
	// Options are of the kind: see docs/how-to/providers.md. An empty one is the kind's own value;
	// one that is not there stays as it is in the database.
	Options map[string]string
}

// on says whether people are to sign in with it.
func (c ConfiguredProvider) on() bool { return c.ClientID != "" && c.ClientSecret != "" }

// made returns what the configuration says in place of what was there.
func (c ConfiguredProvider) made(was upstream.Provider, kind string) upstream.Provider {
	is := was
	is.Name, is.Kind, is.ClientID, is.Managed = kind, kind, c.ClientID, upstream.ManagedByConfiguration
	is.Options = maps.Clone(was.Options)
	for name, value := range c.Options {
		if is.Options == nil {
			is.Options = map[string]string{}
		}
		is.Options[name] = value
		if value == "" {
			delete(is.Options, name)
		}
	}
	return is
}

// check says what is wrong with it.
func (c ConfiguredProvider) check(kind string) error {
	p := c.made(upstream.Provider{SealedSecret: []byte{1}}, kind)
	err := p.Check()
	if err == nil {
		err = p.CheckSecret(c.ClientSecret)
	}
	if wrong, ok := errors.AsType[*upstream.Invalid](err); ok {
		return fmt.Errorf("providers.%s: %s %s", kind, wrong.Field, wrong.Problem)
	}
	return err
}

// configureProviders makes the database's providers what the configuration says, and touches no
// other. What an operator changed of one besides its name, its client and its options stays; so does
// that it was disabled. Copies that start at the same time don't get into each other's way: a change
// is of the row as it was read.
func (s *Server) configureProviders(ctx context.Context, sealer *secret.Sealer) error {
	all, err := s.db.Upstream().Providers(ctx)
	if err != nil {
		return err
	}
	for _, kind := range upstream.Kinds() {
		c := s.cfg.Providers[kind]
		if c.ClientID == "" && c.ClientSecret == "" && !slices.ContainsFunc(all, func(p upstream.Provider) bool { return p.Name == kind && p.Managed != "" }) {
			continue
		}
		if !c.on() && (c.ClientID != "" || c.ClientSecret != "") {
			s.log.WarnContext(ctx, "a provider is off: its client_id and its client_secret must both be set", "provider", kind)
		}
		for {
			err := s.configureProvider(ctx, sealer, kind, c)
			if err == nil {
				break
			}
			// Another copy was faster, and does the same.
			if !errors.Is(err, upstream.ErrChanged) && !errors.Is(err, upstream.ErrExists) && !errors.Is(err, upstream.ErrNotFound) {
				return fmt.Errorf("providers.%s: %w", kind, err)
			}
		}
	}
	return nil
}

func (s *Server) configureProvider(ctx context.Context, sealer *secret.Sealer, kind string, c ConfiguredProvider) error {
	rows := s.db.Upstream()
	all, err := rows.Providers(ctx)
	if err != nil {
		return err
	}
	now := time.Now().Truncate(time.Microsecond)
	did := func(action string, p upstream.Provider) apikeys.Event {
		return apikeys.By{Actor: "configuration", Via: "server", At: now}.Event(action, p.ID, p.Name)
	}
	at := slices.IndexFunc(all, func(p upstream.Provider) bool { return p.Name == kind })
	if at < 0 {
		if !c.on() {
			return nil
		}
		p := c.made(upstream.Provider{ID: secret.NewID("prv"), CreatedAt: now, UpdatedAt: now}, kind)
		p.SealedSecret = sealer.Seal([]byte(c.ClientSecret), upstream.SecretAAD(p.ID))
		return rows.AddProvider(ctx, p, did("provider.add", p))
	}
	was := all[at]
	is, action := was, "provider.set"
	switch {
	case was.Managed == "" && c.on():
		s.log.WarnContext(ctx, "a provider of the configuration is not used: one with its name was added by hand; remove one of them", "provider", kind)
		return nil
	case was.Managed == "":
		return nil
	case c.on():
		is = c.made(was, kind)
		if is.Options["host"] != was.Options["host"] { // 42 is somebody else there
			return errors.New("host can't be changed, because people are known by what it calls them there: take the provider out of the configuration, start once, remove it, and put it back")
		}
		if was.Managed == upstream.ManagedNoLonger {
			is.DisabledAt, action = time.Time{}, "provider.enable"
		}
		plain, err := sealer.Open(was.SealedSecret, upstream.SecretAAD(was.ID))
		if err != nil || !bytes.Equal(plain, []byte(c.ClientSecret)) {
			is.SealedSecret = sealer.Seal([]byte(c.ClientSecret), upstream.SecretAAD(was.ID))
		}
	case was.Managed == upstream.ManagedByConfiguration && was.Enabled():
		is.Managed, is.DisabledAt, action = upstream.ManagedNoLonger, now, "provider.disable"
	}
	if is.ClientID == was.ClientID && is.Managed == was.Managed && is.Enabled() == was.Enabled() &&
		bytes.Equal(is.SealedSecret, was.SealedSecret) && maps.Equal(is.Options, was.Options) {
		return nil
	}
	is.UpdatedAt = now
	if !now.After(was.UpdatedAt) {
		is.UpdatedAt = was.UpdatedAt.Add(time.Microsecond)
	}
	return rows.SetProvider(ctx, is, was, did(action, is))
}
