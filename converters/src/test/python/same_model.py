"""same_model.py A B: two folders are the same model to transformers, and their tensors the same to torch and safetensors."""
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
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
    with torch.no_grad():
        return model.float().eval()(torch.arange(16).reshape(2, 8)).logits


first, second = sys.argv[1:3]
a, b = tensors(first), tensors(second)
assert set(a) == set(b), set(a) ^ set(b)
for name in a:
    assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
    assert torch.equal(a[name], b[name]), name
assert torch.equal(logits(first), logits(second))
print(len(a), "tensors and the logits are equal")
