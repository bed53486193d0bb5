// A program with an API key, on openid-client: node api-key.mjs ISSUER KEY_ID, the key on standard input
import { readFileSync } from 'node:fs'
import * as oidc from 'openid-client'

const [issuer, id] = process.argv.slice(2)
const key = readFileSync(0, 'utf8')
const plain = { execute: [oidc.allowInsecureRequests] }

const basic = await oidc.discovery(new URL(issuer), id, undefined, oidc.ClientSecretBasic(key), plain)
const own = await oidc.clientCredentialsGrant(basic, { scope: 'orders:read' })
const post = await oidc.discovery(new URL(issuer), id, undefined, oidc.ClientSecretPost(key), plain)
const byPost = await oidc.clientCredentialsGrant(post, { scope: 'orders:read' })

const alone = await oidc.discovery(new URL(issuer), id, undefined, oidc.None(), plain)
const exchanged = await oidc.genericGrantRequest(alone, 'urn:ietf:params:oauth:grant-type:token-exchange', {
  subject_token: key,
  subject_token_type: 'urn:mintmark:token-type:api-key',
  resource: 'https://orders.example',
})
const seen = await oidc.tokenIntrospection(basic, exchanged.access_token)
await oidc.tokenRevocation(basic, exchanged.access_token)
const after = await oidc.tokenIntrospection(basic, exchanged.access_token)
console.log(JSON.stringify({
  offered: alone.serverMetadata().grant_types_supported.includes('urn:ietf:params:oauth:grant-type:token-exchange'),
  own: own.access_token, post: byPost.access_token, exchanged: exchanged.access_token, type: exchanged.issued_token_type,
  active: seen.active, afterwards: after.active,
}))
