"""A forward hook for Hugging Face models: each forward of whole sequences is recorded."""

from __future__ import annotations

from typing import Any

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
