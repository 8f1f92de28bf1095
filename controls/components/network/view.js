// What part of the drawing is seen, and how large: the wheel zooms at the pointer, dragging pans, a double click resets.

const LEAST_SCALE = 0.5 // of a drawing in a narrow window: what does not fit is panned to
const MOST_ZOOM = 12 // times the scale at which all fits
const CLICK = 4 // pixels that a pointer may move in a click

export class View {
  constructor(svg, changed) {
    this.svg = svg
    this.changed = changed
    this.size = [1, 1] // of the drawing, in its units
    this.fitted = true // until somebody zooms or pans
    this.scale = 1
    this.x = this.y = 0
    this.dragged = false
    this.pointers = new Map()
    svg.addEventListener("wheel", event => this.wheel(event), { passive: false })
    svg.addEventListener("dblclick", () => this.fit())
    svg.addEventListener("pointerdown", event => this.down(event))
    svg.addEventListener("pointermove", event => this.move(event))
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, event => this.up(event))
  }

  get box() {
    return [this.svg.clientWidth || 1, this.svg.clientHeight || 1]
  }

  // The scale at which the drawing fills the box, in a full screen also from top to bottom.
  get fitting() {
    const [width, height] = this.box
    const whole = width / this.size[0]
    if (this.full) return Math.min(whole, height / this.size[1])
    return Math.min(1.25, Math.max(LEAST_SCALE, whole))
  }

  resize(size) {
    this.size = size
    if (this.fitted) this.fit()
    else this.set(this.scale, this.x, this.y)
  }

  fit() {
    this.fitted = true
    const scale = this.fitting
    const [width, height] = this.box
    this.scale = scale
    this.x = Math.max(0, (width - this.size[0] * scale) / 2) * (this.full ? 1 : 0)
    this.y = this.full ? Math.max(0, (height - this.size[1] * scale) / 2) : 0
    this.changed()
  }

  within(scale) {
    return Math.min(MOST_ZOOM * this.fitting, Math.max(this.fitting, scale))
  }

  // At most an edge of the drawing comes to the middle of the box.
  set(scale, x, y) {
    const [width, height] = this.box
    this.scale = this.within(scale)
    const kept = (value, length, room) => Math.min(room / 2, Math.max(room / 2 - length * this.scale, value))
    this.x = kept(x, this.size[0], width)
    this.y = kept(y, this.size[1], height)
    this.changed()
  }

  zoom(factor, [x, y] = this.box.map(side => side / 2)) {
    const before = this.scale
    const scale = this.within(before * factor)
    if (scale <= this.fitting * 1.001) return this.fit()
    this.fitted = false
    this.set(scale, x - ((x - this.x) * scale) / before, y - ((y - this.y) * scale) / before)
  }

  centre([x, y], scale = Math.max(this.scale, 1.6 * this.fitting)) {
    const [width, height] = this.box
    this.fitted = false
    this.set(scale, width / 2 - x * scale, height / 2 - y * scale)
  }

  at(event) {
    const box = this.svg.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }

  wheel(event) {
    // nothing is left to zoom out of: the page scrolls
    if (event.deltaY > 0 && this.fitted) return
    event.preventDefault()
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), this.at(event))
  }

  down(event) {
    if (event.button) return
    this.pointers.set(event.pointerId, this.at(event))
    if (this.pointers.size === 1) this.dragged = false
  }

  move(event) {
    const before = this.pointers.get(event.pointerId)
    if (!before) return
    const now = this.at(event)
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1]
    if (!this.dragged && Math.hypot(now[0] - before[0], now[1] - before[1]) < CLICK) return
    this.pointers.set(event.pointerId, now)
    if (!this.dragged) this.svg.setPointerCapture(event.pointerId)
    this.dragged = true
    this.fitted = false
    if (other) {
      const apart = point => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1
      this.zoom(apart(now) / apart(before), other)
    } else this.set(this.scale, this.x + now[0] - before[0], this.y + now[1] - before[1])
  }

  up(event) {
    this.pointers.delete(event.pointerId)
  }
}
