package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"sync/atomic"
	"time"

	"mintmark/accounts"
	"mintmark/admin"
	"mintmark/apikeys"
	"mintmark/internal/fetch"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/upstream"
	"mintmark/web"
	wellknown "mintmark/well-known"
)

// A Server is an issuer with everything that belongs to it. It is safe for concurrent use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	prefix string // the path of the issuer: "" or "/tenant"
	https  bool   // the issuer is https
	holder string // the name of this copy, for leases

	db        *storage.DB
	keyring   *keys.Keyring
	directory *accounts.Directory
	sessions  *accounts.Sessions
	apiKeys   *apikeys.Registry
	keyMint   *secret.Mint // recognises what we issue
	guards    guards
	vouchers  *vouchers
	provider  *issuer.Provider
	upstream  *upstream.Registry
	known     *wellknown.Handler
	site      *web.Site
	admin     http.Handler

	proxies  proxies
	sameSite *http.CrossOriginProtection
	metrics  *metrics // nil: nobody could read them
	ready    readiness
	draining atomic.Bool
	changes  *feed
	revoked  *revocations.Hub
	handler  http.Handler
}

// New opens the database, brings its schema up to date, loads the signing keys (or makes the
// first) and builds every part. What is wrong with the configuration is told all at once.
// Nothing listens and nothing runs in the background until [Server.Run].
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	at, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:     cfg,
		log:     cfg.Log,
		prefix:  at.Path,
		https:   at.Scheme == "https",
		holder:  newHolder(),
		proxies: proxies(cfg.TrustedProxies),
	}
	s.db, err = storage.Open(ctx, cfg.Database, storage.Options{
		Log: cfg.Log, MaxConns: cfg.MaxConns, Migrate: !cfg.NoMigrate, TokenLife: cfg.tokenLife(),
	})
	if err != nil {
		return nil, err
	}
	if err := s.build(ctx, at); err != nil {
		s.db.Close()
		return nil, err
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = ":8080"
	}
	if c.Name == "" {
		c.Name = "Mintmark"
	}
	if c.HashSlots == 0 {
		c.HashSlots = runtime.GOMAXPROCS(0)
	}
	if c.KeysPerOwner == 0 {
		c.KeysPerOwner = 1000
	}
	if c.DrainDelay == 0 {
		c.DrainDelay = defaultDrain
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// build makes the parts, each from those before it.
func (s *Server) build(ctx context.Context, at *url.URL) error {
	if s.cfg.NoMigrate {
		if err := s.current(ctx); err != nil {
			return err
		}
	}
	sealer, err := secret.NewSealer(s.cfg.MasterKeys[0], s.cfg.MasterKeys[1:]...)
	if err != nil {
		return err
	}
	s.keyring = keys.New(keys.Config{
		Store:       s.db.Keys(),
		Sealer:      sealer,
		Log:         s.log,
		RotateEvery: s.cfg.RotateEvery,
		KeepFor:     max(24*time.Hour, s.cfg.AccessTTL, s.cfg.IDTTL),
	})
	if err := s.keyring.Start(ctx); err != nil {
		return err
	}
	named := map[string][32]byte{}
	for _, name := range []string{"tag", "refresh", "request", "upstream", "pages"} {
		if named[name], err = s.keyring.Named(ctx, name); err != nil {
			return err
		}
	}

	mint := secret.NewMint(named["tag"])
	s.keyMint = mint
	hasher := secret.NewHasher(s.cfg.HashSlots)
	s.directory = &accounts.Directory{Store: s.db.Accounts(), Hasher: hasher, Mint: mint, Name: s.cfg.Name, Log: s.log}
	s.sessions = &accounts.Sessions{
		Store: s.db.Accounts(), Mint: mint, Idle: s.cfg.SessionIdle, Max: s.cfg.SessionMax, Secure: s.https, Log: s.log,
	}
	s.apiKeys = &apikeys.Registry{
		Store: s.db.APIKeys(), Mint: mint, MaxLife: s.cfg.KeyLife, MostKeys: s.cfg.KeysPerOwner,
		OwnScopes: s.cfg.OwnKeyScopes, OwnAudience: s.cfg.OwnKeyAudience, QuotaOpen: s.cfg.QuotaOpen,
	}
	if err := s.configureProviders(ctx, sealer); err != nil {
		return err
	}
	s.upstream, err = upstream.New(upstream.Config{
		Store:    s.db.Upstream(),
		Sealer:   sealer,
		Vault:    s.db.Vault(),
		StateKey: named["upstream"],
		Issuer:   s.cfg.Issuer,
		Allow:    s.cfg.ProviderHosts,
		Log:      s.log,

		Connectors: s.cfg.Connectors,
	})
	if err != nil {
		return err
	}
	vault, err := newVaultDoor(s.upstream, s.db)
	if err != nil {
		return err
	}
	s.provider, err = issuer.New(issuer.Config{
		Issuer:       s.cfg.Issuer,
		Store:        s.db.Issuer(),
		Keys:         s.keyring,
		Mint:         mint,
		Hasher:       hasher,
		RefreshKey:   named["refresh"],
		RequestKey:   named["request"],
		Login:        s.login,
		EndSession:   s.endSession,
		APIKeys:      keyDoor{s.apiKeys},
		Vault:        vault,
		Outside:      outsideDoor{s.upstream, s.directory, s.apiKeys, s.db, s.log},
		Address:      address,
		ClearText:    func(r *http.Request, shown func() []string) error { return s.guards.people.CheckClearText(r, shown) },
		JWKS:         fetch.New(fetch.Config{Allow: s.cfg.FetchAllow, Log: s.log}).Get,
		AccessTTL:    s.cfg.AccessTTL,
		IDTTL:        s.cfg.IDTTL,
		CodeTTL:      s.cfg.CodeTTL,
		RefreshIdle:  s.cfg.RefreshIdle,
		RefreshMax:   s.cfg.RefreshMax,
		RefreshGrace: s.cfg.RefreshGrace,
		RequestTTL:   s.cfg.RequestTTL,
	})
	if err != nil {
		return err
	}
	if s.guards, err = s.newGuards(at); err != nil {
		return err
	}
	s.vouchers = newVouchers(s.provider)
	s.known = wellknown.New(s.provider, s.keyring)
	s.site, err = web.New(web.Config{
		Issuer:        s.cfg.Issuer,
		Provider:      s.provider,
		Directory:     s.directory,
		Sessions:      s.sessions,
		Upstream:      s.upstream,
		APIKeys:       s.apiKeys,
		Key:           named["pages"],
		Name:          s.cfg.Name,
		ClientAddress: ClientAddress,
		RequestID:     RequestID,
		Log:           s.log,
	})
	if err != nil {
		return err
	}
	s.revoked = revocations.NewHub(s.db.Revocations(), s.log)
	reporters, err := s.cfg.reporters(s.log)
	if err != nil {
		return err
	}
	s.admin = admin.New(admin.Config{
		Accounts:      s.directory,
		Registry:      s.db.Registry(),
		Provider:      s.provider,
		Keys:          s.keyring,
		APIKeys:       s.apiKeys,
		Guard:         s.guards.api,
		Providers:     s.db.Upstream(),
		Upstream:      s.upstream,
		Issuer:        s.cfg.Issuer,
		Version:       s.cfg.Version,
		Revocations:   s.revoked,
		Database:      s.database,
		Propagated:    s.propagated,
		People:        s.guards.people,
		Reporters:     reporters,
		Unavailable:   outage,
		RequestID:     RequestID,
		ClientAddress: ClientAddress,
		Log:           s.log,
	})

	// The issuer, and not the Host of the request, is what "the same site" means.
	s.sameSite = http.NewCrossOriginProtection()
	if err := s.sameSite.AddTrustedOrigin(at.Scheme + "://" + at.Host); err != nil {
		return err
	}
	if s.cfg.Dev || s.cfg.AdminListen != "" {
		s.metrics = newMetrics(s.upstream.Away)
	}
	s.ready.look = s.look
	s.changes = newFeed(s.db, s.forget)
	s.changes.all = func() {
		s.provider.ForgetClients()
		s.apiKeys.ForgetAll()
		s.upstream.Forget()
	}
	// From here on: nothing has been remembered yet.
	if err := s.changes.read(ctx); err != nil {
		return err
	}
	s.changes.heard = func(at time.Time) {
		s.provider.Heard(at)
		s.apiKeys.Heard(at)
		s.upstream.Heard(at)
	}
	if _, err := s.upstream.Enabled(ctx, time.Now()); err != nil {
		return err
	}
	s.handler = s.edge(s.newRouter(s.routes()), s.prefix)
	return nil
}

// Handler answers every request. It may be used without [Server.Run], below any server.
func (s *Server) Handler() http.Handler { return s.handler }

// Issuer returns the issuer identifier.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// Close closes the database, and what is open to providers. Nothing may be running any more.
func (s *Server) Close() {
	s.upstream.Close()
	s.db.Close()
}

// login says who is at the browser of a request.
func (s *Server) login(r *http.Request) (issuer.Login, bool, error) {
	session, account, ok, err := s.sessions.Current(r, time.Now())
	if err != nil || !ok {
		return issuer.Login{}, false, err
	}
	return web.LoginOf(session, account), true, nil
}

func (s *Server) endSession(ctx context.Context, w http.ResponseWriter, id string) error {
	err := s.sessions.End(ctx, w, id, accounts.ReasonLogout, time.Now())
	if errors.Is(err, accounts.ErrNotFound) {
		s.sessions.Clear(w) // it is over, which is what was asked for
		return nil
	}
	return err
}

// database is what an operator may know of the database.
func (s *Server) database(ctx context.Context) (admin.Database, error) {
	c, err := s.db.Condition(ctx)
	return admin.Database{Engine: c.Engine, Version: c.Version, Durable: c.Durable, Problems: c.Problems}, err
}

// current refuses a database that is older than this program.
func (s *Server) current(ctx context.Context) error {
	status, err := s.db.Status(ctx)
	if err != nil {
		return err
	}
	if status.Version < status.Latest {
		return errors.New("the database is older than this program: run `mintmark db migrate`, or set database.migrate to auto")
	}
	return nil
}
