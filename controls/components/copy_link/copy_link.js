// A button that copies a link to the page as it is set.

const SHOWN = 2000 // milliseconds that "Copied" stands

export default function ({ parentElement, data }) {
  const row = parentElement.querySelector(".row") ?? build(parentElement, data)
  row.dataset.link = data.link
}

function build(parentElement, data) {
  const row = document.createElement("div")
  row.className = "row"
  const button = document.createElement("button")
  button.type = "button"
  button.textContent = data.title
  button.title = data.help
  const field = document.createElement("input")
  field.readOnly = true
  field.hidden = true
  field.setAttribute("aria-label", data.title)
  field.onblur = () => (field.hidden = true)
  const said = document.createElement("span")
  said.setAttribute("role", "status")
  row.append(said, field, button)
  parentElement.append(row)

  let timer
  const say = text => {
    said.textContent = text
    clearTimeout(timer)
    timer = setTimeout(() => (said.textContent = ""), SHOWN)
  }

  // where a browser refuses it, as it does to a page that came by http from another machine: an older way, and if that
  // is refused too, the link is shown and selected, to be copied by hand
  const otherwise = link => {
    field.value = link
    field.hidden = false
    field.select()
    if (document.execCommand("copy")) {
      field.hidden = true
      say(data.copied)
    } else say(data.by_hand)
  }

  button.onclick = () => {
    const link = `${location.origin}${location.pathname}?${row.dataset.link}`
    if (!navigator.clipboard) return otherwise(link)
    navigator.clipboard.writeText(link).then(() => say(data.copied), () => otherwise(link))
  }
  return row
}
