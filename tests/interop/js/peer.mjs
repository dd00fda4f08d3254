// A js-libp2p peer that executes the commands of ../README.md, one per line from its standard input.
// Usage: peer.mjs SEED [MULTIADDR [SECURITY...]]
import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'

// What js-libp2p requires and Debian 12's Node 18 (the last one: Node 20) lacks.
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
const { checks, serve } = await import('./checks.mjs')

const say = (...words) => process.stdout.write(words.join(' ') + '\n')

const [seedNumber = '1', listen = '/ip4/127.0.0.1/tcp/0', ...named] = process.argv.slice(2)
const securities = named.length > 0 ? named : ['/noise']
const seed = new Uint8Array(32).fill(Number(seedNumber))
const encrypters = { '/noise': noise, '/tls/1.0.0': tls }
const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', seed),
  addresses: { listen: [listen] },
  transports: [tcp()],
  connectionEncrypters: securities.map(name => encrypters[name]()),
  streamMuxers: [yamux({ maxInboundStreams: 2048, maxOutboundStreams: 2048 })], // 1000, its default, is too low for other streams beside them
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify(), ping: ping(), pubsub: gossipsub() }
})

await serve(node, say)
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
  subscribe: async (topic) => { node.services.pubsub.subscribe(topic); return `subscribe ${topic}` },
  subscribers: async (topic) => `subscribers ${node.services.pubsub.getSubscribers(topic).length}`,
  publish: async (topic, text) => {
    await node.services.pubsub.publish(topic, new TextEncoder().encode(text))
    return `publish ${topic}`
  },
  peers: async () => ['peers', ...node.getPeers()].join(' '),
  ...checks(node)
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
