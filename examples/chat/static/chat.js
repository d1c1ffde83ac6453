// The page of a room: one WebSocket, and lines that it brings. Text is only ever set as text.
const $ = (id) => document.getElementById(id)
const room = decodeURIComponent(location.pathname.split('/').pop())
const url = new URL(`/live/rooms/${encodeURIComponent(room)}`, location.href.replace(/^http/, 'ws'))

let socket, you = '', to = null, tries = 0, last = null

function connect() {
  socket = new WebSocket(url)
  socket.onmessage = ({ data }) => receive(JSON.parse(data))
  socket.onclose = ({ code, reason }) => {
    ready(false)
    if (code === 1008) return location.reload()
    // A login that is no more, after a restart of the server, is not told to a socket that is refused.
    fetch(location.href, { method: 'HEAD', redirect: 'manual' })
      .then(({ type }) => { if (type === 'opaqueredirect') location.reload() })
      .catch(() => {})
    // The server says when to come back; else each try waits longer, and nobody knows exactly how long.
    const told = /^retry-after=(\d+)$/.exec(reason)
    const longest = Math.min(1000 * 2 ** tries++, 15000)
    const pause = told ? Number(told[1]) : longest * (0.5 + Math.random() / 2)
    state(code === 1001 ? 'the server restarts' : 'offline, trying again')
    setTimeout(connect, pause)
  }
}

const events = {
  welcome(event) {
    tries = 0
    you = event.you
    document.title = `${event.room} · Chat`
    $('lines').replaceChildren()
    last = null
    rooms(event.rooms, event.room)
    people(event.people)
    event.history.forEach((line) => add(line))
    if (!event.direct) note('You have another window open: direct messages go there.')
    if (event.history.length === 0) note('Nothing has been said here yet.', 'empty')
    state('online')
    ready(true)
  },
  said: (line) => add(line),
  people: (event) => people(event.people),
  direct: (event) => add({ ...event, at: Date.now() }),
  indirect: () => note('You have another window open: direct messages go there.'),
  unreachable: (event) => note(`${event.to} is not reachable.`),
}

function receive(event) {
  events[event.kind]?.(event)
}

function element(name, text, ...classes) {
  const element = document.createElement(name)
  element.textContent = text
  element.classList.add(...classes)
  return element
}

function rooms(names, current) {
  $('rooms').replaceChildren(...names.map((name) => {
    const link = element('a', name)
    link.href = `/rooms/${encodeURIComponent(name)}`
    if (name === current) link.setAttribute('aria-current', 'page')
    return link
  }))
}

function people(names) {
  $('count').textContent = names.length
  $('people').replaceChildren(...names.map((name) => {
    const item = document.createElement('li')
    const button = element('button', name, 'plain', 'person')
    button.prepend(face(name))
    button.type = 'button'
    button.disabled = name === you
    button.title = name === you ? 'That is you' : `Write to ${name} only`
    button.onclick = () => address(name)
    item.append(button)
    return item
  }))
}

function face(name) {
  const face = element('span', [...name][0].toUpperCase(), 'face', `hue${[...name].reduce((sum, c) => sum + c.codePointAt(0), 0) % 6}`)
  face.setAttribute('aria-hidden', 'true')
  return face
}

function add({ from, text, at, to }) {
  $('lines').querySelector('.empty')?.remove()
  const item = element('li', '', 'line')
  item.classList.toggle('mine', from === you)
  item.classList.toggle('direct', to !== undefined)
  const follows = to === undefined && last !== null && last.from === from && at - last.at < 120000
  item.classList.toggle('follows', follows)
  last = to === undefined ? { from, at } : null
  const who = to === undefined ? from : from === you ? `to ${to} only` : `${from}, to you only`
  const head = element('p', who, 'who')
  const time = element('time', new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))
  time.dateTime = new Date(at).toISOString()
  head.append(time)
  const bubble = element('p', text, 'bubble')
  item.append(face(from), head, bubble)
  append(item)
}

function note(text, ...classes) {
  last = null
  append(element('li', text, 'note', ...classes))
}

function append(item) {
  const lines = $('lines')
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 80
  lines.append(item)
  while (lines.children.length > 500) lines.firstElementChild.remove()
  if (atEnd) lines.scrollTop = lines.scrollHeight
}

function address(name) {
  to = name
  $('to').hidden = name === null
  $('to').querySelector('b').textContent = name ?? ''
  $('text').focus()
}

function state(text) {
  $('state').textContent = text
  $('state').dataset.state = text
}

function ready(ready) {
  $('text').disabled = $('send').disabled = !ready
}

$('to').querySelector('button').onclick = () => address(null)
$('text').onkeydown = (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    $('say').requestSubmit()
  }
}
$('say').onsubmit = (event) => {
  event.preventDefault()
  const text = $('text').value.trim()
  if (text === '' || socket.readyState !== WebSocket.OPEN) return
  socket.send(JSON.stringify(to === null ? { text } : { text, to }))
  $('text').value = ''
}

connect()
