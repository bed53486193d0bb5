package web

import (
	"mintmark/accounts"
	"mintmark/issuer"
)

// LoginOf tells the issuer who is at a browser, from their session.
func LoginOf(x accounts.Session, a accounts.Account) issuer.Login {
	login := issuer.Login{
		AccountID: a.ID,
		SessionID: x.ID,
		AuthTime:  x.AuthTime,
		ACR:       x.ACR,
		AMR:       x.AMR,
		IdP:       x.IdP,
		Limits:    x.Limits,
	}
	if x.ProviderID == "" {
		return login
	}
	login.ArrivedAt, login.Unproven = x.AuthTime, x.ProvedAt.IsZero()
	if !login.Unproven {
		login.AuthTime = x.ProvedAt
	}
	return login
}
