// A small API in Node that believes JWTs of one issuer, which it verifies with jose, and API
// keys, which it asks the issuer about.
//
//   ISSUER=http://127.0.0.1:8080 AUDIENCE=https://orders.example node server.mjs
//
// To take API keys too, KEY_FILE names a file with an API key of this service that has the
// scope keys:verify.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify, errors } from 'jose'

const { ISSUER: issuer, AUDIENCE: audience, KEY_FILE: keyFile, LISTEN: listen = '127.0.0.1:8091' } = process.env
const own = keyFile && readFileSync(keyFile, 'utf8').trim()
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))

class Refusal extends Error {
  constructor(status, challenge) {
    super(challenge)
    Object.assign(this, { status, challenge })
  }
}

// caller says who is calling and what they may do, or throws a refusal.
async function caller(request) {
  const [scheme, credential] = (request.headers.authorization ?? '').split(' ')
  if (!credential) throw new Refusal(401, 'Bearer realm="api"')
  if (scheme.toLowerCase() === 'apikey' || credential.startsWith('mm_')) return byKey(credential)
  if (scheme.toLowerCase() !== 'bearer') throw new Refusal(401, 'Bearer realm="api"')
  try {
    const { payload } = await jwtVerify(credential, keys, { issuer, audience, typ: 'at+jwt', algorithms: ['ES256'], clockTolerance: 60 })
    return { subject: payload.sub, method: 'bearer', scopes: (payload.scope ?? '').split(' ') }
  } catch (error) {
    // Only what is wrong with the token is the caller's; that the issuer is away is not.
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)) throw new Refusal(401, 'Bearer error="invalid_token"')
    throw error
  }
}

async function byKey(key) {
  if (!own) throw new Refusal(401, 'Bearer error="invalid_token"')
  const response = await fetch(`${issuer}/api/v1/keys/verify`, {
    method: 'POST', redirect: 'error', signal: AbortSignal.timeout(5000),
    headers: { authorization: `ApiKey ${own}`, 'content-type': 'application/json' }, body: JSON.stringify({ key }),
  })
  if (!response.ok) throw new Error(`the issuer answers ${response.status}`)
  const answer = await response.json()
  if (answer.active !== true) throw new Refusal(401, 'Bearer error="invalid_token"')
  return { subject: answer.sub, method: 'api-key', scopes: (answer.scope ?? '').split(' ') }
}

const routes = { 'GET /orders': 'orders:read', 'POST /orders': 'orders:write' }

const server = createServer(async (request, response) => {
  const answer = (status, body, challenge) => {
    if (challenge) response.setHeader('WWW-Authenticate', challenge)
    response.writeHead(status, { 'Content-Type': status === 200 ? 'application/json' : 'application/problem+json', 'Cache-Control': 'no-store' })
    response.end(JSON.stringify(body))
  }
  try {
    const scope = routes[`${request.method} ${request.url}`]
    if (!scope) return answer(404, { status: 404, title: 'Not Found' })
    const who = await caller(request)
    if (!who.scopes.includes(scope)) throw new Refusal(403, `Bearer error="insufficient_scope", scope="${scope}"`)
    answer(200, who)
  } catch (error) {
    if (error instanceof Refusal) return answer(error.status, { status: error.status, title: error.status === 401 ? 'Unauthorized' : 'Forbidden' }, error.challenge)
    console.error(error.message)
    answer(503, { status: 503, title: 'Service Unavailable' })
  }
})
const [host, port] = listen.split(':')
server.listen(port, host, () => console.log(`listening on ${listen}`))
