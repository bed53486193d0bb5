package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mintmark/storage"
)

func dbCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "db",
		Short: "Look after the database itself: these commands open it, no server is asked",
	}
	c.AddCommand(
		dbMigrateCommand(),
		dbStatusCommand(),
		dbBackupCommand(),
		dbRestoreCommand(),
		dbCopyCommand(),
	)
	return c
}

// withDatabase opens the database of the configuration for as long as do runs.
func withDatabase(c *cobra.Command, o storage.Options, do func(ctx context.Context, db *storage.DB) error) error {
	s, err := loadLocal(c)
	if err != nil {
		return err
	}
	if err := there(s.Database); err != nil {
		return err
	}
	o.Log = s.Log
	db, err := storage.Open(c.Context(), s.Database, o)
	if err != nil {
		return explain(err)
	}
	defer db.Close()
	return do(c.Context(), db)
}

const errWhichDatabase = usageError("which database? Say --data DIR, --database URL, or give the server's configuration")

// there says whether there is a database to look after. An SQLite file would be made by opening it.
func there(database string) error {
	if database == "" {
		return errWhichDatabase
	}
	if file, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("there is no database at %s (%w): say where it is with --database or --data", file, reason(err))
		}
	}
	return nil
}

func dbMigrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the database up to date",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return withDatabase(c, storage.Options{Migrate: true}, func(ctx context.Context, db *storage.DB) error {
				status, err := db.Status(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "The schema is at version %d, which is what this program wants.\n", status.Version)
				return nil
			})
		},
	}
	addLocalFlags(c)
	return c
}

func dbStatusCommand() *cobra.Command {
	output := "table"
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the schema of the database relates to this program",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return usageError("--output is table or json")
			}
			return withDatabase(c, storage.Options{}, func(ctx context.Context, db *storage.DB) error {
				status, err := db.Status(ctx)
				if err != nil {
					return err
				}
				if output == "json" {
					return json.NewEncoder(c.OutOrStdout()).Encode(status)
				}
				pending := "none"
				if len(status.Pending) > 0 {
					pending = strings.Join(status.Pending, ", ")
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "engine   %s\nversion  %d\nlatest   %d\npending  %s\n",
					status.Engine, status.Version, status.Latest, pending)
				return err
			})
		},
	}
	addLocalFlags(c)
	c.Flags().StringVar(&output, "output", output, "table or json")
	return c
}

func dbBackupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a consistent copy of an SQLite database to a new file, while the server runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Lstat(args[0]); err == nil {
				return fmt.Errorf("%s is there already: a backup never replaces a file, choose another name", args[0])
			}
			err := withDatabase(c, storage.Options{}, func(ctx context.Context, db *storage.DB) error {
				return db.Backup(ctx, args[0])
			})
			if err == nil {
				fmt.Fprintln(c.ErrOrStderr(), "The backup does not hold the master key: keep that one elsewhere. Without it the backup can not be used.")
			}
			return err
		},
	}
	addLocalFlags(c)
	return c
}

func dbRestoreCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of an SQLite database, while no server runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := loadLocal(c)
			if err != nil {
				return err
			}
			target, ok := strings.CutPrefix(s.Database, "sqlite:")
			switch {
			case s.Database == "":
				return errWhichDatabase
			case !ok:
				return errors.New("this is for SQLite: PostgreSQL has pg_restore")
			}
			if err := restore(c.Context(), args[0], target, force); err != nil {
				return err
			}
			fmt.Fprintln(c.ErrOrStderr(), `The backup is in place. What was revoked after it was made is good again: run
mintmark signing rotate --now when the server runs, and revoke what you know of.`)
			return nil
		},
	}
	addLocalFlags(c)
	c.Flags().BoolVar(&force, "force", false, "replace the database that is there")
	return c
}

// restore puts a copy of a backup in the place of a database. The copy is complete and durable
// before it gets the name.
func restore(ctx context.Context, backup, target string, force bool) error {
	if _, err := os.Stat(target); err == nil && !force {
		return fmt.Errorf("there is a database at %s: back it up and say --force to replace it", target)
	}
	at := folder(filepath.Dir(target))
	if err := at.make(); err != nil {
		return err
	}
	unlock, err := at.lock()
	if err != nil {
		return err
	}
	defer unlock()
	next := target + ".restoring"
	defer os.Remove(next)
	if err := copyDatabase(backup, next); err != nil {
		return err
	}
	// A database that this program can't use is refused before it replaces anything.
	db, err := storage.Open(ctx, "sqlite:"+next, storage.Options{})
	if err != nil {
		return err
	}
	status, err := db.Status(ctx)
	db.Close()
	switch {
	case err != nil:
		return err
	case status.Version == 0:
		return fmt.Errorf("%s is not a backup of mintmark", backup)
	}
	// The journal of the old database would be replayed into the new one.
	for _, suffix := range []string{"-wal", "-shm"} {
		for _, file := range []string{target, next} {
			if err := os.Remove(file + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return os.Rename(next, target)
}

// copyDatabase copies an SQLite file to a new one of mode 0600.
func copyDatabase(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("the backup can not be read: %w", err)
	}
	defer in.Close()
	head := make([]byte, 16)
	if _, err := io.ReadFull(in, head); err != nil || !bytes.Equal(head, []byte("SQLite format 3\x00")) {
		return fmt.Errorf("%s is not an SQLite database", from)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func dbCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy everything from one database to another, such as SQLite to PostgreSQL",
		Long: `Copy everything from one database (sqlite:FILE or postgres://…) to another, which must be empty.
End every server first: what is written while the copy is made may be missing from it. The master key
stays the same.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := there(args[0]); err != nil {
				return err
			}
			unlock, err := lockAll("", args[0])
			if err != nil {
				return err
			}
			defer unlock()
			from, err := storage.Open(c.Context(), args[0], storage.Options{})
			if err != nil {
				return explain(err)
			}
			defer from.Close()
			to, err := storage.Open(c.Context(), args[1], storage.Options{Migrate: true})
			if err != nil {
				return explain(err)
			}
			defer to.Close()
			rows, err := from.CopyTo(c.Context(), to)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%d rows are copied. Start the server with the new database and the same master key.\n", rows)
			return nil
		},
	}
}
