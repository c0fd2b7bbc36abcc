"""One batch of a plan's step, as numpy arrays or torch tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

#: What metadata say of a step; ranks of a plan without replicas leave the last one out.
PLACE = ("plan", "epoch", "step", "rank", "world", "replicate")


class TargetSet(NamedTuple):
    """One teacher's targets as a batch has them.

    Attributes:
        kind: ``scaled``, ``unbiased`` or ``independent``; see Targets.
        codec: how they are stored.
        temperature: of the probabilities; ``temperature_exact`` is False where it was approximated.
        log_z: the extra temperatures T of the columns of ``{name}_log_z``, log Σ exp(logp / T).
        step, tau: what levels are read with; None where the set has none.
        vocabulary: V, the size of what the set is over: its own classes, or those of the batch.
        classes: their names, where they have any.
        own_space: whether it is over classes of its own, which the batch's hard labels are not of.
    """

    name: str
    kind: str
    codec: str
    temperature: float
    temperature_exact: bool
    log_z: tuple[float, ...]
    step: float | None
    tau: float | None
    vocabulary: int = 0
    classes: tuple[str, ...] = ()
    own_space: bool = False


@dataclass(frozen=True)
class Batch:
    """B samples of one rank at one step; every check has passed before a Batch exists.

    Arrays of every layout: ``sample_id`` uint8 [B, 16]; ``pad`` bool [B], true for a repeated
    sample of weight 0 that fills the last step. Of plans of several streams ``stream`` uint16 [B];
    of packs ``pack``, ``offset``, ``first_position``, ``sample_positions`` int32 [B]: a row is a
    run of positions of one sample, and ``packs()`` lays rows into their packs.

    Layouts ``frames`` and ``plain``, N positions and M entries in all:
        ``offsets`` int64 [B + 1], sample b has the positions [offsets[b], offsets[b + 1]);
        ``tokens`` int32 [N]; ``mask`` bool [N], position t's target concerns token t + 1;
        for each target set, ``teacher`` by default: ``teacher_offsets`` int64 [N + 1],
        ``teacher_ids`` uint32 [M], ``teacher_probs`` float32 [M], ``teacher_rest`` float32 [N],
        ``teacher_label_logprob`` float16 [N], ``teacher_log_z`` float32 [N, temperatures].

    Layout ``dense``, samples padded to L positions, k entries a position in rank order:
        ``length`` int32 [B]; ``tokens`` int32 [B, L]; ``mask`` bool [B, L];
        ``teacher_ids`` int32 [B, L, k]; ``teacher_logprobs`` float16 or float32 [B, L, k];
        ``teacher_rest``, ``teacher_label_logprob`` float32 [B, L].

    Batches of images have ``mask`` and their input fields in place of ``tokens``, [N] or [B, L]:
        ``hard_label`` int32 (−100: none), ``geometry`` float32 [N, 4], ``augmentation_seed``
        uint64 and each parameter of the augmentation pipeline as ``augmentation_{name}``; and
        ``images``. A target set may have classes of its own (``target_sets[name].vocabulary``).

    Attributes:
        layout: ``frames``, ``plain`` or ``dense``; ``packs`` after ``packs()``.
        rows: B, which may be 0 on some ranks of an epoch's last step.
        vocabulary: V, the size of the label space.
        target_sets: by name.
        arrays: the arrays above by name; numpy, or torch after ``torch()``.
        metadata: schema metadata as sent, and ``logitcask.replicate`` where it was asked for.
    """

    layout: str
    rows: int
    vocabulary: int
    target_sets: Mapping[str, TargetSet]
    arrays: Mapping[str, Any]
    metadata: Mapping[str, str]
    _meta: pa.Array
    _refs: pa.Array | None = None

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    @property
    def meta(self) -> list[dict[str, Any]]:
        """The JSON object of each sample: source document, prompt, settings."""
        return [json.loads(text) for text in self._meta.to_pylist()]

    @property
    def images(self) -> list[dict[str, str]]:
        """``{sha256, uri}`` of each sample's image; empty for texts."""
        return [] if self._refs is None else [json.loads(text) for text in self._refs.to_pylist()]

    @property
    def augmentation_pipeline(self) -> str | None:
        """SHA-256 (hex) of the description by which augmentations were drawn."""
        return self.metadata.get("logitcask.augmentation_pipeline")

    @property
    def place(self) -> dict[str, Any]:
        """``{plan, epoch, step, rank, world, replicate}`` of a plan's step."""
        plan, *numbers = (self.metadata.get(f"logitcask.{key}") for key in PLACE)
        return {"plan": plan, **{key: int(n or 1) for key, n in zip(PLACE[1:], numbers)}}

    @property
    def cursor(self) -> dict[str, Any]:
        """The state of a LogitDataset once this batch was used: ``{plan, epoch, step}``.

        Whatever fetches ahead of a loop (a DataLoader's workers, Accelerate), the cursor of the
        batch that it trained on last says where to go on.
        """
        place = self.place
        return {"plan": place["plan"], "epoch": place["epoch"], "step": place["step"] + 1}

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def torch(self, *, pin_memory: bool = False, device: Any = None) -> Batch:
        """The same batch with tensors, which share memory with the arrays.

        torch has few operations for unsigned integers: ids become int32 (int64 where V is above
        2^31), uint16 becomes int32, and uint64 the int64 of the same bits.

        Args:
            pin_memory: copy to page-locked memory, where CUDA is present.
            device: copy there; from page-locked memory without waiting.
        """
        import torch

        wide = self.vocabulary > 1 << 31

        def tensor(array: Any) -> torch.Tensor:
            if not isinstance(array, np.ndarray):
                return array
            if array.dtype.kind == "u":
                array = _signed(array, wide)
            return torch.from_numpy(array)

        batch = self._with(tensor)
        if pin_memory and torch.cuda.is_available():
            batch = batch.pin_memory()
        return batch if device is None else batch.to(device, non_blocking=pin_memory)

    def to(self, device: Any, non_blocking: bool = False) -> Batch:
        """The tensors on a device; loaders and Accelerate call it."""
        return self.torch()._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The tensors in page-locked memory; a DataLoader calls it."""
        return self.torch()._with(lambda tensor: tensor.pin_memory())

    def packs(self) -> Batch:
        """The same targets as rows of packs: see ``logitcask.packs``. Of batches in main memory."""
        from .packs import to_packs

        return to_packs(self)

    def model_inputs(self, pad_to: int | None = None, pad_token: int = 0) -> dict[str, Any]:
        """``input_ids``, ``labels`` … of Hugging Face models: see ``logitcask.packs``. Likewise."""
        from .packs import model_inputs

        return model_inputs(self, pad_to, pad_token)

    def _with(self, change: Callable[[Any], Any]) -> Batch:
        arrays = {name: change(array) for name, array in self.arrays.items()}
        return replace(self, arrays=arrays)


def _signed(array: np.ndarray, wide: bool) -> np.ndarray:
    """Of unsigned integers; bytes stay as they are."""
    if array.dtype == np.uint32:
        return array.astype(np.int64) if wide else array.view(np.int32)
    if array.dtype == np.uint16:
        return array.astype(np.int32)
    return array.view(np.int64) if array.dtype == np.uint64 else array
