"""Photographs that need no upload."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from explorer.pictures.reading import Picture, PictureError, read_picture, short_name

SAMPLES: Mapping[str, str] = MappingProxyType(  # public photographs that scikit-image's wheel contains
    {
        "Cat (Chelsea)": "chelsea.png",
        "Coffee": "coffee.png",
        "Astronaut": "astronaut.png",
        "Rocket": "rocket.jpg",
        "Motorcycle": "motorcycle_left.png",
        "Galaxies (Hubble)": "hubble_deep_field.jpg",
    }
)


@lru_cache(maxsize=len(SAMPLES))
def sample(label: str) -> Picture:
    """The sample photograph of this label. Raises PictureError for another label, or where it is missing."""
    if label not in SAMPLES:
        raise PictureError(f'There is no sample "{short_name(label)}": choose {", ".join(SAMPLES)}.')
    package = find_spec("skimage")  # not imported: that takes as long as reading the picture
    file = Path(package.origin).with_name("data") / SAMPLES[label] if package and package.origin else None
    if file is None or not file.is_file():
        raise PictureError(f'The sample "{label}" is not here: install scikit-image, or upload a picture.')
    return read_picture(file.read_bytes(), file.name)
