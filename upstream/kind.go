package upstream

// Kinds returns the names of the kinds of providers, sorted.
func Kinds() []string {
	return []string{"apple", "discord", "github", "gitlab", "google", "microsoft", "oauth2", "oidc"}
}
