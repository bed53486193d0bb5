package admin

import (
	"context"
	"time"
)

// An Info says which server this is.
type Info struct {
	Issuer  string    `json:"issuer" doc:"The issuer identifier, as applications know it"`
	Version string    `json:"version" doc:"The version of the program"`
	Time    time.Time `json:"time" doc:"What the server's clock says"`
}

type infoOutput struct{ Body Info }

func (a *api) info(context.Context, *struct{}) (*infoOutput, error) {
	return &infoOutput{Info{a.Issuer, a.Version, time.Now().UTC()}}, nil
}
