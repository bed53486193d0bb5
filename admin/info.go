package admin

import (
	"context"
	"time"
)

// An Info says which server this is.
type Info struct {
	Issuer   string    `json:"issuer" doc:"The issuer identifier, as applications know it"`
	Version  string    `json:"version" doc:"The version of the program"`
	Time     time.Time `json:"time" doc:"What the server's clock says"`
	Database *Database `json:"database,omitempty" doc:"What it remembers everything with"`
}

// A Database says how a server remembers, without saying where.
type Database struct {
	Engine   string   `json:"engine" enum:"sqlite,postgres"`
	Version  string   `json:"version" doc:"The version of the engine"`
	Durable  bool     `json:"durable" doc:"What was committed survives a power failure, as far as the database can tell"`
	Problems []string `json:"problems" nullable:"false" doc:"What is wrong with how it is set up, and what to do; sentences for people"`
}

type infoOutput struct{ Body Info }

func (a *api) info(ctx context.Context, _ *struct{}) (*infoOutput, error) {
	out := Info{Issuer: a.Issuer, Version: a.Version, Time: time.Now().UTC()}
	if a.Database != nil {
		found, err := a.Database(ctx)
		if err != nil {
			return nil, err
		}
		if found.Problems == nil {
			found.Problems = []string{}
		}
		out.Database = &found
	}
	return &infoOutput{out}, nil
}
