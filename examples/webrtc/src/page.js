// The page's end of the connection. This is the body of a function; `__lookup_interpolated` finds the values from Rust.
const url = new URL(__lookup_interpolated('url'), window.location.href).href
const compression_enabled = false
const CHUNK = 16 * 1024 - 1
const BUFFERED = 1024 * 1024
const OPEN_MS = 10_000

/** Why the page is not to come back. */
class End extends Error {}

/** Any pause up to a bound that doubles, so that the pages of a restarted server spread out. */
const pause = (failures) => new Promise((done) => setTimeout(done, Math.random() * Math.min(10_000, 500 * 2 ** failures)))

/** Sends the offer to the app's own route, and answers the answer. */
async function signal(offer) {
  const response = await fetch(url, {
    method: 'POST',
    body: offer.sdp,
    headers: { 'content-type': 'application/sdp' },
    signal: AbortSignal.timeout(OPEN_MS),
  })
  const end = { 400: 'refused', 403: 'refused', 404: 'gone' }[response.status]
  if (end) throw new End(end)
  if (!response.ok) throw new Error(`the server answered ${response.status}`)
  return { type: 'answer', sdp: await response.text() }
}

/** Done when the connection is lost. */
async function connect(peer, opened) {
  // In order and without loss, as channels are by default.
  const channel = peer.createDataChannel('bonito')
  channel.binaryType = 'arraybuffer'
  channel.bufferedAmountLowThreshold = BUFFERED / 2
  const open = new Promise((done) => { channel.onopen = done })
  const lost = new Promise((done) => {
    channel.onclose = channel.onerror = done
    peer.onconnectionstatechange = () => {
      if (['disconnected', 'failed', 'closed'].includes(peer.connectionState)) done()
    }
  })

  let chunks = []
  channel.onmessage = ({ data }) => {
    chunks.push(new Uint8Array(data, 1))
    if (new Uint8Array(data)[0] === 0) return
    const message = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
    let at = 0
    for (const chunk of chunks) {
      message.set(chunk, at)
      at += chunk.length
    }
    chunks = []
    Bonito.process_message(message)
  }

  const send_to_julia = (binary) => {
    if (channel.readyState !== 'open') return false
    for (let at = 0, last = false; !last; at += CHUNK) {
      last = at + CHUNK >= binary.length
      const part = binary.subarray(at, at + CHUNK)
      const chunk = new Uint8Array(part.length + 1)
      chunk[0] = last ? 1 : 0
      chunk.set(part, 1)
      channel.send(chunk)
    }
    if (channel.bufferedAmount < BUFFERED) return
    // The next message waits until there is room.
    return Promise.race([lost, new Promise((done) => { channel.onbufferedamountlow = done })])
  }

  await peer.setLocalDescription()
  await peer.setRemoteDescription(await signal(peer.localDescription))
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error('the channel did not open')), OPEN_MS))
  late.catch(() => {})
  await Promise.race([open, late, lost.then(() => { throw new Error('the channel was lost') })])
  if (Bonito.on_connection_open(send_to_julia, compression_enabled) === false) throw new End()
  opened()
  await lost
}

async function stay_connected() {
  for (let failures = 0; ; failures++) {
    const peer = new RTCPeerConnection()
    try {
      await connect(peer, () => { failures = 0 })
    } catch (error) {
      if (error instanceof End) return error.message && Bonito.on_connection_close(error.message)
    } finally {
      peer.close()
    }
    Bonito.on_connection_connecting()
    await pause(failures)
  }
}

stay_connected()
