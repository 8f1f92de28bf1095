"""Pictures of ten shapes, drawn from numbers alone: which shape is the one that is filled?

A class is the shape of the one filled object, at any place, size, turn and colour, before a texture, soft blobs, lines
and outlines of shapes. Nothing else tells the class: all else that is drawn is the same whatever the class, and
objects of one size have one area, their centre of mass at one place, and any of them would be inside the image there.

Image i of a seed is the same on every machine, in any batch and under any version of numpy, so that a result can be
had again without its pixels. Hence:
- Random numbers are a hash of seed, i and a count, in integers: numpy may change the stream of its Generator.
- Pixels know only operations that IEEE 754 rounds exactly (+ - * / sqrt floor min max abs), one value at a time: sums
  over an axis and products of matrices add in an order that depends on the processor.
- Sines and cosines, whose last bits depend on the library, are taken of few numbers an image, and rounded to 2**-20.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explorer.pictures.geometry import SHAPES, Floats, coarse

CLASSES = ("circle", "square", "triangle", "star", "cross", "ring", "crescent", "heart", "arrow", "hexagon")
SIZES = (16, 224)  # pixels: the least and the largest side
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601-2, as in explorer/pictures/preparation.py, which imports torch
REACH = coarse(max(SHAPES[name].reach for name in CLASSES))
BLOBS, LINES, OUTLINES = 2, 6, 2
AT_ONCE = 128 * 1024  # pixels of a chunk of images: its planes stay in the processor's cache


class Drawn(NamedTuple):
    """images (N, C, H, W) uint8; labels (N,) int64, numbers of CLASSES; masks (N, H, W): pixels over half object."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


class Pose(NamedTuple):
    """Where something is: place, size and turn, each (N, 1, 1). All lengths are parts of the image's side."""

    x: Floats
    y: Floats
    size: Floats
    cos: Floats
    sin: Floats


class Scene(NamedTuple):
    """What N images show, at any size in pixels."""

    labels: NDArray[np.int64]
    thing: Pose  # size: of the square of the object's area
    outlined: NDArray[np.int64]  # (OUTLINES, N): their shapes, drawn from all classes, so that they tell nothing
    outlines: list[Pose]
    blobs: list[Pose]
    lines: list[Pose]  # size: half the length
    widths: Floats  # (LINES + OUTLINES, N, 1, 1): half of each
    waves: Pose  # size: the wave's length
    bend: Floats  # (N, 1, 1): of the waves, in wave lengths
    noise: list[Floats]  # (N, cells + 1, cells + 1), 0..1: coarse and fine
    light: Pose
    colours: Floats  # (layers, N, 3), 0..1, in the order of painting: two for the background, two for the object


class _Dice:
    """Uniform numbers: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), each image a stream of its own."""

    STEP = np.uint64(0x9E3779B97F4A7C15)

    def __init__(self, numbers: NDArray[np.int64], seed: int) -> None:
        start = self._mixed(np.array([seed % 2**64], np.uint64) + self.STEP)
        self.streams = self._mixed(start + numbers.astype(np.uint64) * self.STEP)
        self.drawn = 0

    @staticmethod
    def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))

    def __call__(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """(N, *shape) from low to below high."""
        counts = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) + np.uint64(self.drawn)
        self.drawn += counts.size
        values = self._mixed(self.streams[:, None] + counts * self.STEP) >> np.uint64(11)
        return (low + (high - low) * (values.astype(np.float64) * 2.0**-53)).reshape(-1, *shape)

    def pose(self, least: float, most: float, reach: float = 0) -> Pose:
        """Of a size from least to most; what is within reach * size of its place is inside the image."""
        size, angle = self(least, most, 1, 1), self(0, 2 * math.pi, 1, 1)
        edge = reach * size
        x, y = (edge + (1 - 2 * edge) * self(0, 1, 1, 1) for _ in "xy")
        cos, sin = (np.rint(turn * 2.0**20) * 2.0**-20 for turn in (np.cos(angle), np.sin(angle)))
        return Pose(*(value.astype(np.float32) for value in (x, y, size, cos, sin)))

    def colour(self, luminance: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3): of this luminance (N,), of any hue, and at most 0.8 as vivid as such a colour can be."""
        luminance = np.clip(luminance, 0.03, 0.97)
        red, green, blue = (self(-1, 1) for _ in "rgb")
        grey = LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue
        hues = [red - grey, green - grey, blue - grey]
        rooms = [np.where(hue > 0, 1 - luminance, luminance) / np.maximum(np.abs(hue), 1e-6) for hue in hues]
        vivid = 0.8 * np.minimum(np.minimum(np.minimum(*rooms[:2]), rooms[2]), 1)
        return np.stack([luminance + vivid * hue for hue in hues], axis=1)


def draw(numbers: NDArray[np.int64], seed: int, size: int, channels: Literal[1, 3] = 3) -> Drawn:
    """The images of these numbers (N,) and this seed, `size` pixels high and wide; one channel is the luminance.

    Image i is of class i % 10. Raises ValueError for a size outside 16..224, and for other channels than 1 or 3.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"{size=}: shapes are drawn at {SIZES[0]} to {SIZES[1]} pixels")
    if channels not in {1, 3}:
        raise ValueError(f"{channels=}: shapes have 1 channel or 3")
    numbers = np.asarray(numbers, np.int64)
    images = np.empty((len(numbers), channels, size, size), np.uint8)
    masks = np.empty((len(numbers), size, size), np.bool_)
    step = max(1, AT_ONCE // size**2)
    for start in range(0, len(numbers), step):
        some = slice(start, start + step)
        images[some], masks[some] = _painted(scenes(numbers[some], seed), size, channels)
    return Drawn(images, numbers % len(CLASSES), masks)


def scenes(numbers: NDArray[np.int64], seed: int) -> Scene:
    """What the images of these numbers (N,) show. A new draw goes last: it moves none of those before it."""
    dice = _Dice(numbers, seed)
    # The object is lighter than the ground behind it, or darker; thin lines may come as near to it as they like.
    gap, middle = dice(0.24, 0.6) * np.where(dice(0, 1) < 0.5, 1, -1), dice(0.4, 0.6)
    own, ground = middle + gap / 2, middle - gap / 2
    behind = [ground + gap * dice(-0.5, 0.5) for _ in range(2 + BLOBS)]
    behind += [ground + gap * dice(-0.25, 1) for _ in range(LINES + OUTLINES)]
    return Scene(
        labels=numbers % len(CLASSES),
        thing=dice.pose(0.22, 0.46, REACH),
        outlined=np.floor(dice(0, len(CLASSES), OUTLINES)).astype(np.int64).T,
        outlines=[dice.pose(0.25, 0.5, reach=0.4) for _ in range(OUTLINES)],
        blobs=[dice.pose(0.15, 0.35) for _ in range(BLOBS)],
        lines=[dice.pose(0.15, 0.5) for _ in range(LINES)],
        widths=np.stack([dice(0.007, 0.025, 1, 1) for _ in range(LINES + OUTLINES)]).astype(np.float32),
        waves=dice.pose(0.25, 0.9),
        bend=dice(0, 1.5, 1, 1).astype(np.float32),
        noise=[dice(0, 1, cells + 1, cells + 1).astype(np.float32) for cells in (4, 9)],
        light=dice.pose(1, 1),
        colours=np.stack([dice.colour(tone) for tone in (*behind, own - 0.05, own + 0.05)]).astype(np.float32),
    )


def _painted(scene: Scene, size: int, channels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Images and masks, from the back to the front."""
    colours = scene.colours
    if channels == 1:  # pixels are mixtures of colours, and a mixture's luminance is that mixture of luminances
        red, green, blue = (colours[..., c] * np.float32(weight) for c, weight in enumerate(LUMINANCE))
        colours = (red + green + blue)[..., None]
    layers = iter(colours.transpose(0, 2, 1)[..., None, None])  # of each layer (C, N, 1, 1)
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = centres[None, None, :], centres[None, :, None]

    texture = _texture(scene, x, y)
    image = [_blend(one, other, texture) for one, other in zip(next(layers), next(layers), strict=True)]

    def lay(cover: Floats) -> None:
        """Over the image, where cover (N, H, W) is above 0."""
        for plane, colour in zip(image, next(layers), strict=True):
            change = colour - plane
            change *= cover
            plane += change

    for blob in scene.blobs:
        along, across = _seen_from(blob, x, y)
        soft = np.maximum(1 - along * along - 3 * (across * across), 0)
        lay(soft * soft)
    for line, width in zip(scene.lines, scene.widths[:LINES], strict=True):
        along, across = _seen_from(line, x, y)
        beyond = np.maximum(np.abs(along) - 1, 0)
        lay(_stroke(np.sqrt(beyond * beyond + across * across) * line.size, width, size))
    for kinds, outline, width in zip(scene.outlined, scene.outlines, scene.widths[LINES:], strict=True):
        lay(_stroke(np.abs(_from_edge(kinds, outline, x, y)), width, size))

    cover = np.clip(0.5 - size * _from_edge(scene.labels, scene.thing, x, y), 0, 1)
    shade = np.clip(0.5 + _seen_from(scene.light, x, y)[0], 0, 1)
    for plane, one, other in zip(image, next(layers), next(layers), strict=True):
        plane += (_blend(one, other, shade) - plane) * cover
    return np.stack([(plane * 255 + 0.5).astype(np.uint8) for plane in image], axis=1), cover > 0.5


def _seen_from(pose: Pose, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Pixels (N, H, W) in the pose's own system: its place is the origin, its size the unit, its turn undone."""
    cos, sin = pose.cos / pose.size, pose.sin / pose.size
    right, down = x - pose.x, y - pose.y
    return right * cos + down * sin, down * cos - right * sin


def _from_edge(kinds: NDArray[np.int64], pose: Pose, x: Floats, y: Floats) -> Floats:
    """Signed distances (N, H, W) from the edges of shapes of these kinds (N,), in parts of the side."""
    found = np.empty((len(kinds), y.size, x.size), np.float32)
    for kind, name in enumerate(CLASSES):
        which = np.flatnonzero(kinds == kind)
        if which.size:
            these = Pose(*(value[which] for value in pose))
            found[which] = SHAPES[name].distance(*_seen_from(these, x, y)) * these.size
    return found


def _texture(scene: Scene, x: Floats, y: Floats) -> Floats:
    """(N, H, W), 0..1: waves that coarse noise bends, and fine noise."""
    coarse_noise, fine_noise = (_smooth(noise, x.ravel()) for noise in scene.noise)
    phase = _seen_from(scene.waves, x, y)[0] + coarse_noise * scene.bend
    wave = np.abs(2 * (phase - np.floor(phase)) - 1)
    found: Floats = np.float32(0.6) * wave + np.float32(0.4) * fine_noise
    return found


def _smooth(noise: Floats, places: Floats) -> Floats:
    """Values on a grid over the image, (N, cells + 1, cells + 1), blended at these places: (N, H, W)."""
    cells = noise.shape[1] - 1
    before = np.minimum(np.floor(places * cells), cells - 1)
    part = places * cells - before
    part = part * part * (3 - 2 * part)
    left = before.astype(np.int64)
    rows = _blend(noise[:, :, left], noise[:, :, left + 1], part)
    return _blend(rows[:, left], rows[:, left + 1], part[:, None])


def _stroke(distance: Floats, half: Floats, size: int) -> Floats:
    """How much of each pixel a line covers whose middle is this far away: right for lines thinner than a pixel too."""
    covered: Floats = np.clip((half - distance) * size + 0.5, 0, 1) - np.clip((-half - distance) * size + 0.5, 0, 1)
    return covered


def _blend(one: Floats, other: Floats, part: Floats) -> Floats:
    return one + (other - one) * part
