"""Records what a Hugging Face model says about texts, by a forward hook; --help says how."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from logitcask import Recorder


def batches(
    lines: list[str], tokenizer: PreTrainedTokenizerFast, rows: int, length: int
) -> Iterator:
    """Padded on the right, cut to the model's context."""
    for at in range(0, len(lines), rows):
        own = [tokenizer(line)["input_ids"][:length] for line in lines[at : at + rows]]
        longest = max(map(len, own))
        ids = torch.zeros(len(own), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(own):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        yield ids, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--texts", required=True, help="text file, one text a line")
    parser.add_argument("--url", default="http://127.0.0.1:8750")
    parser.add_argument("--dataset", default="recorded")
    parser.add_argument("--tau", type=float, help="draw without bias instead of top-64")
    parser.add_argument("--spool", default="logitcask-spool/example")
    options = parser.parse_args()

    folder = Path(options.model)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    lines = [line for line in Path(options.texts).read_text().splitlines() if line.strip()]
    recorder = Recorder(
        options.url,
        options.dataset,
        teacher=folder.name,
        tokenizer=folder / "tokenizer.json",
        tau=options.tau,
        spool=options.spool,
    )
    with recorder, torch.inference_mode(), recorder.attach(model):
        for ids, mask in batches(lines, tokenizer, 8, model.config.max_position_embeddings):
            ids, mask = ids.to(device), mask.to(device)
            model(input_ids=ids, attention_mask=mask, use_cache=False)
    for reply in recorder.commits:
        print(f"{reply['samples']} samples, {reply['duplicates']} known: {reply['snapshot']}")


if __name__ == "__main__":
    main()
