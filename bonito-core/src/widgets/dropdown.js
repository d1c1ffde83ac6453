const [at] = controls
const values = __lookup_interpolated('values'), names = values.map((each) => JSON.stringify(each))
const before = at.options.length - values.length
follow('value', (now) => {
  const index = names.indexOf(JSON.stringify(now))
  at.selectedIndex = index < 0 ? before - 1 : index + before
})
at.addEventListener('input', () => {
  const index = at.selectedIndex - before
  if (index < 0) return
  value.notify(values[index], true)
  send(index)
})
