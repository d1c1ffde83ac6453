const [at] = controls
const shown = part('-shown'), unit = __lookup_interpolated('unit'), digits = __lookup_interpolated('digits')
const show = (now) => {
  if (at.valueAsNumber !== now) at.value = now
  const text = now.toFixed(digits) + unit
  if (shown) shown.textContent = text
  if (unit) at.setAttribute('aria-valuetext', text)
  const [low, high] = [Number(at.min), Number(at.max)]
  at.parentElement.style.setProperty('--bonito-to', high > low ? (at.valueAsNumber - low) / (high - low) : 0)
}
follow('value', show)
at.addEventListener('input', () => {
  value.notify(at.valueAsNumber, true)
  send(at.valueAsNumber)
})
