"""Decoded targets, as numpy arrays or torch tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Targets(NamedTuple):
    """Targets of N positions with M entries; ids ascend within a position.

    Attributes:
        kind: ``scaled`` (probabilities), ``unbiased`` (weights that sum to 1 in expectation) or
            ``independent`` (probabilities that sum to nothing: sigmoid scores).
        offsets: int64 [N + 1]; position t has the entries [offsets[t], offsets[t + 1]).
        ids: uint32 [M]
        probs: float32 [M], probabilities or weights.
        rest: float32 [N], mass of everything not stored; [0] where the targets are not scaled.
        levels: uint16 [M], the stored integers; [0] where the source keeps log-probs instead.
    """

    kind: str
    offsets: np.ndarray
    ids: np.ndarray
    probs: np.ndarray
    rest: np.ndarray
    levels: np.ndarray

    def torch(self) -> Targets:
        """The same with torch tensors that share memory with the arrays; needs torch.

        Unsigned integers appear as the signed ones of their width, with which torch can index;
        where they hold values beyond those, they are copied to wider ones.
        """
        return Targets(self.kind, *(_tensor(array) for array in self[1:]))


def _tensor(array: np.ndarray) -> Any:
    import torch

    if array.dtype.kind == "u":
        signed = np.dtype(f"i{array.itemsize}")
        fits = int(array.max(initial=0)) <= np.iinfo(signed).max
        array = array.view(signed) if fits else array.astype(f"i{2 * array.itemsize}")
    return torch.from_numpy(array)
