// An application on openid-client: node openid-client.mjs PORT ISSUER CLIENT_ID CLIENT_SECRET
import { createServer } from 'node:http'
import * as oidc from 'openid-client'

const [port, issuer, id, secret] = process.argv.slice(2)
const here = `http://127.0.0.1:${port}`
const config = await oidc.discovery(new URL(issuer), id, secret, undefined, { execute: [oidc.allowInsecureRequests] })
let pending

createServer(async (req, res) => {
  const url = new URL(req.url, here)
  try {
    if (url.pathname === '/') {
      pending = { verifier: oidc.randomPKCECodeVerifier(), state: oidc.randomState(), nonce: oidc.randomNonce() }
      const to = oidc.buildAuthorizationUrl(config, {
        redirect_uri: `${here}/callback`,
        scope: 'openid profile email offline_access',
        code_challenge: await oidc.calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
        state: pending.state,
        nonce: pending.nonce,
      })
      res.writeHead(302, { location: to.href }).end()
      return
    }
    const tokens = await oidc.authorizationCodeGrant(config, url, {
      pkceCodeVerifier: pending.verifier, expectedState: pending.state, expectedNonce: pending.nonce, idTokenExpected: true,
    })
    const claims = tokens.claims()
    const user = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)
    const again = await oidc.refreshTokenGrant(config, tokens.refresh_token)
    const seen = await oidc.tokenIntrospection(config, again.access_token)
    await oidc.tokenRevocation(config, again.refresh_token)
    const after = await oidc.tokenIntrospection(config, again.access_token)
    res.writeHead(200, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ sub: claims.sub, email: user.email, refreshed: again.access_token !== tokens.access_token, active: seen.active, afterwards: after.active }))
  } catch (err) {
    res.writeHead(500).end(`${err.stack}\n${JSON.stringify(err.cause ?? null)}`)
  }
}).listen(Number(port), '127.0.0.1', () => console.log('READY'))
