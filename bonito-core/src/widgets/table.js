const at = document.getElementById(__lookup_interpolated('id'))
if (!at) return
const view = __lookup_interpolated('view'), ends = __lookup_interpolated('ends')
const table = at.querySelector('table'), body = table.tBodies[0], heads = [...table.tHead.rows[0].cells]
const status = at.querySelector('[role=status]'), turns = [...at.querySelectorAll('.bonito-pages button')]
const ask = (payload) => Bonito.send_to_julia({ msg_type: '0', id: __lookup_interpolated('input'), payload })
const put = (node, text) => { if (node.textContent !== text) node.textContent = text }
const show = ({ rows, first, total, page, pages, status: text, sort }) => {
  while (body.rows.length > rows.length) body.deleteRow(-1)
  rows.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow()
    row.setAttribute('aria-rowindex', first + index + 2)
    cells.forEach((cell, column) => {
      const place = row.cells[column] ?? row.insertCell()
      place.classList.toggle('bonito-end', ends[column])
      put(place, cell)
    })
  })
  table.setAttribute('aria-rowcount', total + 1)
  heads.forEach((head, column) => {
    if (sort?.column === column) head.setAttribute('aria-sort', sort.down ? 'descending' : 'ascending')
    else head.removeAttribute('aria-sort')
  })
  put(status, text)
  const focused = document.activeElement
  for (const turn of turns) turn.disabled = turn.value === 'first' || turn.value === 'previous' ? page === 0 : page + 1 >= pages
  // A button that is switched off under the keyboard hands the focus to one that goes on.
  if (turns.includes(focused) && focused.disabled) turns.find((turn) => !turn.disabled)?.focus()
}
show(view.value)
view.on((now) => {
  if (over()) return false
  show(now)
})
heads.forEach((head, column) => head.querySelector('button')?.addEventListener('click', () => ask({ sort: column })))
for (const turn of turns) turn.addEventListener('click', () => ask({ turn: turn.value }))
