// Draws what Rust sends; see src/pages/chart.rs.
"use strict"

{
  const canvas = document.getElementById("chart")
  const context = canvas.getContext("2d")
  const RANGE = 1.3
  let samples = new Float32Array(0)
  let colours = {}
  let frames = 0
  let waiting = false

  const readColours = () => {
    const style = getComputedStyle(canvas)
    for (const name of ["accent", "accent-faint", "accent-none", "grid", "panel"]) colours[name] = style.getPropertyValue(`--${name}`)
  }

  const fit = () => {
    const scale = window.devicePixelRatio || 1
    canvas.width = Math.round(canvas.clientWidth * scale)
    canvas.height = Math.round(canvas.clientHeight * scale)
    context.setTransform(scale, 0, 0, scale, 0, 0)
  }

  const draw = () => {
    waiting = false
    const width = canvas.clientWidth, height = canvas.clientHeight, middle = height / 2
    const right = width - 8
    context.clearRect(0, 0, width, height)
    context.strokeStyle = colours.grid
    context.lineWidth = 1
    context.beginPath()
    for (const level of [-1, -0.5, 0, 0.5, 1]) {
      const y = Math.round(middle - (level / RANGE) * middle) + 0.5
      context.moveTo(0, y)
      context.lineTo(width, y)
    }
    context.stroke()
    if (samples.length < 2) return
    const x = (at) => (at / (samples.length - 1)) * right
    const y = (at) => middle - (samples[at] / RANGE) * middle
    const line = new Path2D()
    line.moveTo(x(0), y(0))
    for (let at = 1; at < samples.length; at++) line.lineTo(x(at), y(at))
    const area = new Path2D(line)
    area.lineTo(right, height)
    area.lineTo(0, height)
    const fade = context.createLinearGradient(0, 0, 0, height)
    fade.addColorStop(0, colours["accent-faint"])
    fade.addColorStop(1, colours["accent-none"])
    context.fillStyle = fade
    context.fill(area)
    context.strokeStyle = colours.accent
    context.lineWidth = 2
    context.lineJoin = "round"
    context.stroke(line)
    const last = samples.length - 1
    context.beginPath()
    context.arc(x(last), y(last), 5, 0, 2 * Math.PI)
    context.fillStyle = colours.accent
    context.fill()
    context.lineWidth = 2
    context.strokeStyle = colours.panel
    context.stroke()
    frames += 1
    canvas.dataset.frames = frames
  }

  const redraw = () => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(draw)
  }

  window.drawChart = (latest) => {
    samples = latest
    redraw()
  }

  new ResizeObserver(() => {
    fit()
    redraw()
  }).observe(canvas)
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours()
    redraw()
  })
  readColours()
}
