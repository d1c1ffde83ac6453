const [at] = controls
follow('value', (now) => { at.checked = now === true })
at.addEventListener('input', () => {
  value.notify(at.checked, true)
  send(at.checked)
})
