// A button that copies the page's address, which tells all that is chosen.

const SHOWN = 2000 // milliseconds that "Copied" stands

export default function ({ parentElement, data }) {
  if (parentElement.querySelector("button")) return
  const button = document.createElement("button")
  button.type = "button"
  button.textContent = data.title
  button.title = data.help
  const field = document.createElement("input")
  field.readOnly = true
  field.hidden = true
  field.setAttribute("aria-label", data.by_hand)
  field.onblur = () => (field.hidden = true)
  const said = document.createElement("span")
  said.setAttribute("role", "status")
  let timer

  const say = text => {
    said.textContent = text
    clearTimeout(timer)
    timer = setTimeout(() => (said.textContent = ""), SHOWN)
  }

  // what a browser refuses a page that did not come over https: the address is selected, to be copied by hand
  const by_hand = () => {
    field.value = window.location.href
    field.hidden = false
    field.select()
    if (document.execCommand("copy")) {
      field.hidden = true
      say(data.copied)
    } else say(data.by_hand)
  }

  button.onclick = () => {
    if (!navigator.clipboard) return by_hand()
    navigator.clipboard.writeText(window.location.href).then(() => say(data.copied), by_hand)
  }
  const row = document.createElement("div")
  row.append(said, field, button)
  parentElement.append(row)
  return () => clearTimeout(timer)
}
