"""same_states.py SAFETENSORS TORCH: the optimizer's states of one job, in safetensors and in torch's form, load and are equal;
the latter names the parameters of each group."""
import os
import sys

import torch
from safetensors.torch import load_file

torch.set_num_threads(1)
safe = load_file(os.path.join(sys.argv[1], "optimizer.safetensors"))
saved = torch.load(os.path.join(sys.argv[2], "optimizer.pt"), weights_only=True)
weights = torch.load(os.path.join(sys.argv[2], "pytorch_model.bin"), weights_only=True)
count = 0
for name, states in saved["state"].items():
    assert name in weights, name
    for state, value in states.items():
        value = value if torch.is_tensor(value) else torch.tensor(value)
        assert torch.equal(safe[state + "/" + name], value), (state, name)
        count += 1
assert count == len(safe), (count, len(safe))
named = [name for group in saved["param_groups"] for name in group["params"]]
assert sorted(named) == sorted(saved["state"]), "param_groups"
print(count, "states are equal")
