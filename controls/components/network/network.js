// The drawing of a network: seen as a whole or close by, searched, walked through by mouse, touch or keyboard, saved.

import { element, Picture } from "./picture.js"
import { save } from "./save.js"
import { View } from "./view.js"

const drawings = new WeakMap() // of each place on the page

export default function ({ parentElement, data, setTriggerValue }) {
  let drawing = drawings.get(parentElement)
  if (!drawing) drawings.set(parentElement, (drawing = new Drawing(parentElement)))
  drawing.clicked = id => setTriggerValue("clicked", id)
  drawing.update(data)
}

class Drawing {
  constructor(place) {
    this.root = html("div", { className: "root" })
    this.svg = element("svg", { role: "group" })
    this.legend = html("div", { className: "legend" })
    this.says = html("div", { className: "says", hidden: true })
    this.root.append(this.tools(), this.svg, this.legend, this.says)
    place.append(this.root)
    this.picture = new Picture(this.svg)
    this.view = new View(this.svg, () => this.picture.scene && this.picture.write(this.view))
    this.listen()
    new ResizeObserver(([{ contentRect }]) => {
      const narrower = contentRect.width !== this.width
      this.width = contentRect.width
      if (this.data && narrower) this.size() // its height follows the width, and needs no answer
    }).observe(this.root)
  }

  tools() {
    this.search = html("input", { type: "search", placeholder: "Find an operation", ariaLabel: "Find an operation by name" })
    this.count = html("output")
    const button = (text, title, onclick, more = {}) =>
      html("button", { type: "button", textContent: text, title, onclick, ...more })
    return html(
      "div",
      { className: "tools" },
      this.search,
      this.count,
      button("−", "Zoom out", () => this.view.zoom(1 / 1.5), { className: "apart", ariaLabel: "Zoom out" }),
      button("+", "Zoom in, as the wheel does", () => this.view.zoom(1.5), { ariaLabel: "Zoom in" }),
      button("Reset", "See all of it, as after a double click", () => this.view.fit()),
      button("Full screen", "Draw it as large as the screen; Escape ends it", () => this.fullscreen()),
      button("SVG", "Save as SVG", () => save(this.svg, this.data.name, "svg")),
      button("PNG", "Save as PNG", () => save(this.svg, this.data.name, "png")),
    )
  }

  update(data) {
    const anew = this.data && this.data.network !== data.network
    this.data = { ...data, scene: JSON.parse(data.scene) }
    this.svg.setAttribute("aria-label", data.title)
    this.picture.show(this.data.scene, anew)
    this.size()
    this.mark()
    this.explain()
    this.walk(0, false)
  }

  // As high as the drawing at the scale at which it fills the width; a full screen has its own height.
  size() {
    this.view.full = this.full
    const [, height] = this.data.scene.size
    this.svg.style.height = this.full ? "" : `${Math.ceil(height * this.view.fitting)}px`
    this.view.resize(this.data.scene.size)
  }

  get full() {
    return this.root.getRootNode().fullscreenElement === this.root
  }

  fullscreen() {
    if (this.full) document.exitFullscreen()
    else this.root.requestFullscreen()
  }

  // The one selected, whatever shows it.
  mark() {
    const { selected } = this.data
    this.pinned = selected ? this.data.scene.nodes.findIndex(node => holds(node, selected)) : -1
    this.picture.groups.forEach((group, i) => group.classList.toggle("selected", i === this.pinned))
    this.point()
    this.find()
  }

  // The node under the pointer, or with the focus; without one the one selected.
  point(index, at) {
    const pinned = this.pinned >= 0 ? this.pinned : undefined
    this.picture.light(index ?? pinned, index === undefined ? "pinned" : "pointed")
    this.says.hidden = index === undefined
    if (index === undefined) return
    const [name, ...lines] = this.data.scene.nodes[index].says
    this.says.replaceChildren(html("b", { textContent: name }), ...lines.flatMap(line => [line, html("br")]))
    const box = this.root.getBoundingClientRect()
    const node = this.picture.groups[index].getBoundingClientRect()
    const [x, y] = at ? [at[0] - box.left, at[1] - box.top] : [node.right - box.left, node.bottom - box.top]
    this.says.style.left = `${Math.max(0, Math.min(x + 14, box.width - this.says.offsetWidth - 4))}px`
    this.says.style.top = `${y + 16}px`
  }

  // Marks what has the text in its name, and brings the first of it, or the next, to the middle.
  find(next = false) {
    const text = this.search.value.trim().toLowerCase()
    const { nodes } = this.data.scene
    const named = node => node.id.toLowerCase().includes(text) || node.holds.some(name => name.toLowerCase().includes(text))
    const found = text ? nodes.flatMap((node, i) => (node.level !== "port" && named(node) ? [i] : [])) : []
    this.picture.groups.forEach((group, i) => group.classList.toggle("found", found.includes(i)))
    this.turn = next ? (this.turn + 1) % (found.length || 1) : this.turn ?? 0
    this.count.textContent = !text ? "" : found.length ? `${Math.min(this.turn, found.length - 1) + 1} of ${found.length}` : "not found"
    return found
  }

  listen() {
    const { svg } = this
    const index = event => {
      const group = event.target.closest?.(".node")
      return group ? this.picture.groups.indexOf(group) : -1
    }
    svg.addEventListener("pointermove", event => {
      const i = index(event)
      this.point(i < 0 || this.view.pointers.size ? undefined : i, [event.clientX, event.clientY])
    })
    svg.addEventListener("pointerleave", () => this.point())
    svg.addEventListener("click", event => {
      if (this.view.dragged || event.detail > 1) return // the second of a double click, which shows all again
      const close = event.target.closest?.("[data-close]")
      if (close) this.clicked(close.dataset.close)
      else if (index(event) >= 0) this.click(index(event))
    })
    svg.addEventListener("focusin", event => index(event) >= 0 && event.target.matches(":focus-visible") && this.point(index(event)))
    svg.addEventListener("focusout", () => this.point())
    svg.addEventListener("keydown", event => this.key(event, index(event)))
    this.search.addEventListener("input", () => {
      this.turn = 0
      this.point()
      this.centre(this.find())
    })
    this.search.addEventListener("keydown", event => {
      event.stopPropagation() // Streamlit has keys of its own
      if (event.key === "Enter") this.centre(this.find(true))
    })
    this.root.addEventListener("fullscreenchange", () => this.size())
  }

  centre(found) {
    if (!found.length) return
    const { x, y } = this.data.scene.nodes[found[Math.min(this.turn, found.length - 1)]]
    this.view.centre([x, y])
  }

  click(i) {
    const node = this.data.scene.nodes[i]
    if (node.level !== "port") this.clicked(node.id)
  }

  key(event, i) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }
    const zooms = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 }
    if (event.key in steps) this.walk(Math.min(this.picture.groups.length - 1, Math.max(0, this.current + steps[event.key])))
    else if (event.key in zooms) this.view.zoom(zooms[event.key])
    else if (event.key === "0") this.view.fit()
    else if (event.key === "Escape") this.point()
    else if ((event.key === "Enter" || event.key === " ") && i >= 0) this.click(i)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  // One node can be reached by the tabulator, all others from there by arrows.
  walk(to, focus = true) {
    this.picture.groups.forEach((group, i) => group.setAttribute("tabindex", i === to ? "0" : "-1"))
    this.current = to
    if (focus) this.picture.groups[to].focus({ preventScroll: true, focusVisible: true })
    if (focus && !this.view.fitted) this.view.centre([this.data.scene.nodes[to].x, this.data.scene.nodes[to].y], this.view.scale)
  }

  explain() {
    const { roles, keys, bar, nodes } = this.data.scene
    const line = ({ colour, dash }) =>
      element("svg", { width: 26, height: 8 }, element("path", { d: "M0 4H26", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }))
    const square = (colour, opacity = 1) =>
      element("svg", { width: 10, height: 10 }, element("rect", { width: 10, height: 10, fill: colour, "fill-opacity": opacity }))
    const entries = roles.map(role =>
      html("span", {}, line(role), role.count > 1 ? `${role.title} (${role.count.toLocaleString("en")})` : role.title),
    )
    if (nodes.some(node => node.gathered)) entries.push(html("span", {}, square(this.data.scene.gathered, 0.4), "gathered by a concat inside"))
    entries.push(...keys.map(({ title, colour }) => html("span", {}, square(colour), title)))
    if (bar) entries.push(html("span", {}, ...scale(bar)))
    entries.push(html("span", {}, "height: channels · width: root of the map's side"))
    this.legend.replaceChildren(...entries)
  }
}

const holds = (node, name) => node.level !== "port" && (node.id === name || node.holds.includes(name))

// The shades of a cost, with numbers.
function scale({ title, colours, ticks }) {
  const width = 160
  const stops = colours.map((colour, i) => element("stop", { offset: i / (colours.length - 1), "stop-color": colour }))
  const id = `shades-${Math.random().toString(36).slice(2)}`
  const drawn = element("svg", { width: width + 40, height: 26 })
  drawn.append(
    element("linearGradient", { id }, ...stops),
    element("rect", { x: 10, width, height: 10, fill: `url(#${id})`, stroke: "#999" }),
    ...ticks.map(({ at, text }) => element("text", { x: 10 + at * width, y: 23, class: "middle shape" }, text)),
  )
  return [`${title}:`, drawn]
}

function html(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes)
  made.append(...children)
  return made
}
