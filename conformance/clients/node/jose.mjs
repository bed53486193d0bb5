// A service that verifies access tokens with jose: node jose.mjs ISSUER AUDIENCE [TYPE] < token
// With the type auth+jwt it is what forward auth vouches for. It prints the verified header and claims.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { readFileSync } from 'node:fs'

const [issuer, audience, typ = 'at+jwt'] = process.argv.slice(2)
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
const { payload, protectedHeader } = await jwtVerify(readFileSync(0, 'utf8').trim(), keys, {
  issuer, audience, typ, algorithms: ['ES256', 'RS256'],
})
console.log(JSON.stringify({ header: protectedHeader, claims: payload }))
