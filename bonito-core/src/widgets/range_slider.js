const [low, high] = controls
const shown = part('-shown'), unit = __lookup_interpolated('unit'), digits = __lookup_interpolated('digits')
const least = Number(low.min), span = Number(low.max) - least
const share = (at) => span > 0 ? (at.valueAsNumber - least) / span : 0
follow('value', ([from, to]) => {
  if (low.valueAsNumber !== from) low.value = from
  if (high.valueAsNumber !== to) high.value = to
  const text = [from, to].map((number) => number.toFixed(digits) + unit)
  if (shown) shown.textContent = text.join(' – ')
  if (unit) {
    low.setAttribute('aria-valuetext', text[0])
    high.setAttribute('aria-valuetext', text[1])
  }
  const { style } = low.parentElement
  style.setProperty('--bonito-from', share(low))
  style.setProperty('--bonito-to', share(high))
  low.classList.toggle('bonito-above', share(low) > 0.5)
})
const give = () => {
  const now = [low.valueAsNumber, high.valueAsNumber]
  value.notify(now, true)
  send(now)
}
low.addEventListener('input', () => {
  if (low.valueAsNumber > high.valueAsNumber) low.value = high.value
  give()
})
high.addEventListener('input', () => {
  if (high.valueAsNumber < low.valueAsNumber) high.value = low.value
  give()
})
