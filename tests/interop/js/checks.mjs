// The protocols that every peer of tests/interop serves, and the commands that use them (../README.md).
import { createHash } from 'node:crypto'
import { peerIdFromString } from '@libp2p/peer-id'

const ECHO = '/interop/echo/0.0.1'
const BARE_ECHO = 'interop/echo/0.0.1'
const SUM = '/interop/sum/0.0.1'
const LATE = '/interop/late/0.0.1'
const RESET = '/interop/reset/0.0.1'
const UNKNOWN = '/interop/unknown/0.0.1'
const PING = '/ipfs/ping/1.0.0'

const BLOCK = 64 * 1024
const LIMITS = { maxInboundStreams: 2048, maxOutboundStreams: 2048 }

async function send (stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain()
}

// Blocks that begin with their number; `hash` may be missing.
async function sendNumbered (stream, size, hash) {
  const pattern = Buffer.alloc(BLOCK).map((_, i) => i * 7 + Math.floor(i / 251))
  for (let number = 0n; size > 0; number++) {
    const piece = Buffer.from(pattern.subarray(0, Math.min(size, BLOCK)))
    const head = Buffer.alloc(8)
    head.writeBigUInt64BE(number)
    head.copy(piece)
    hash?.update(piece)
    await send(stream, piece)
    size -= piece.length
  }
}

// Calls take(bytes) until the peer closes its half; fails if it resets the stream.
function receive (stream, take) {
  return new Promise((resolve, reject) => {
    const settle = () => {
      const error = stream.status === 'reset' || stream.status === 'aborted'
      error ? reject(new Error(`the stream was ${stream.status}`)) : resolve()
    }
    stream.addEventListener('message', event => take(Buffer.from(event.data.subarray())))
    stream.addEventListener('end', settle)
    stream.addEventListener('close', event => { if (event.error != null) reject(event.error) })
    if (stream.readableEnded) settle()
  })
}

async function receiveAll (stream) {
  const parts = []
  await receive(stream, bytes => parts.push(bytes))
  return Buffer.concat(parts)
}

function firstBytes (stream, size) {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0)
    receive(stream, bytes => {
      got = Buffer.concat([got, bytes])
      if (got.length >= size) resolve(got)
    }).then(() => reject(new Error('the stream ended')), reject)
  })
}

async function answerEcho (stream, peer, say) {
  let work = Promise.resolve()
  try {
    await receive(stream, bytes => { work = work.then(() => send(stream, bytes)) })
    await work
    await stream.close()
  } catch (error) {
    say('event reset', peer)
    throw error
  }
}

async function answerSum (stream) {
  let head = Buffer.alloc(0)
  const hash = createHash('sha256')
  await receive(stream, bytes => {
    const missing = 8 - head.length
    head = Buffer.concat([head, bytes.subarray(0, missing)])
    hash.update(bytes.subarray(missing))
  })
  await send(stream, hash.digest())
  const sent = createHash('sha256')
  await sendNumbered(stream, Number(head.readBigUInt64BE()), sent)
  await send(stream, sent.digest())
  await stream.close()
}

async function answerLate (stream, peer, say) {
  await send(stream, Buffer.from('early'))
  await stream.close()
  let size = 0
  await receive(stream, bytes => { size += bytes.length })
  say('event late', peer, size)
}

async function answerReset (stream) {
  await firstBytes(stream, 1)
  stream.abort(new Error('requested'))
}

export async function serve (node, say) {
  const protocols = { [ECHO]: answerEcho, [BARE_ECHO]: answerEcho, [SUM]: answerSum, [LATE]: answerLate, [RESET]: answerReset }
  for (const [name, work] of Object.entries(protocols)) {
    const answer = (stream, connection) => work(stream, connection.remotePeer, say).catch(error => stream.abort(error))
    await node.handle(name, answer, LIMITS)
  }
}

async function echo (open, size, protocol = BARE_ECHO) {
  const stream = await open(protocol)
  const start = process.hrtime.bigint()
  const sent = createHash('sha256')
  const got = createHash('sha256')
  const receiving = receive(stream, bytes => got.update(bytes))
  await sendNumbered(stream, size, sent)
  await Promise.all([stream.close(), receiving])
  if (!sent.digest().equals(got.digest())) throw new Error('the echo differs')
  return `echo ${size} ${process.hrtime.bigint() - start}`
}

async function transfer (open, up, down) {
  const stream = await open(SUM)
  const start = process.hrtime.bigint()
  const sent = createHash('sha256')
  const got = createHash('sha256')
  const sums = Buffer.alloc(64) // of the sent and the received bytes; the bytes themselves are not kept
  let at = 0
  const receiving = receive(stream, bytes => {
    const within = (begin, end) => bytes.subarray(Math.max(0, begin - at), Math.max(0, end - at))
    within(0, 32).copy(sums, at)
    got.update(within(32, 32 + down))
    within(32 + down, 64 + down).copy(sums, 32 + Math.max(0, at - 32 - down))
    at += bytes.length
  })
  const head = Buffer.alloc(8)
  head.writeBigUInt64BE(BigInt(down))
  await send(stream, head)
  await sendNumbered(stream, up, sent)
  await Promise.all([stream.close(), receiving])
  if (at !== 64 + down) throw new Error(`${at} bytes came, not ${64 + down}`)
  if (!sums.equals(Buffer.concat([sent.digest(), got.digest()]))) throw new Error('the checksums differ')
  return process.hrtime.bigint() - start
}

// Opens all streams at once, but waits for every burst-th before opening the next.
async function streams (open, count, burst) {
  const start = process.hrtime.bigint()
  const all = []
  try {
    for (let i = 0; i < count; i++) {
      const stream = await open(ECHO)
      let answered
      const answer = new Promise(resolve => { answered = resolve })
      const parts = []
      const end = receive(stream, bytes => { parts.push(bytes); answered() }).finally(answered)
      end.catch(() => {}) // handled below
      all.push({ stream, end, parts })
      await send(stream, Buffer.from(`stream ${i}`))
      if ((i + 1) % burst === 0) await answer
    }
    for (const [i, { stream, end, parts }] of all.entries()) {
      await Promise.all([stream.close(), end])
      const text = Buffer.concat(parts).toString()
      if (text !== `stream ${i}`) throw new Error(`stream ${i}: '${text}' came back`)
    }
  } finally {
    for (const { stream } of all) stream.abort(new Error('done')) // no effect on ended streams
  }
  return `streams ${count} ${process.hrtime.bigint() - start}`
}

async function pings (open, count) {
  const stream = await open(PING)
  const times = []
  for (let i = 0; i < count; i++) {
    const sent = createHash('sha256').update(String(i)).digest()
    const start = process.hrtime.bigint()
    const got = new Promise((resolve, reject) => {
      const taken = event => {
        stream.removeEventListener('message', taken)
        resolve(Buffer.from(event.data.subarray()))
      }
      stream.addEventListener('message', taken)
      stream.addEventListener('close', () => reject(new Error('the stream ended')))
    })
    await send(stream, sent)
    if (!sent.equals(await got)) throw new Error('the ping response differs')
    times.push(process.hrtime.bigint() - start)
  }
  await stream.close()
  times.sort((a, b) => Number(a - b))
  return `pings ${times[times.length >> 1]} ${times[Math.floor(times.length * 0.99)]}`
}

async function halfClose (open, size) {
  const stream = await open(LATE)
  const early = (await receiveAll(stream)).toString()
  if (early !== 'early') throw new Error(`'${early}' received before the end`)
  await sendNumbered(stream, size)
  await stream.close()
  return `half-close ${size}`
}

async function reset (open) {
  const stream = await open(ECHO)
  const got = firstBytes(stream, 1)
  await send(stream, Buffer.from([1]))
  await got
  stream.abort(new Error('on purpose'))
  return 'reset'
}

async function resetBy (open) {
  const stream = await open(RESET)
  const got = receiveAll(stream).then(bytes => bytes.length, error => error)
  await send(stream, Buffer.from([1]))
  const end = await got
  if (!(end instanceof Error)) throw new Error(`${end} bytes and no reset`)
  return 'reset-by'
}

async function unknown (open) {
  try {
    await open(UNKNOWN)
  } catch (error) {
    if (error.name === 'UnsupportedProtocolError') return 'unknown'
    throw error
  }
  throw new Error('an unknown protocol was agreed')
}

export function checks (node) {
  const command = work => async (peer, text) => {
    const words = text.split(' ').filter(Boolean).map(word => /^\d+$/.test(word) ? Number(word) : word)
    const connection = node.getConnections(peerIdFromString(peer))[0]
    if (connection == null) throw new Error(`not connected to ${peer}`)
    return await work(name => connection.newStream(name, LIMITS), ...words)
  }
  return {
    disconnect: async peer => { await node.hangUp(peerIdFromString(peer)); return `disconnect ${peer}` },
    echo: command(echo),
    upload: command(async (open, size) => `upload ${size} ${await transfer(open, size, 0)}`),
    download: command(async (open, size) => `download ${size} ${await transfer(open, 0, size)}`),
    streams: command(streams),
    pings: command(pings),
    'half-close': command(halfClose),
    reset: command(reset),
    'reset-by': command(resetBy),
    unknown: command(unknown)
  }
}
