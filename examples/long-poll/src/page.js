// The page's end of the connection. This is the body of a function; `__lookup_interpolated` finds the values from Rust.
const url = new URL(__lookup_interpolated('url'), window.location.href).href
const compression_enabled = __lookup_interpolated('compression')
const MESSAGES = 256
const BATCH_BYTES = 64 * 1024
const WAITING_BYTES = 1024 * 1024

/** Why the page is not to come back. */
class End extends Error {}

/** A message is longer than the server allows; it came alone. */
class TooLarge extends Error {}

async function ask(query, options) {
  const response = await fetch(url + query, { cache: 'no-store', ...options })
  const end = { 400: 'refused', 403: 'refused', 404: 'gone', 409: 'superseded', 410: 'gone' }[response.status]
  if (end) throw new End(end)
  if (response.status === 413) throw new TooLarge()
  if (!response.ok) throw new Error(`the server answered ${response.status}`)
  return response
}

/** Any pause up to a bound that doubles, so that the pages of a restarted server spread out. */
const pause = (failures) => new Promise((done) => setTimeout(done, Math.random() * Math.min(10_000, 500 * 2 ** failures)))

let ended = false
function end(reason) {
  ended = true
  Bonito.on_connection_close(reason)
}

// From Rust: `next` is the number of the next message. To ask for it confirms all before. Polls are numbered too: of two that
// wait, the server answers the later one.
let next = 0
let polls = 0

async function poll(query = '') {
  const response = await ask(`?poll=${++polls}&from=${next}${query}`, { signal: AbortSignal.timeout(40_000) })
  if (response.status === 204) return
  const batch = await response.arrayBuffer()
  const view = new DataView(batch)
  let number = Number(view.getBigUint64(0))
  for (let at = 8; at < batch.byteLength; number++) {
    const length = view.getUint32(at)
    if (number === next) {
      next++
      Bonito.process_message(new Uint8Array(batch, at + 4, length))
    }
    at += 4 + length
  }
}

async function receive() {
  for (let failures = 0; !ended; failures++) {
    try {
      await poll('&open=true')
      // Polls show that the page lives, so it need not ping.
      if (Bonito.on_connection_open(send_to_julia, compression_enabled, false) === false) return
      while (!ended) {
        await poll()
        failures = 0
      }
    } catch (error) {
      if (ended) return
      if (error instanceof End) return end(error.message)
      Bonito.on_connection_connecting()
    }
    await pause(failures)
  }
}

// To Rust: what has not been confirmed waits in `outbox`, whose first message has the number `first`.
const outbox = []
let first = 0
let waiting = 0
let sending = null

/** Promises to be done when there is room again, if there is none. */
function send_to_julia(binary) {
  outbox.push(binary.slice())
  waiting += binary.length
  sending ??= send().finally(() => { sending = null })
  if (waiting > WAITING_BYTES) return sending
}

function batch() {
  const messages = []
  let size = 8
  for (const message of outbox) {
    if (messages.length === MESSAGES || (messages.length > 0 && size + message.length > BATCH_BYTES)) break
    messages.push(message)
    size += 4 + message.length
  }
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(first))
  let at = 8
  for (const message of messages) {
    view.setUint32(at, message.length)
    bytes.set(message, at + 4)
    at += 4 + message.length
  }
  return bytes
}

async function send() {
  for (let failures = 0; outbox.length > 0 && !ended; ) {
    try {
      const response = await ask('', {
        method: 'POST',
        body: batch(),
        headers: { 'content-type': 'application/octet-stream' },
        signal: AbortSignal.timeout(40_000),
      })
      const confirmed = Number(await response.text())
      // Not a step forward when Rust has no room: then patience is due as well.
      failures = confirmed > first ? 0 : failures + 1
      for (; first < confirmed; first++) waiting -= outbox.shift().length
    } catch (error) {
      if (ended) return
      if (error instanceof End) return end(error.message)
      if (error instanceof TooLarge) {
        waiting -= outbox.shift().length
        Bonito.send_error('A message is longer than the server allows', error)
        continue
      }
      failures++
    }
    if (failures > 0) await pause(failures)
  }
}

receive()
