controls[0].addEventListener('click', () => send(null))
