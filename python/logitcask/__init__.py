"""Teacher targets for knowledge distillation, streamed from a logitcask server."""

from typing import TYPE_CHECKING, Any

from .batch import Batch, TargetSet
from .client import Client, Manifest, Plan
from .errors import LogitcaskError, TruncatedReply
from .frames import Targets, decode_frame, decode_frames, decoder
from .order import append_record, order_digest, record_line
from .scorer import Scorer

if TYPE_CHECKING:
    from .dataset import LogitDataset
    from .image_recorder import Head, Image, ImageRecorder
    from .recorder import Recorder

__all__ = [
    "Batch",
    "Client",
    "Head",
    "Image",
    "ImageRecorder",
    "LogitDataset",
    "LogitcaskError",
    "Manifest",
    "Plan",
    "Recorder",
    "Scorer",
    "TargetSet",
    "Targets",
    "TruncatedReply",
    "append_record",
    "decode_frame",
    "decode_frames",
    "decoder",
    "order_digest",
    "record_line",
]


def __getattr__(name: str) -> Any:
    """Loaded when they are asked for: LogitDataset is a torch class where torch is installed."""
    if name == "LogitDataset":
        from .dataset import LogitDataset

        return LogitDataset
    if name == "Recorder":  # its locks are those of POSIX
        from .recorder import Recorder

        return Recorder
    if name in ("Head", "Image", "ImageRecorder"):
        from . import image_recorder

        return getattr(image_recorder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
