// A js-libp2p peer that obeys the same commands as interop_peer (../peer.cpp), one a line on its standard input; and
// "security PEER", which tells how the connection is secured. Usage: peer.mjs SEED MULTIADDR SECURITY...
import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'

// What js-libp2p takes for granted and Debian 12's Node 18 (the last one: Node 20) lacks.
globalThis.crypto ??= webcrypto
globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor (type, options) {
    super(type, options)
    this.detail = options?.detail ?? null
  }
}
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}

const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { noise } = await import('@libp2p/noise')
const { tls } = await import('@libp2p/tls')
const { yamux } = await import('@libp2p/yamux')
const { identify } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')
const { gossipsub } = await import('@libp2p/gossipsub')
const { generateKeyPairFromSeed } = await import('@libp2p/crypto/keys')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { multiaddr } = await import('@multiformats/multiaddr')

const ECHO = 'interop/echo/0.0.1'
const say = (...words) => process.stdout.write(words.join(' ') + '\n')

const [seedNumber, listen, ...securities] = process.argv.slice(2)
const seed = new Uint8Array(32).fill(Number(seedNumber))
const encrypters = { '/noise': noise, '/tls/1.0.0': tls }
const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', seed),
  addresses: { listen: [listen] },
  transports: [tcp()],
  connectionEncrypters: securities.map(name => encrypters[name]()),
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify(), ping: ping(), pubsub: gossipsub() }
})

async function writeAll (stream, bytes) {
  const piece = 64 * 1024
  for (let at = 0; at < bytes.length; at += piece) {
    if (!stream.send(bytes.subarray(at, at + piece))) await stream.onDrain()
  }
}

// By events: the stream's iterator never ends if the other side had closed its half before the iteration began.
await node.handle(ECHO, (stream) => {
  let work = Promise.resolve()
  let closing = false
  const closeAtEnd = () => setImmediate(() => {
    if (stream.remoteWriteStatus !== 'closed' || stream.readBufferLength > 0 || closing) return
    closing = true
    work.then(() => stream.close()).catch(error => stream.abort(error))
  })
  stream.addEventListener('message', (event) => {
    work = work.then(() => writeAll(stream, event.data.subarray()))
    closeAtEnd()
  })
  stream.addEventListener('remoteCloseWrite', closeAtEnd)
})
node.addEventListener('peer:connect', e => say('event connected', e.detail))
node.addEventListener('peer:disconnect', e => say('event disconnected', e.detail))
node.addEventListener('peer:identify', e => say('event identified', e.detail.peerId, e.detail.agentVersion))
node.services.pubsub.addEventListener('message', e =>
  say('event message', e.detail.topic, e.detail.from, new TextDecoder().decode(e.detail.data)))

const connectionTo = (peer) => node.getConnections(peerIdFromString(peer))[0]

const commands = {
  dial: async (address) => `dial ${(await node.dial(multiaddr(address))).remotePeer}`,
  ping: async (peer) => `ping ${await node.services.ping.ping(peerIdFromString(peer)) * 1e6}`,
  security: async (peer) => `security ${connectionTo(peer).encryption}`,
  identify: async (peer) => {
    const info = await node.services.identify.identify(connectionTo(peer))
    return `identify ${info.agentVersion} ${info.protocols.join(' ')}`
  },
  echo: async (peer, size) => {
    const sent = new Uint8Array(Number(size)).map((_, i) => i * 7 + Math.floor(i / 251))
    const stream = await connectionTo(peer).newStream(ECHO)
    const writing = writeAll(stream, sent).then(() => stream.close())
    const parts = []
    for await (const chunk of stream) parts.push(Buffer.from(chunk.subarray()))
    await writing
    if (!Buffer.concat(parts).equals(Buffer.from(sent))) throw new Error('echo: other bytes came back')
    return `echo ${size}`
  },
  subscribe: async (topic) => { node.services.pubsub.subscribe(topic); return `subscribe ${topic}` },
  subscribers: async (topic) => `subscribers ${node.services.pubsub.getSubscribers(topic).length}`,
  publish: async (topic, text) => {
    await node.services.pubsub.publish(topic, new TextEncoder().encode(text))
    return `publish ${topic}`
  },
  peers: async () => ['peers', ...node.getPeers()].join(' ')
}

say('ok listen', node.getMultiaddrs()[0])
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'quit') break
  const [verb, subject, ...rest] = line.split(' ')
  try {
    say('ok', await commands[verb](subject, rest.join(' ')))
  } catch (error) {
    say('error', String(error.message ?? error).replaceAll('\n', ' '))
  }
}
await node.stop()
say('ok quit')
process.exit(0)
