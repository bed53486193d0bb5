// A connector in Node: Mintmark asks it whose a token is, of a system whose tokens are no JWTs.
// Here they are the tickets of a help desk.
//
//   SECRET_FILE=desk.secret node server.mjs
//
// Whoever can ask this learns who holds which ticket. So the signature comes first, before anything
// is read: the one of Standard Webhooks, by its own library.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'

const { SECRET_FILE: secretFile, LISTEN: listen = '127.0.0.1:8092' } = process.env
const webhook = new Webhook(readFileSync(secretFile, 'utf8').trim())

// Yours is a table, or the system itself. What is not in it is not good.
const tickets = new Map([
  ['ticket-of-ada', { sub: '17', email: 'ada@example.com', email_verified: true, name: 'Ada Lovelace', limits: { messages: 100, plan: 'pro' }, expires_in: 600 }],
  ['ticket-of-ben', { sub: '18', limits: { messages: 5 } }],
])

// body reads a request, but no more than a question can have.
async function body(request) {
  const pieces = []
  let length = 0
  for await (const piece of request) {
    if ((length += piece.length) > 64 * 1024) throw new WebhookVerificationError('too long')
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

const server = createServer(async (request, response) => {
  const answer = (status, about) => response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(about))
  try {
    // It throws if the signature is not good, or more than five minutes old.
    const question = webhook.verify(await body(request), request.headers)
    const ticket = question.type === 'identify' && tickets.get(question.token)
    answer(200, ticket ? { active: true, ...ticket } : { active: false })
  } catch (error) {
    if (error instanceof WebhookVerificationError) return answer(401, { error: 'the signature is not good' })
    console.error(error.message) // and never the token
    answer(503, { error: 'it can not be said now' })
  }
})
const [host, port] = listen.split(':')
server.listen(port, host, () => console.log(`listening on ${listen}`))
