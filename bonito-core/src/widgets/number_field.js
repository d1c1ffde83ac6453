const [at] = controls
const read = () => at.value === '' ? null : at.valueAsNumber
const isValid = () => {
  const { badInput, rangeUnderflow, rangeOverflow, stepMismatch, valueMissing } = at.validity
  return !(badInput || rangeUnderflow || rangeOverflow || stepMismatch || valueMissing)
}
follow('value', (now) => {
  if (at.validity.badInput || !Object.is(read(), now)) at.value = now ?? ''
  found = ''
  judge()
})
at.addEventListener('input', () => {
  if (!isValid()) return
  const now = read()
  value.notify(now, true)
  send(now)
})
at.addEventListener('change', () => {
  found = isValid() ? '' : __lookup_interpolated('hint')
  judge()
})
