// The drawing as a file, in the page's colours.

const SHARPER = 2 // pixels of a PNG for one on the screen
const STYLES = ["fill", "stroke", "stroke-width", "stroke-opacity", "fill-opacity", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order", "stroke-dasharray"]

export function save(svg, name, form) {
  const copy = svg.cloneNode(true)
  const originals = svg.querySelectorAll("*")
  copy.querySelectorAll("*").forEach((part, i) => {
    const style = getComputedStyle(originals[i])
    for (const one of STYLES) part.style.setProperty(one, style.getPropertyValue(one))
  })
  const { width, height } = svg.getBoundingClientRect()
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg")
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`)
  copy.setAttribute("width", width)
  copy.setAttribute("height", height)
  copy.style.background = getComputedStyle(svg.closest(".root")).backgroundColor
  const text = new XMLSerializer().serializeToString(copy)
  if (form === "svg") return download(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`)
  const image = new Image()
  image.onload = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: width * SHARPER, height: height * SHARPER })
    const context = canvas.getContext("2d")
    context.scale(SHARPER, SHARPER)
    context.drawImage(image, 0, 0)
    canvas.toBlob(blob => download(blob, `${name}.png`))
  }
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}
