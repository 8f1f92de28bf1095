// The drawing itself, as SVG: edges, nodes, and what is written at them. It moves from one scene to the next.

import { between, joint, measures, path, tallest } from "./shapes.js"

const SVG = "http://www.w3.org/2000/svg"
const MOVING = 350 // milliseconds
const SEEN = 40 // of them are over in the first picture, so that something moves at once on a busy page
const LETTER = 6.1 // pixels that a letter is wide

export function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

export class Picture {
  constructor(svg) {
    this.svg = svg
    this.world = element("g")
    this.edges = element("g", { class: "edges all" })
    this.lit = element("g", { class: "edges" })
    this.lines = element("g")
    this.nodes = element("g")
    this.labels = element("g", { class: "labels halo" })
    this.world.append(this.edges, this.lit, this.lines, this.nodes)
    svg.append(this.world, this.labels)
    this.made = new Map() // id -> the node's group of shapes
    this.where = [] // measures of each node, as drawn now
    this.own = [] // edges of the node that is pointed at, or selected
  }

  // Draws a scene; from the one before it moves there. `anew`: it is another network, so that what it has more is marked.
  show(scene, anew) {
    const before = this.scene && new Map(this.scene.nodes.map((node, i) => [key(node), [node, this.where[i]]]))
    this.scene = scene
    this.own = []
    this.rooms = scene.nodes.map(node => node.room)
    const targets = scene.nodes.map(measures)
    const starts = scene.nodes.map((node, i) => {
      const known = before?.get(key(node))
      if (known) return known[1]
      const [x, y, width] = targets[i]
      return before ? [x, y, width, 0, 0] : targets[i]
    })
    this.makeNodes(before, anew)
    this.makeEdges()
    this.makeLines()
    cancelAnimationFrame(this.frame)
    const still = !before || window.matchMedia("(prefers-reduced-motion: reduce)").matches
    const began = performance.now() - SEEN
    const step = now => {
      const share = still ? 1 : Math.min(1, Math.max(0, (now - began) / MOVING))
      const eased = 1 - (1 - share) ** 3
      this.where = share === 1 ? targets : targets.map((to, i) => between(starts[i], to, eased))
      this.place()
      if (share < 1) this.frame = requestAnimationFrame(step)
    }
    step(began + SEEN)
  }

  makeNodes(before, anew) {
    const kept = new Map()
    for (const node of this.scene.nodes) {
      const name = key(node)
      const group = this.made.get(name) ?? this.makeNode(node)
      kept.set(name, group)
      const known = before?.get(name)?.[0]
      const moved = known && ["width", "height", "gathered", "times"].some(one => Math.abs(known[one] - node[one]) > 0.2)
      group.classList.remove("flash")
      if (anew && before && (moved || !known)) {
        void group.getBoundingClientRect() // so that the same animation begins again
        group.classList.add("flash")
      }
      group.classList.toggle("changed", node.changed)
      group.querySelector(".body").setAttribute("fill", node.fill)
      for (const rest of group.querySelectorAll(".behind")) rest.setAttribute("fill", node.fill)
      group.setAttribute("aria-label", `${node.labels[0]}: ${node.says.slice(1).join(", ")}`)
    }
    for (const [name, group] of this.made) if (!kept.has(name)) group.remove()
    this.made = kept
    // in the order of the scene, in which the keyboard walks through them
    this.nodes.append(...kept.values())
    this.groups = this.scene.nodes.map(node => kept.get(key(node)))
  }

  makeNode(node) {
    const group = element("g", { class: `node ${node.level}`, "data-id": node.id, role: "button", tabindex: "-1" })
    const tint = { class: "gathered", fill: this.scene.gathered, stroke: this.scene.gathered }
    group.append(
      element("rect", { class: "behind" }),
      element("rect", { class: "behind" }),
      element("rect", tint),
      element("rect", { class: "body", rx: 1 }),
      element("rect", { class: "ring", rx: 2 }),
      // a thin node can be hit all the same
      element("rect", { class: "hit", fill: "transparent" }),
    )
    return group
  }

  makeEdges() {
    const byRole = new Map(this.scene.roles.map(role => [role.role, { ...role, edges: [] }]))
    for (const edge of this.scene.edges) byRole.get(edge[2]).edges.push(edge)
    this.roles = [...byRole.values()]
    for (const role of this.roles) {
      const many = role.edges.length
      role.path = element("path", {
        stroke: role.colour,
        "stroke-dasharray": role.dash,
        "stroke-width": many < 60 ? 1.8 : many < 300 ? 1 : 0.7,
        opacity: Math.max(0.5, 1 - many / 900),
      })
    }
    this.joints = element("path", { stroke: "#D55E00", "stroke-width": 1.5 })
    this.edges.replaceChildren(...this.roles.map(role => role.path), this.joints)
  }

  makeLines() {
    const lines = this.scene.frames.map(({ begin, end, y }) =>
      element("line", { class: "line", x1: begin, x2: end, y1: y, y2: y }),
    )
    this.lines.replaceChildren(...lines)
  }

  // Everything, where it is now.
  place() {
    const { where, rooms } = this
    this.groups.forEach((group, i) => placeNode(group, where[i], this.scene.nodes[i], rooms[i]))
    for (const role of this.roles)
      role.path.setAttribute("d", role.edges.map(edge => path(edge, where, rooms)).join(""))
    const joints = this.scene.edges.filter(edge => edge[4]).map(edge => joint(where[edge[1]], rooms[edge[1]]))
    const plus = ([x, y]) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0M${x - 4} ${y}h8M${x} ${y - 4}v8`
    this.joints.setAttribute("d", joints.map(plus).join(""))
    this.drawLit()
  }

  // The edges of one node stand out, and what they lead to.
  light(index, how) {
    this.svg.classList.toggle("pointed", index !== undefined && how === "pointed")
    this.svg.classList.toggle("pinned", index !== undefined && how === "pinned")
    this.own = index === undefined ? [] : this.scene.edges.filter(edge => edge[0] === index || edge[1] === index)
    const near = new Set([index, ...this.own.flatMap(edge => [edge[0], edge[1]])])
    this.groups.forEach((group, i) => group.classList.toggle("near", near.has(i)))
    this.drawLit()
  }

  drawLit() {
    const paths = this.own.map(edge => {
      const { colour, dash } = this.roles.find(role => role.role === edge[2])
      const d = path(edge, this.where, this.rooms)
      return element("path", { d, stroke: colour, "stroke-dasharray": dash, "stroke-width": 2.6 })
    })
    this.lit.replaceChildren(...paths)
  }

  // Texts keep their size, whatever the scale: the closer one looks, the more there is room for.
  write({ scale, x, y }) {
    this.world.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`)
    const at = (px, py) => [px * scale + x, py * scale + y]
    const texts = []
    const put = (text, [px, py], kind, attributes = {}) =>
      texts.push(element("text", { x: px, y: py, class: kind, ...attributes }, text))
    const blocks = blockLabels(this.scene.nodes, scale)
    for (const node of this.scene.nodes) {
      const fits = (text, room = node.room) => text.length * LETTER <= room * scale
      const top = node.y - Math.max(node.height, node.gathered) / 2
      if (node.level === "port") {
        put(node.labels[0], at(node.x - 6, node.y).map((value, i) => value + 4 * i), "", { "text-anchor": "end" })
        continue
      }
      const under = at(node.x, node.foot || node.y + Math.max(node.height, node.gathered) / 2)
      const label = node.level === "block" ? blocks(node) : node.labels.find(text => fits(text))
      if (label && node.lane <= 0) put(label, [under[0], under[1] + 11], "middle")
      if (node.shape && node.shape.length * 5.6 <= node.over * scale) {
        const middle = at(node.x - node.room / 2 + node.over / 2, 0)[0]
        put(node.shape, [middle, under[1] + 24], "middle shape")
      }
      if (node.times > 1 && fits(`×${node.times}`)) put(`×${node.times}`, [under[0], at(0, top)[1] - 6], "middle strong")
      else if (node.glyph && fits(node.glyph)) put(node.glyph, [under[0], at(0, top)[1] - 3], "middle strong")
    }
    for (const { id, title, begin, end, y: line } of this.scene.frames) {
      const [px, py] = at(begin, line)
      const room = (end - begin) * scale
      const text = [title, title.split(" ").at(-1)].find(one => (one.length + 2) * LETTER <= room) ?? ""
      const close = { "data-close": id, role: "button", "aria-label": `close ${title}` }
      // drawn, since fonts may lack it
      texts.push(element("path", { d: `M${px} ${py + 5}h8l-4 6z`, class: "title", ...close }))
      put(text, [px + 11, py + 12], "title", close)
    }
    for (const [first, second] of this.scene.lanes) {
      put("first pass", [4, at(0, first)[1] - (this.scene.ruler.height * scale) / 2 - 8], "shape")
      put("second pass", [4, at(0, second)[1] + 4], "shape")
    }
    this.labels.replaceChildren(...texts, ...this.ruler(at, scale))
  }

  // How many channels are how high.
  ruler(at, scale) {
    const { text, height } = this.scene.ruler
    const first = this.scene.nodes.find(node => node.level !== "port")
    const [x, y] = at(46, first.y)
    const half = (height * scale) / 2
    const bar = element("path", { d: `M${x - 4} ${y - half}h8M${x} ${y - half}V${y + half}M${x - 4} ${y + half}h8`, class: "line", fill: "none" })
    const word = element("text", { class: "middle shape", transform: `translate(${x - 8} ${y}) rotate(-90)` }, text)
    return [bar, word]
  }
}

// How closed blocks are labelled: all by their whole names, or by their numbers, or every second, fifth, tenth of them.
function blockLabels(nodes, scale) {
  const closed = nodes.filter(node => node.level === "block")
  const fits = (which, every = 1) => closed.every(({ labels, room }) => labels.at(which).length * LETTER + 3 <= room * scale * every)
  if (fits(0)) return node => node.labels[0]
  const every = [1, 2, 5, 10, 20, 50].find(one => fits(-1, one))
  return node => (every === 1 || Number(node.labels.at(-1)) % every === 0 ? node.labels.at(-1) : "")
}

// Ports of one operation stand in several rows.
const key = node => (node.level === "port" ? `${node.id} at ${node.y}` : `${node.level} ${node.id}`)

function placeNode(group, measured, node, room) {
  const [x, y, width, height, gathered] = measured
  const [last, rest, around, body, ring, hit] = group.children
  const put = (rect, w, h, dx = 0) => {
    rect.setAttribute("x", x - w / 2 + dx)
    rect.setAttribute("y", y - h / 2 - dx)
    rect.setAttribute("width", Math.max(0, w))
    rect.setAttribute("height", Math.max(0, h))
  }
  const stacked = node.times > 1
  put(last, stacked ? width : 0, stacked ? height : 0, 6)
  put(rest, stacked ? width : 0, stacked ? height : 0, 3)
  put(around, gathered ? width : 0, gathered)
  put(body, width, height)
  put(ring, width + 7, tallest(measured) + 7)
  put(hit, Math.max(width, Math.min(room, 24)), Math.max(tallest(measured), 24))
}
