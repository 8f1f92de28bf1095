"""The names under which pictures were found before they had a file for each step."""

from explorer.pictures.preparation import Preparation, as_seen, standard_preparation, to_tensor
from explorer.pictures.reading import Picture, PictureError, read_picture
from explorer.pictures.samples import SAMPLES, sample

__all__ = [
    "SAMPLES",
    "Picture",
    "PictureError",
    "Preparation",
    "as_seen",
    "read_picture",
    "sample",
    "standard_preparation",
    "to_tensor",
]
