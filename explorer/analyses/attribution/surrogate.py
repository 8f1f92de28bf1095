"""The linear model that LIME and Kernel SHAP fit to the score of changed images."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Surrogate:
    """Weighted least squares with an intercept, in closed form; with the methods of captum's Model.

    `ridge` is the weight of the squared coefficients, without the intercept's. Where samples are too few to decide,
    the coefficients are the smallest that fit.
    """

    def __init__(self, ridge: float = 0) -> None:
        self.ridge = ridge
        self.coefficients = torch.empty(0)

    def fit(self, train_data: Any, **_: object) -> None:
        (features, values, weights), *_ = train_data
        x, y, w = (t.double().cpu().numpy() for t in (features, values, weights))
        # centred, so that the intercept needs no column, which the ridge would shrink too
        x, y, root = x - np.average(x, 0, w), y - np.average(y, 0, w), np.sqrt(w)[:, None]
        count = x.shape[1]
        rows = np.vstack([x * root, self.ridge**0.5 * np.eye(count)])
        solved = np.linalg.lstsq(rows, np.concatenate([y * root[:, 0], np.zeros(count)]), rcond=None)[0]
        self.coefficients = torch.from_numpy(solved)

    def representation(self) -> Tensor:
        return self.coefficients

    def __call__(self, x: Tensor) -> Tensor:
        return x.to(self.coefficients) @ self.coefficients
