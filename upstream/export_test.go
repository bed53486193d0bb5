package upstream

import (
	"maps"
	"slices"
	"time"
)

// Codes returns the code of everything that is refused.
func Codes() []string { return slices.Sorted(maps.Keys(words)) }

// What the fuzz tests feed.
var (
	PlainEmail = plainEmail
	IsOurs     = isOurs
	ParseJSON  = parseJSON
)

// Held opens kept tokens.
func (g *Registry) Held(k Kept) (Held, error) { return g.held(k) }

// RevokesAt is where tokens of a provider are revoked, without asking it.
func RevokesAt(p *Provider) string { return placesOf(p).Revoke }

// What connectors are asked with, and how many answers are remembered.
var (
	SignWebhook = signWebhook
	WebhookKey  = webhookKey
)

// Remembered says how many answers of connectors are remembered.
func (g *Registry) Remembered() (good, refused int) {
	return g.introductions.held.Len(), g.introductions.refused.Len()
}

// LeftAlone says whether a provider is left alone now.
func (g *Registry) LeftAlone(p *Provider) bool { return g.connection(p).breaker.open() }

// SetLeaseTime makes d how long whoever refreshes kept tokens is left alone. It is for before the first use.
func (g *Registry) SetLeaseTime(d time.Duration) { g.leaseTime = d }
