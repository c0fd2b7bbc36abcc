"""Teacher targets for knowledge distillation, streamed from a logitcask server."""

from .batch import Batch, TargetSet
from .client import Client, Manifest, Plan
from .dataset import Dataset
from .errors import LogitcaskError, TruncatedReply
from .frames import Targets, decode_frame, decode_frames, decoder

__all__ = [
    "Batch",
    "Client",
    "Dataset",
    "LogitcaskError",
    "Manifest",
    "Plan",
    "TargetSet",
    "Targets",
    "TruncatedReply",
    "decode_frame",
    "decode_frames",
    "decoder",
]
