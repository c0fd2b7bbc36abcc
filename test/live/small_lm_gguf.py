"""Writes the small LM of bench/data as GGUF, for llama.cpp: python small_lm_gguf.py FOLDER OUT."""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

folder, out = Path(sys.argv[1]), sys.argv[2]
config = json.loads((folder / "config.json").read_text())
tokenizer = json.loads((folder / "tokenizer.json").read_text())
heads = config["num_attention_heads"]

writer = gguf.GGUFWriter(out, "llama")
writer.add_name("small-lm")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_block_count(config["num_hidden_layers"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(config["num_key_value_heads"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_dimension_count(config["head_dim"])
writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
writer.add_vocab_size(config["vocab_size"])

added = {token["id"] for token in tokenizer["added_tokens"]}
tokens = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("gpt-2")
writer.add_token_list([token for token, _ in tokens])
kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
writer.add_token_types([kinds[id in added] for _, id in tokens])
writer.add_token_merges(merges)
writer.add_bos_token_id(config["bos_token_id"])
writer.add_eos_token_id(config["eos_token_id"])
writer.add_add_bos_token(False)
writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")

names = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
for name, tensor in load_file(folder / "model.f16.safetensors").items():
    if name == "lm_head.weight":
        continue  # the embedding itself
    part = name.removesuffix(".weight").replace("model.layers.", "")
    layer, _, rest = part.partition(".")
    own = f"blk.{layer}.{names[rest]}" if layer.isdigit() else names[part]
    data = tensor.astype(np.float32)
    if own.endswith(("attn_q", "attn_k")):  # pairs of a rotation lie next to each other
        halves = data.reshape(heads, 2, data.shape[0] // heads // 2, data.shape[1])
        data = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(data.shape))
    writer.add_tensor(f"{own}.weight", data)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
