const part = (name) => document.getElementById(__lookup_interpolated('id') + name)
const controls = __lookup_interpolated('parts').map(part)
if (controls.includes(null)) return
const value = __lookup_interpolated('value'), error = part('-error')
const send = (payload) => {
  try { Bonito.send_to_julia({ msg_type: '0', id: __lookup_interpolated('input'), payload }) }
  catch (failure) { Bonito.send_error('A value was not sent', failure) }
}
const follow = (name, act) => {
  const observable = __lookup_interpolated(name)
  if (!observable) return
  act(observable.value)
  observable.on((now) => {
    if (over()) return false
    act(now)
  })
}
let told = '', found = ''
const judge = () => {
  const text = found || told
  if (error && error.textContent !== text) error.textContent = text
  for (const control of controls) {
    if (text) control.setAttribute('aria-invalid', 'true')
    else control.removeAttribute('aria-invalid')
  }
}
follow('error', (now) => { told = now ?? ''; judge() })
follow('disabled', (now) => { for (const control of controls) control.disabled = now })
