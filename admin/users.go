package admin

import (
	"context"
	"encoding/json"
	"time"

	"mintmark/accounts"
)

// A User is a person, as JSON.
type User struct {
	ID            string         `json:"id" doc:"The sub of every token" example:"usr_02eaH8NZTN8sO0qkq5Rm5c"`
	Email         string         `json:"email"`
	EmailVerified bool           `json:"email_verified"`
	Name          string         `json:"name,omitempty"`
	Role          string         `json:"role,omitempty" doc:"admin, or missing"`
	Claims        map[string]any `json:"claims,omitempty" doc:"Further standard claims, OpenID Connect Core §5.1"`
	HasPassword   bool           `json:"has_password"`
	Disabled      bool           `json:"disabled"`
	DisabledAt    time.Time      `json:"disabled_at,omitzero"`
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
}

func showUser(a accounts.Account) User {
	u := User{
		ID: a.ID, Email: a.Email, EmailVerified: a.EmailVerified, Name: a.Name, Role: a.Role,
		HasPassword: a.PasswordHash != "", Disabled: !a.DisabledAt.IsZero(), DisabledAt: orZero(a.DisabledAt),
		CreatedAt: a.CreatedAt.UTC(), UpdatedAt: a.UpdatedAt.UTC(),
	}
	if len(a.Claims) > 0 {
		_ = json.Unmarshal(a.Claims, &u.Claims) // it was checked when it was set
	}
	return u
}

// A NewUser is a person to add.
type NewUser struct {
	Email         string         `json:"email"`
	Name          string         `json:"name,omitempty"`
	EmailVerified bool           `json:"email_verified,omitempty" doc:"The address is known to be theirs"`
	Role          string         `json:"role,omitempty" enum:",admin"`
	Claims        map[string]any `json:"claims,omitempty" doc:"Standard claims, OpenID Connect Core §5.1"`
	Password      string         `json:"password,omitempty" doc:"What the person will type"`
	PasswordHash  string         `json:"password_hash,omitempty" doc:"What another system remembered of the password: an argon2id PHC string or bcrypt"`
}

// A UserChange is what to make different of a person. What is left out stays as it is.
type UserChange struct {
	Email         *string        `json:"email,omitempty" doc:"A new address is unverified unless email_verified says otherwise"`
	Name          *string        `json:"name,omitempty"`
	EmailVerified *bool          `json:"email_verified,omitempty"`
	Role          *string        `json:"role,omitempty" enum:",admin"`
	Claims        map[string]any `json:"claims,omitempty" doc:"Merged into the claims there are; null removes one"`
}

// A NewPassword replaces a person's password.
type NewPassword struct {
	Password string `json:"password"`
}

type (
	userInput struct {
		ID string `path:"user_id" maxLength:"100"`
	}
	usersInput struct {
		Paging
		Email string `query:"email" maxLength:"400" doc:"Only the person with this address"`
	}
	addUserInput struct{ Body NewUser }
	setUserInput struct {
		ID      string `path:"user_id" maxLength:"100"`
		IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of what you read: then a change that somebody else made since is not overwritten"`
		Body    UserChange
		RawBody []byte
	}
	setPasswordInput struct {
		ID   string `path:"user_id" maxLength:"100"`
		Body NewPassword
	}
	userOutput struct {
		ETag string `header:"ETag"`
		Body User
	}
)

func showOneUser(person accounts.Account) *userOutput {
	shown := showUser(person)
	return &userOutput{etag(shown), shown}
}

func (a *api) listUsers(ctx context.Context, in *usersInput) (*pageOutput[User], error) {
	page, err := a.reads(ctx, "users", in.Paging)
	if err != nil {
		return nil, err
	}
	found, err := a.Accounts.List(ctx, accounts.Page{After: page.after, Limit: page.more()}, in.Email)
	if err != nil {
		return nil, err
	}
	return part(page, found, func(p accounts.Account) string { return p.ID }, showUser), nil
}

func (a *api) addUser(ctx context.Context, in *addUserInput) (*userOutput, error) {
	claims, err := rawClaims(in.Body.Claims)
	if err != nil {
		return nil, err
	}
	person, err := a.Accounts.Add(ctx, accounts.New{
		Email: in.Body.Email, Name: in.Body.Name, Verified: in.Body.EmailVerified, Role: in.Body.Role,
		Password: in.Body.Password, PasswordHash: in.Body.PasswordHash, Claims: claims, At: time.Now(),
	})
	if err != nil {
		return nil, err
	}
	return showOneUser(person), nil
}

func (a *api) getUser(ctx context.Context, in *userInput) (*userOutput, error) {
	person, err := a.Accounts.Account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return showOneUser(person), nil
}

func (a *api) setUser(ctx context.Context, in *setUserInput) (*userOutput, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(in.RawBody, &members); err != nil {
		return nil, err
	}
	for name, value := range members {
		// It would otherwise do nothing, and the caller would believe that it took something away.
		if string(value) == "null" {
			return nil, wrong(name, "is null; to leave it as it is, leave it out")
		}
	}
	claims, err := rawClaims(in.Body.Claims)
	if err != nil {
		return nil, err
	}
	change := accounts.Change{
		Email: in.Body.Email, Name: in.Body.Name, Verified: in.Body.EmailVerified, Role: in.Body.Role,
		Claims: claims, At: time.Now(),
	}
	if in.IfMatch != "" {
		was, err := a.Accounts.Account(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := unchanged(in.IfMatch, showUser(was)); err != nil {
			return nil, err
		}
		change.Was = was.UpdatedAt
	}
	person, err := a.Accounts.Set(ctx, in.ID, change)
	if err != nil {
		return nil, err
	}
	return showOneUser(person), nil
}

func (a *api) removeUser(ctx context.Context, in *userInput) (*done, error) {
	defer a.APIKeys.ForgetOwner(in.ID) // before we answer
	return &done{}, a.Accounts.Remove(ctx, in.ID, time.Now())
}

func (a *api) setPassword(ctx context.Context, in *setPasswordInput) (*done, error) {
	return &done{}, a.Accounts.SetPassword(ctx, in.ID, in.Body.Password, time.Now())
}

func (a *api) disableUser(ctx context.Context, in *userInput) (*userOutput, error) {
	defer a.APIKeys.ForgetOwner(in.ID)
	if err := a.Accounts.Disable(ctx, in.ID, time.Now()); err != nil {
		return nil, err
	}
	return a.getUser(ctx, in)
}

func (a *api) enableUser(ctx context.Context, in *userInput) (*userOutput, error) {
	defer a.APIKeys.ForgetOwner(in.ID)
	if err := a.Accounts.Enable(ctx, in.ID, time.Now()); err != nil {
		return nil, err
	}
	return a.getUser(ctx, in)
}

func rawClaims(claims map[string]any) (json.RawMessage, error) {
	if claims == nil {
		return nil, nil
	}
	return json.Marshal(claims)
}
