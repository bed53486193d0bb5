// A service that verifies access tokens with jose: node jose.mjs ISSUER AUDIENCE < token
// It prints the verified header and claims.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { readFileSync } from 'node:fs'

const [issuer, audience] = process.argv.slice(2)
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
const { payload, protectedHeader } = await jwtVerify(readFileSync(0, 'utf8').trim(), keys, {
  issuer, audience, typ: 'at+jwt', algorithms: ['ES256', 'RS256'],
})
console.log(JSON.stringify({ header: protectedHeader, claims: payload }))
