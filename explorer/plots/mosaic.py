"""All channels of a layer as one picture: 512 charts would take a browser 21 s, one picture takes it none."""

import base64
import io
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explorer.analyses.activations import Maps
from explorer.plots.colours import GAP, SIGNED_TABLE, UNSIGNED_TABLE, paint

Picture = NDArray[np.uint8]  # (H, W, 3)

MOST_TILES = 256  # on one page of a mosaic
OVERLAY = 320  # pixels: browsers blur what they enlarge


class Mosaic(NamedTuple):
    """`tile` is a map's side in the picture in pixels, `columns` how many stand in a row; the gap is 1 pixel."""

    picture: Picture
    tile: tuple[int, int]
    columns: int
    signed: bool
    reach: NDArray[np.float64]  # the number with the full colour, for each map


def reaches(maps: Maps, each: bool) -> NDArray[np.float64]:
    """The number with the full colour: the largest finite absolute value, of the layer or of each channel; (C,)."""
    finite = np.where(np.isfinite(maps), np.abs(maps), 0)
    largest = finite.reshape(len(maps), -1).max(1).astype(np.float64)
    return largest if each else np.full(len(maps), largest.max(initial=0.0))


def is_signed(maps: Maps) -> bool:
    return bool((maps < 0).any())


def mosaic(maps: Maps, reach: NDArray[np.float64] | float, signed: bool, width: int = 1000, columns: int = 0) -> Mosaic:
    """(C, H, W), at most MOST_TILES of them -> one picture about `width` pixels wide, row by row.

    Maps are enlarged by whole numbers, or made smaller by dropping pixels, so that no colour is mixed.
    """
    if not 0 < len(maps) <= MOST_TILES:
        raise ValueError(f"{len(maps)} maps do not fit in a mosaic of 1 to {MOST_TILES}")
    columns = columns or _columns(len(maps))
    reach = np.broadcast_to(reach, len(maps))
    tiles = resize(paint(maps, reach[:, None, None], signed), (width - 1) // columns - 1)
    _, h, w, _ = tiles.shape
    rows = math.ceil(len(maps) / columns)
    picture = np.empty((rows * (h + 1) + 1, columns * (w + 1) + 1, 3), np.uint8)
    picture[:] = GAP
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (h + 1) + 1, (i % columns) * (w + 1) + 1
        picture[y : y + h, x : x + w] = tile
    return Mosaic(picture, (h, w), columns, signed, reach)


def _columns(count: int) -> int:
    """About 1.6 times as many columns as rows; a divisor of the count where one is near, so that no tile is left."""
    ideal = math.sqrt(1.6 * count)
    even = [c for c in range(1, count + 1) if count % c == 0 and ideal / 1.5 <= c <= ideal * 1.5]
    return min(even, key=lambda c: abs(c - ideal)) if even else min(count, math.ceil(ideal))


def resize(tiles: Picture, side: int) -> Picture:
    """(..., H, W, 3) to about `side` pixels wide: each pixel repeated, or every n-th kept."""
    w = tiles.shape[-2]
    if w <= side:
        times = max(1, side // w)
        return tiles.repeat(times, -3).repeat(times, -2)
    step = math.ceil(w / max(1, side))
    return np.ascontiguousarray(tiles[..., ::step, ::step, :])


def components_picture(components: Maps, side: int) -> Picture:
    """Three principal components (3, H, W), in standard deviations of the first, as red, green, blue; grey is zero."""
    rgb = np.clip(127.5 + components * 51, 0, 255).round().astype(np.uint8)  # 2.5 deviations reach the full colour
    return resize(np.moveaxis(rgb, 0, -1), side)


def overlay(image: Picture, one: Picture, opacity: float) -> Picture:
    """A painted map (h, w, 3) over the grey image (H, W, 3) or (H, W, 1): (nH, nW, 3), small ones enlarged n times."""
    image = resize(image, max(image.shape[1], OVERLAY))
    grey = np.asarray(Image.fromarray(image.squeeze()).convert("L").convert("RGB"), np.float32)
    h, w, _ = grey.shape
    large = np.asarray(Image.fromarray(one).resize((w, h), Image.Resampling.NEAREST), np.float32)
    return ((1 - opacity) * grey + opacity * large).round().astype(np.uint8)


def png(picture: Picture) -> bytes:
    """As a file; with a palette where the picture has only painted colours, which is a third of the bytes."""
    image = Image.fromarray(picture.squeeze())
    for table in (UNSIGNED_TABLE, SIGNED_TABLE) if picture.shape[-1] == 3 else ():
        palette = np.concatenate([table, GAP[None]])
        order = np.argsort(_packed(palette), kind="stable")
        known = _packed(palette)[order]
        if not np.isin(_packed(picture[::8, ::8]), known).all():  # a photograph, or the other table: soon seen
            continue
        colours = _packed(picture)
        at = np.minimum(np.searchsorted(known, colours), len(known) - 1)
        if (known[at] == colours).all():
            image = Image.fromarray(order[at].astype(np.uint8), "P")
            image.putpalette(palette.tobytes())
            break
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def data_url(picture: Picture) -> str:
    """As a link that carries the whole PNG: nothing that a server could have thrown away when it is fetched."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def _packed(colours: Picture) -> NDArray[np.int32]:
    """(..., 3) -> (...): each colour as one number."""
    packed: NDArray[np.int32] = colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    return packed
