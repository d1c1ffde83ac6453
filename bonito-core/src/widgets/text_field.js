const [at] = controls
follow('value', (now) => { if (at.value !== now) at.value = now ?? '' })
at.addEventListener('input', () => {
  value?.notify(at.value, true)
  send(at.value)
})
