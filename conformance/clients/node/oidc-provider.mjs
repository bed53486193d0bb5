// An OpenID provider on oidc-provider: node oidc-provider.mjs PORT REDIRECT_URI. It believes
// everybody whatever they type; the address is their name at example.com, verified.
import { Provider } from 'oidc-provider'

const [port, redirect] = process.argv.slice(2)
const op = new Provider(`http://localhost:${port}`, {
  clients: [{ client_id: 'mintmark', client_secret: 'a secret of at least 32 characters', redirect_uris: [redirect] }],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  cookies: { keys: ['only for this test'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of oidc-provider`, email: `${id}@example.com`, email_verified: true }),
  }),
})
op.listen(Number(port), '127.0.0.1')
