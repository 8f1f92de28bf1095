// Where nodes and edges are: the geometry of a scene, on the way from one scene to the next.

const BEHIND = 8 // a shortcut round a closed block ends so far behind it, where its add is

// What moves when a scene gives way to another.
export const measures = node => [node.x, node.y, node.width, node.height, node.gathered]

export const between = (from, to, share) => to.map((value, i) => from[i] + (value - from[i]) * share)

export const tallest = ([, , , height, gathered]) => Math.max(height, gathered)

// Where an edge goes, as SVG has it. `where` are the measures of all nodes; `apex` is the height of its arc, null for a
// straight line.
export function path([source, target, , apex, behind], where, rooms) {
  const from = where[source], to = where[target]
  if (apex === null) {
    const [x, y] = [from[0] + from[2] / 2, from[1]]
    return to[1] === from[1]
      ? `M${n(x)} ${n(y)}H${n(to[0] - to[2] / 2)}`
      : `M${n(from[0])} ${n(from[1])}L${n(to[0])} ${n(to[1])}`
  }
  const hangs = apex > to[1] ? 1 : -1
  const start = [from[0], from[1] + (hangs * tallest(from)) / 2]
  const end = behind ? joint(to, rooms[target]) : [to[0], to[1] + (hangs * tallest(to)) / 2]
  // the middle of a cubic whose two handles have the height c is at (y1 + y2 + 6 c) / 8
  const handle = (8 * apex - start[1] - end[1]) / 6
  const inset = (end[0] - start[0]) * 0.08
  return `M${n(start[0])} ${n(start[1])}C${n(start[0] + inset)} ${n(handle)} ${n(end[0] - inset)} ${n(handle)} ${n(end[0])} ${n(end[1])}`
}

// The place of a closed block's add.
export const joint = ([x, y, width], room) => [x + Math.min(width / 2 + BEHIND, (width + room) / 4 + width / 4), y]

const n = value => Math.round(value * 10) / 10
