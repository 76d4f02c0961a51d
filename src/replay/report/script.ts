/**
 * All that moves in the page: it shows the levels of the chosen source only. Without scripts, those of all
 * are there, one below the other.
 */
export const SCRIPT = `
const chooser = document.querySelector('.chooser')
if (chooser) {
  const choice = chooser.querySelector('select')
  const show = () => {
    for (const each of document.querySelectorAll('[data-source]')) each.hidden = each.dataset.source !== choice.value
  }
  choice.addEventListener('change', show)
  chooser.hidden = false
  show()
}
`
