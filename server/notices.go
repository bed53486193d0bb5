package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/fetch"
)

const (
	lookAfterEvery = 10 * time.Minute
	noticesEvery   = 2 * time.Second
	noticesAtOnce  = 20 // in one round of one copy
	noticeTimeout  = 10 * time.Second
)

// reporters are those who may report leaked API keys without one.
func (c *Config) reporters(log *slog.Logger) (*apikeys.Reporters, error) {
	var keys []*ecdsa.PublicKey
	if c.LeakKeys != "" {
		text, err := os.ReadFile(c.LeakKeys)
		if err != nil {
			return nil, fmt.Errorf("leaks.github_keys can't be read: %w", err)
		}
		if keys, err = apikeys.ParseReporterKeys(text); err != nil {
			return nil, fmt.Errorf("leaks.github_keys: %w", err)
		}
	}
	return &apikeys.Reporters{
		Secret: []byte(c.LeakSecret), Keys: keys, URL: c.LeakKeysURL,
		Fetch: fetch.New(fetch.Config{Allow: c.FetchAllow, Log: log}).Get,
	}, nil
}

// lookAfterKeys disables idle API keys and reminds of those that expire, if it is this copy's turn.
func (s *Server) lookAfterKeys(ctx context.Context) error {
	now := time.Now()
	mine, err := s.db.Lease(ctx, "keys", s.holder, now.Add(2*lookAfterEvery), now)
	if err != nil || !mine {
		return err
	}
	return s.apiKeys.LookAfter(ctx, now)
}

// notices tells the operator's webhook what there is to tell. Of several copies one takes each.
func (s *Server) notices(ctx context.Context) error {
	var failed error
	for range noticesAtOnce {
		n, body, some, err := s.apiKeys.NextNotice(ctx, time.Now())
		if err != nil || !some {
			return errors.Join(failed, err)
		}
		err = s.tell(ctx, body)
		if err != nil {
			failed = fmt.Errorf("notice %s, try %d: %w", n.ID, n.Attempts, err)
		}
		if err := s.apiKeys.Told(ctx, n, err == nil, time.Now()); err != nil {
			return err
		}
	}
	return failed
}

// tell sends one notice. Only an answer of 2xx means that it has arrived.
func (s *Server) tell(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.NoticeURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "mintmark")
	r.Header.Set(apikeys.HeaderMAC, apikeys.MAC([]byte(s.cfg.NoticeSecret), body, time.Now()))
	// The signature is for that address, and not for where it may lead.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return errors.New("the webhook can't be reached") // the error has the address, which may hold a secret
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %d", answer.StatusCode)
	}
	return nil
}
