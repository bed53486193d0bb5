package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mintmark/internal/secret"
)

// A folder is the data folder of a local server:
//
//	mintmark.db  the database, if it is SQLite
//	master.key   what seals the secrets in it (mode 0600)
//	admin.key    an API key with every admin scope (mode 0600)
//	dev.json     where the server is, for the other commands
//	lock         held by the server that uses the folder
type folder string

func (f folder) database() string  { return filepath.Join(string(f), "mintmark.db") }
func (f folder) masterKey() string { return filepath.Join(string(f), "master.key") }
func (f folder) nextKey() string   { return filepath.Join(string(f), "master.key.next") }
func (f folder) adminKey() string  { return filepath.Join(string(f), "admin.key") }
func (f folder) about() string     { return filepath.Join(string(f), "dev.json") }

// make makes the folder and sees that it can be written.
func (f folder) make() error {
	if f == "" {
		return usageError("--data names no folder")
	}
	err := os.MkdirAll(string(f), 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(string(f), ".probe-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("the data folder %s can not be written (%w): make it yours, or choose another with --data", f, reason(err))
	}
	return nil
}

// lock takes the folder for this process, until it ends or calls unlock.
func (f folder) lock() (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(string(f), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data folder %s can not be written (%w): make it yours, or choose another with --data", f, reason(err))
	}
	if err := tryLock(file); err != nil {
		file.Close()
		who := "another mintmark"
		if a, err := f.read(); err == nil {
			who = fmt.Sprintf("another mintmark (process %d)", a.PID)
		}
		return nil, fmt.Errorf("%s uses the data folder %s: end it, or choose another folder with --data", who, f)
	}
	return func() { file.Close() }, nil
}

// masterKeys reads the master key, and the next one if a rotation did not come to its end.
func (f folder) masterKeys() ([][]byte, error) {
	var keys [][]byte
	for _, name := range []string{f.masterKey(), f.nextKey()} {
		k, err := readMasterKey(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// makeMasterKey makes the master key of a new folder. It never makes one for a database that is
// there already: that one was sealed with another.
func (f folder) makeMasterKey() ([][]byte, error) {
	keys, err := f.masterKeys()
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	if _, err := os.Stat(f.database()); err == nil {
		return nil, fmt.Errorf("%s is gone, and %s can not be opened without it: put it back, or begin afresh in another folder with --data", f.masterKey(), f.database())
	}
	if err := writeNew(f.masterKey(), secret.NewMasterKey()+"\n"); err != nil {
		return nil, fmt.Errorf("the master key can not be written: %w", err)
	}
	return f.masterKeys()
}

// writeNew writes a file of mode 0600 that was not there before.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// An about is what dev.json says. No secret is in it.
type about struct {
	Issuer   string            `json:"issuer"`
	Server   string            `json:"address"` // where the server is reached from this machine: may differ from the issuer
	URLs     map[string]string `json:"urls"`
	AdminKey string            `json:"admin_key"`          // the file that holds it
	Database string            `json:"database"`           // without a password
	TLSCert  string            `json:"tls_cert,omitempty"` // what to trust, if the server speaks TLS itself
	PID      int               `json:"pid"`
	Version  string            `json:"version"`
	Started  time.Time         `json:"started_at"`
}

func (f folder) read() (about, error) {
	var a about
	text, err := os.ReadFile(f.about())
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}

// write replaces dev.json as a whole, because others read it while we start.
func (f folder) write(a about) error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	next := f.about() + ".next"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.about())
}

// describe returns what a running server says about itself.
func (f folder) describe(s *setting, listening string) (about, error) {
	scheme := "http"
	if s.TLSCert != "" {
		scheme = "https"
	}
	at, err := url.Parse(s.Issuer)
	if err != nil {
		return about{}, err
	}
	server := scheme + "://" + listening + at.Path
	adminKey, err := filepath.Abs(f.adminKey())
	if err != nil {
		return about{}, err
	}
	certificate := s.TLSCert
	if certificate != "" {
		if certificate, err = filepath.Abs(certificate); err != nil {
			return about{}, err
		}
	}
	return about{
		Issuer: s.Issuer,
		Server: server,
		URLs: map[string]string{
			"discovery": s.Issuer + "/.well-known/openid-configuration",
			"jwks":      s.Issuer + "/.well-known/jwks.json",
			"authorize": s.Issuer + "/authorize",
			"token":     s.Issuer + "/oauth/token",
			"api":       server + "/api/v1",
		},
		AdminKey: adminKey,
		Database: describeDatabase(s.Database),
		TLSCert:  certificate,
		PID:      os.Getpid(),
		Version:  programVersion(),
		Started:  time.Now().UTC().Truncate(time.Second),
	}, nil
}

// describeDatabase names a database without what could be a secret in its URL.
func describeDatabase(database string) string {
	if file, ok := strings.CutPrefix(database, "sqlite:"); ok {
		return file + "   (SQLite)"
	}
	u, err := url.Parse(database)
	if err != nil {
		return "PostgreSQL"
	}
	return strings.TrimSuffix(u.Host+u.Path, "/") + "   (PostgreSQL)"
}

// reason takes the operation and the path off an error of package os: the sentence around it has them.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// addLocalFlags gives a command that opens the database itself what it needs to find it.
func addLocalFlags(c *cobra.Command) {
	c.Flags().String("config", "", "the configuration file (default "+defaultFile+", if there is one)")
	c.Flags().String("data", "", "the data folder of a local server, in place of a configuration")
	addFlags(c, "database")
}

// loadLocal reads the configuration of a command that opens the database itself. With --data it
// is the folder's, and not that of a file or an environment that happen to be around.
func loadLocal(c *cobra.Command) (*setting, error) {
	dir, err := c.Flags().GetString("data")
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return loadServe(c)
	}
	f := folder(dir)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("the data folder %s is not there: %w", dir, reason(err))
	}
	s, err := apply(slices.Concat(f.defaults(), readFlags(c)))
	return s.complete(), err
}

// loadServe reads the configuration of the server that a command runs or looks after.
func loadServe(c *cobra.Command, defaults ...assignment) (*setting, error) {
	s, err := load(c, os.Environ(), defaults...)
	return s.complete(), err
}

func (s *setting) complete() *setting {
	s.Version = programVersion()
	s.Log = s.logger(os.Stderr)
	return s
}

// defaults are what a data folder says about keys that nobody has set.
func (f folder) defaults() []assignment {
	all := []assignment{{"database.url", "sqlite:" + f.database(), string(f)}}
	if a, err := f.read(); err == nil {
		all = append(all, assignment{"issuer", a.Issuer, f.about()})
	}
	if _, err := os.Stat(f.masterKey()); err == nil {
		all = append(all, assignment{"secrets.encryption_key", "file:" + f.masterKey(), f.masterKey()})
	}
	if _, err := os.Stat(f.nextKey()); err == nil {
		all = append(all, assignment{"secrets.previous_encryption_keys", "file:" + f.nextKey(), f.nextKey()})
	}
	return all
}
