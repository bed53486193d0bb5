package main

import "mintmark/server"

// presets are the providers that the configuration can have: those whose kind knows everything but
// the client. Others are rows that the admin API adds.
var presets = []struct {
	kind, title string
	options     []presetOption
}{
	{"google", "Google", nil},
	{"github", "GitHub", []presetOption{{"host", "The host of a GitHub Enterprise Server. Empty: github.com."}}},
	{"discord", "Discord", []presetOption{{"guild", "The id of a server that people must be members of. Empty: any account will do."}}},
	{"microsoft", "Microsoft", []presetOption{{"tenant", "The id of the tenant; or common, organizations or consumers. Empty: common."}}},
	{"apple", "Apple", []presetOption{{"team_id", "The id of the team."}, {"key_id", "The id of the key in providers.apple.client_secret."}}},
	{"gitlab", "GitLab", []presetOption{{"host", "The host of your own GitLab. Empty: gitlab.com."}}},
}

type presetOption struct{ name, doc string }

// providerKeys are the keys of the presets.
func providerKeys() []key {
	var all []key
	for _, p := range presets {
		of := "providers." + p.kind + "."
		what := "The client secret at " + p.title + "."
		if p.kind == "apple" {
			what = "The private key for Apple: the content of the .p8 file."
		}
		all = append(all,
			key{path: of + "client_id", doc: "The client id at " + p.title + ". People can sign in with " + p.title + " if this and the secret are set.",
				set: preset(p.kind, func(c *server.ConfiguredProvider, v string) { c.ClientID = v })},
			key{path: of + "client_secret", secret: true, doc: what,
				set: preset(p.kind, func(c *server.ConfiguredProvider, v string) { c.ClientSecret = v })})
		for _, o := range p.options {
			all = append(all, key{path: of + o.name, doc: o.doc, set: preset(p.kind, func(c *server.ConfiguredProvider, v string) { c.Options[o.name] = v })})
		}
	}
	return all
}

func preset(kind string, use func(c *server.ConfiguredProvider, v string)) func(*setting, string) error {
	return func(s *setting, v string) error {
		if s.Providers == nil {
			s.Providers = map[string]server.ConfiguredProvider{}
		}
		c, begun := s.Providers[kind]
		if !begun {
			c.Options = noOptions(kind)
		}
		use(&c, v)
		s.Providers[kind] = c
		return nil
	}
}

// noOptions are the options of a preset without a value: one that is taken out of the configuration is
// taken away from the provider.
func noOptions(kind string) map[string]string {
	empty := map[string]string{}
	for _, p := range presets {
		for _, o := range p.options {
			if p.kind == kind {
				empty[o.name] = ""
			}
		}
	}
	return empty
}
