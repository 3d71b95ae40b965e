"""family_models.py FOLDER: transformers makes and saves a small model of every family that ucp bundles, FOLDER/NAME each.

`NAME.now` is the same model under the names that it has in memory (`save_original_format=False`), where these are others."""
import os
import sys

import torch
import transformers

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

ATTENTION = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
SIZES = ATTENTION | {"intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 131, "max_position_embeddings": 64}
TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TEXT = SIZES | TOKENS
EXPERTS = {"num_experts_per_tok": 2}
VISION = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 16, "patch_size": 8}
FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 131, "max_position_embeddings": 64} | TOKENS


def llava(text, vision):
    return {"text_config": text, "vision_config": vision, "image_token_index": 130, "vision_feature_layer": -2}


MODELS = {
    "llama": ("llama", TEXT | {"num_key_value_heads": 4}),
    "llama-grouped": ("llama", TEXT | {"head_dim": 12}),
    "llama-tied": ("llama", TEXT | {"tie_word_embeddings": True}),
    "mistral": ("mistral", TEXT | {"sliding_window": 8}),
    "mixtral": ("mixtral", TEXT | EXPERTS | {"num_local_experts": 4}),
    "qwen2": ("qwen2", TEXT),
    "qwen3": ("qwen3", TEXT | {"head_dim": 16}),
    "qwen2-moe": (
        "qwen2_moe",
        TEXT | EXPERTS | {"num_experts": 4, "moe_intermediate_size": 12, "shared_expert_intermediate_size": 20},
    ),
    "qwen3-moe": ("qwen3_moe", TEXT | EXPERTS | {"num_experts": 4, "moe_intermediate_size": 12, "head_dim": 16}),
    "phi-moe": (
        "phimoe",
        TEXT | EXPERTS | {"num_local_experts": 4, "attention_bias": True, "lm_head_bias": True, "router_jitter_noise": 0.0},
    ),
    "stablelm": ("stablelm", TEXT | {"num_key_value_heads": 4, "use_qkv_bias": True, "partial_rotary_factor": 0.25}),
    "stablelm-parallel": ("stablelm", TEXT | {"qk_layernorm": True, "use_parallel_residual": True}),
    "bloom": ("bloom", {"hidden_size": 32, "n_head": 4, "n_layer": 2, "vocab_size": 131} | TOKENS),
    "gpt-neox": ("gpt_neox", {k: v for k, v in TEXT.items() if k != "num_key_value_heads"} | {"rotary_pct": 0.25}),
    "gpt2": ("gpt2", {"n_embd": 32, "n_head": 4, "n_layer": 2, "vocab_size": 131, "n_positions": 64} | TOKENS),
    "falcon": ("falcon", FALCON | {"multi_query": True, "tie_word_embeddings": True}),
    "falcon-groups": ("falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "tie_word_embeddings": False}),
    "falcon-one-norm": (
        "falcon",
        FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1, "tie_word_embeddings": False},
    ),
    "falcon-alibi": (
        "falcon",
        FALCON | {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True, "tie_word_embeddings": True},
    ),
    "llava": ("llava", llava(TEXT | {"model_type": "llama"}, VISION | {"model_type": "clip_vision_model", "projection_dim": 24})),
    "llava-onevision": (
        "llava_onevision",
        llava(TEXT | {"model_type": "qwen2"}, VISION | {"model_type": "siglip_vision_model", "vision_use_head": False})
        | {"video_token_index": 129, "image_grid_pinpoints": [[16, 16]]},
    ),
}


def models(kind):
    config = transformers.AutoConfig.for_model(kind[0], **kind[1])
    for auto in (transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText):
        if type(config) in auto._model_mapping:
            return auto.from_config(config)
    raise AssertionError(kind[0])


def stored(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        return file.read()


if __name__ == "__main__":
    for number, (name, kind) in enumerate(MODELS.items()):
        torch.manual_seed(number)
        model = models(kind)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.2)  # norms and biases too: ones and zeros are the same wherever they are
        if number % 2 == 0:
            model = model.to(torch.bfloat16)
        first, second = os.path.join(sys.argv[1], name), os.path.join(sys.argv[1], name + ".now")
        model.save_pretrained(first)
        model.save_pretrained(second, save_original_format=False)
        same = stored(first) == stored(second)
        if same:
            for file in os.listdir(second):
                os.remove(os.path.join(second, file))
            os.rmdir(second)
        print(name, "" if same else "and other names in memory", flush=True)
