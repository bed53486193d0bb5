// An application on oauth4webapi, a public client: node oauth4webapi.mjs PORT ISSUER CLIENT_ID
import { createServer } from 'node:http'
import * as oauth from 'oauth4webapi'

const [port, issuerText, id] = process.argv.slice(2)
const here = `http://127.0.0.1:${port}`
const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(issuerText)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
const client = { client_id: id }
let pending

createServer(async (req, res) => {
  const url = new URL(req.url, here)
  try {
    if (url.pathname === '/') {
      pending = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() }
      const to = new URL(as.authorization_endpoint)
      to.search = new URLSearchParams({
        client_id: id, redirect_uri: `${here}/callback`, response_type: 'code', scope: 'openid email',
        code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier), code_challenge_method: 'S256',
        state: pending.state, nonce: pending.nonce,
      })
      res.writeHead(302, { location: to.href }).end()
      return
    }
    const params = oauth.validateAuthResponse(as, client, url, pending.state)
    const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), params, `${here}/callback`, pending.verifier, insecure)
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: pending.nonce, requireIdToken: true })
    await oauth.validateApplicationLevelSignature(as, response, insecure)
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    const user = await oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token, insecure))
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ sub: claims.sub, email: user.email, iss: url.searchParams.get('iss') }))
  } catch (err) {
    res.writeHead(500).end(`${err.stack}\n${JSON.stringify(err.cause ?? null)}`)
  }
}).listen(Number(port), '127.0.0.1', () => console.log('READY'))
