"""same_model.py A B ..: two folders are the same model to transformers, and their tensors the same to torch and safetensors; so are the next two."""
import glob
import json
import os
import sys

import torch
import transformers
from safetensors.torch import load_file

torch.set_num_threads(1)


def tensors(folder):
    """Every tensor of a folder, by the libraries that the files are for."""
    held = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        held.update(load_file(path))
    for path in sorted(glob.glob(os.path.join(folder, "pytorch_model*.bin"))):
        held.update(torch.load(path, weights_only=True))
    assert held, folder
    for path in glob.glob(os.path.join(folder, "*.index.json")):
        with open(path) as file:
            assert set(json.load(file)["weight_map"]) == set(held), path
    return held


def logits(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    parts = hasattr(config, "vision_config")
    kind = transformers.AutoModelForImageTextToText if parts else transformers.AutoModelForCausalLM
    model, loading = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values()), loading
    tokens = {"input_ids": torch.arange(16).reshape(2, 8)}
    if parts:
        tokens = pictures(config, tokens["input_ids"])
    with torch.no_grad():
        return model.float().eval()(**tokens).logits


def pictures(config, text):
    """A picture before each text."""
    size = config.vision_config.image_size
    generator = torch.Generator().manual_seed(5)
    patches = (size // config.vision_config.patch_size) ** 2
    if config.model_type == "llava":
        made = {"pixel_values": torch.randn(2, 3, size, size, generator=generator)}
        places = patches
    else:  # the whole picture, its one tile, and a new line behind each row
        made = {
            "pixel_values": torch.randn(2, 2, 3, size, size, generator=generator),
            "image_sizes": torch.tensor([[size, size]] * 2),
        }
        places = 2 * patches + size // config.vision_config.patch_size
    return made | {"input_ids": torch.cat([torch.full((2, places), config.image_token_index), text], 1)}


def same(first, second):
    a, b = tensors(first), tensors(second)
    assert set(a) == set(b), set(a) ^ set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert torch.equal(a[name], b[name]), name
    assert torch.equal(logits(first), logits(second)), second
    print(len(a), "tensors and the logits are equal", flush=True)


for pair in zip(sys.argv[1::2], sys.argv[2::2]):
    same(*pair)
