// Sends a document, waits until it can be found, searches, and reads the project's events: node main.js [server] [team.project]
// Where the server wants to know who it is: NATS_USER and NATS_PASSWORD.
import { connect, JSONCodec } from "nats"

const [server = "nats://127.0.0.1:4222", project = "default.default"] = process.argv.slice(2)
const { decode, encode } = JSONCodec()
const { NATS_USER: user, NATS_PASSWORD: pass } = process.env
const client = await connect({ servers: server, user, pass })
const ask = async (what, body) =>
  decode((await client.request(`reprise.request.${project}.${what}`, encode(body), { timeout: 30_000 })).data)

// Durable: stored when it is acknowledged, sent again under the same id until it is answered.
const answers = client.subscribe(`reprise.answer.${project}.ferry-1`, { max: 1 })
const ferry = { commandId: "ferry-1", externalId: "ferry", title: "Ferry", text: "The ferry leaves at noon." }
await client.jetstream().publish(`reprise.command.${project}.DocumentSubmit`, encode(ferry))
for await (const message of answers) console.log("answer", decode(message.data).outcome)

// The same command as a request gets the same mutation, and waits until searches see it.
const { outcome, position } = await ask("DocumentSubmit", { ...ferry, wait: "visible" })
const { hits } = await ask("Search", { query: "when does the ferry leave", minPosition: position })
console.log(outcome, "·", hits[0].title, "·", hits[0].text)

const { events } = await ask("EventsRead", { fromSequence: 1 })
console.log(events.map(({ sequence, type }) => `${sequence} ${type}`).join("\n"))
await client.close()
