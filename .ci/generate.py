#!/usr/bin/env python3
"""Writes a model's folder of random numbers: generate.py FOLDER SIZE [FILES], SIZE in bytes. For checks that need something large."""
import json
import os
import random
import struct
import sys

folder, size, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 8
os.makedirs(folder)
source = random.Random(1)
index = {}
for number in range(1, files + 1):
    name = f"model-{number:05d}-of-{files:05d}.safetensors"
    rows = max(1, size // files // 4 // (4 * 1024))
    header, at = {}, 0
    for tensor in range(4):
        end = at + rows * 1024 * 4
        key = f"model.layers.{number - 1}.part{tensor}.weight"
        header[key] = {"dtype": "F32", "shape": [rows, 1024], "data_offsets": [at, end]}
        index[key] = name
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, name), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        while at > 0:
            at -= out.write(source.randbytes(min(at, 1 << 20)))
with open(os.path.join(folder, "model.safetensors.index.json"), "w") as out:
    json.dump({"metadata": {}, "weight_map": index}, out)
with open(os.path.join(folder, "config.json"), "w") as out:
    json.dump({"model_type": "none"}, out)
