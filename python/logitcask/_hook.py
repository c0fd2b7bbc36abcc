"""Forward hooks: of Hugging Face models with whole sequences, and of teachers of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._choose import is_torch
from ._samples import invalid


def attach(recorder: Any, model: Any) -> Any:
    def record(_: Any, arguments: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        ids = options.get("input_ids", arguments[0] if arguments else None)
        if ids is None:
            raise invalid("the model was called without input_ids: nothing names its sequences")
        logits = output["logits"] if isinstance(output, dict) else output[0]
        # `past_key_values` until transformers 5.24
        caches = (options.get(name) for name in ("cache", "past_key_values"))
        seen = max((one.get_seq_length() for one in caches if one is not None), default=0)
        if logits.shape[1] != ids.shape[1] or seen > ids.shape[1]:
            detail = "a forward of a part of its sequences: call the model on whole ones"
            raise invalid(f"{detail}, without a cache of what came before")
        recorder.write(ids, logits, attention_mask=options.get("attention_mask"))

    return model.register_forward_hook(record, with_kwargs=True)


def attach_images(recorder: Any, model: Any, scores: Callable[[Any], Any] | None) -> Any:
    def record(_: Any, __: tuple[Any, ...], output: Any) -> None:
        recorder._record(named(recorder._heads, output) if scores is None else scores(output))

    return model.register_forward_hook(record)


def named(heads: Mapping[str, Any], output: Any) -> Any:
    """Scores by head, of what a module returns; what it has beside them is left alone."""
    if is_torch(output):
        return output
    if isinstance(output, Mapping):
        found = {name: output[name] for name in heads if name in output}
    elif isinstance(output, (tuple, list)) and not hasattr(output, "_fields"):
        if len(output) != len(heads):
            raise invalid(f"an output of {len(output)} parts for the heads {list(heads)}")
        return dict(zip(heads, output))
    else:
        found = {name: getattr(output, name) for name in heads if hasattr(output, name)}
    if len(found) == len(heads):
        return found
    detail = f"an output has the heads {sorted(found)} of {sorted(heads)}"
    raise invalid(f"{detail}; give `attach` a function that finds them")
