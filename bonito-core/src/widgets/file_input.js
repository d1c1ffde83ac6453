const [at] = controls
const status = part('-status'), box = part('-transfer'), bar = part('-progress'), cancel = part('-cancel'), retry = part('-retry')
const chunk = __lookup_interpolated('chunk'), ahead = __lookup_interpolated('window'), most = __lookup_interpolated('max')
const kinds = __lookup_interpolated('accept').split(',').map((kind) => kind.trim()).filter(Boolean)
const size = (bytes) => {
  const power = bytes < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(bytes) / 10))
  return (bytes / 1024 ** power).toFixed(power ? 1 : 0).replace('.0', '') + ' ' + ['bytes', 'KiB', 'MiB', 'GiB'][power]
}
const isAccepted = ({ name, type }) => !kinds.length || kinds.some((kind) =>
  kind.startsWith('.') ? name.toLowerCase().endsWith(kind) : kind.endsWith('*') ? type.startsWith(kind.slice(0, -1)) : type === kind)
let last = 0, file = null, run = null, line = value.value.line
const show = (state, text) => {
  // The focus may be on Cancel, and would be lost with it.
  if (state !== 'running' && box.contains(document.activeElement)) at.focus()
  box.hidden = state !== 'running'
  retry.hidden = state !== 'failed' || !file
  found = state === 'failed' ? text : ''
  status.textContent = state === 'failed' ? '' : text
  judge()
}
const pump = async (mine) => {
  if (mine.reading) return
  mine.reading = true
  try {
    while (run === mine && mine.sent < mine.file.size && mine.sent - mine.taken < ahead) {
      const end = Math.min(mine.sent + chunk, mine.file.size)
      const bytes = new Uint8Array(await mine.file.slice(mine.sent, end).arrayBuffer())
      if (run !== mine) return
      send({ chunk: { transfer: mine.id, offset: mine.sent, bytes } })
      mine.sent = end
    }
  } catch (failure) {
    if (run !== mine) return
    run = null
    send({ cancel: { transfer: mine.id } })
    show('failed', `${mine.file.name} could not be read.`)
  } finally {
    mine.reading = false
  }
}
const stop = () => {
  if (run) send({ cancel: { transfer: run.id } })
  run = null
}
const begin = () => {
  stop()
  if (!isAccepted(file)) {
    const { name } = file
    file = null
    return show('failed', `${name} is not accepted: choose ${kinds.join(', ')}.`)
  }
  if (file.size > most) {
    const text = `${file.name} is too large: ${size(file.size)}, and at most ${size(most)} are accepted.`
    file = null
    return show('failed', text)
  }
  run = { id: ++last, file, sent: 0, taken: 0, reading: false }
  bar.value = 0
  show('running', `Sending ${file.name}, ${size(file.size)}`)
  send({ start: { transfer: run.id, name: file.name, kind: file.type, size: file.size } })
}
const fail = (reason) => show('failed', `${file.name} was not sent. ${reason}`)
value.on((now) => {
  if (over()) return false
  const { transfer, taken, done, failure } = now, back = now.line !== line
  line = now.line
  if (run && back && (transfer !== run.id || !failure)) {
    stop()
    return fail(__lookup_interpolated('lost'))
  }
  if (!run || transfer !== run.id) return
  run.taken = taken
  if (failure) {
    run = null
    fail(failure)
  } else if (done) {
    run = null
    at.value = ''
    show('done', `${file.name} was sent, ${size(file.size)}`)
  } else {
    bar.value = file.size ? taken / file.size : 0
    void pump(run)
  }
})
at.addEventListener('change', () => {
  if (!at.files.length) return
  file = at.files[0]
  begin()
})
retry.addEventListener('click', () => {
  at.focus()
  begin()
})
cancel.addEventListener('click', () => {
  stop()
  at.value = ''
  at.focus()
  show('idle', 'Cancelled')
})
