#!/usr/bin/env python3
"""Reads ucp's universal format with the Python standard library alone, from docs/universal-format.md and nothing else.

    oracle.py reference UNIVERSAL FILE.safetensors   every tensor `NAME/STATE` of FILE equals the universal one; exit 1 where one differs
    oracle.py weights UNIVERSAL                      every fp32 master rounds (to nearest, ties to even) to its bfloat16 `weight`
    oracle.py golden PT.PY GOLDEN OURS               every leaf of every torch file is equal, but for what docs/goldens.md accepts
    oracle.py returned PT.PY SOURCE BACK             a rank-sharded DeepSpeed checkpoint that went to another layout and came back: every
                                                     leaf is equal, but for random states, rows past the vocabulary (zeros then) and
                                                     copies of tied parameters that differed (the first stage's then)
    oracle.py flip FOLDER SEED                       flips one bit of one tensor byte of a file below FOLDER, and says where
"""
import importlib
import json
import os
import random
import re
import struct
import sys
import zipfile

DTYPE = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


def states(folder):
    """(parameter, state) -> (dtype, real shape, bytes of the real elements)"""
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as f:
        manifest = json.load(f)
    out = {}
    for p in manifest["parameters"]:
        shape = p.get("realShape", p["shape"])
        count = 1
        for d in shape:
            count *= d
        for name, s in p["states"].items():
            with open(os.path.join(folder, s["file"]), "rb") as f:
                f.seek(s["offset"])
                data = f.read(s["size"])
            width = s["size"] // max(1, product(p["shape"]))
            # Padding, where there is any, is in rows after the real ones.
            out[p["name"], name] = (s["dtype"], shape, data[:count * width])
    return out


def product(dims):
    n = 1
    for d in dims:
        n *= d
    return n


def safetensors(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        base = 8 + size
        for name, t in header.items():
            if name != "__metadata__":
                begin, end = t["data_offsets"]
                f.seek(base + begin)
                yield name, DTYPE[t["dtype"]], t["shape"], f.read(end - begin)


def reference(folder, path):
    held = states(folder)
    bad = compared = 0
    for name, dtype, shape, data in safetensors(path):
        parameter, state = name.rsplit("/", 1)
        key = parameter, {"frozen": "weight"}.get(state, state)
        compared += 1
        if held.get(key) != (dtype, shape, data):
            bad += 1
            print("differs:", name, held[key][:2] if key in held else "absent", (dtype, shape))
    print(f"{compared} tensors compared, {bad} differ")
    return compared == 0 or bad


def weights(folder):
    held = states(folder)
    compared = bad = 0
    for (parameter, state), (dtype, _, data) in held.items():
        if state != "fp32" or (parameter, "weight") not in held:
            continue
        other, _, weight = held[parameter, "weight"]
        if other != "bfloat16":
            continue
        compared += 1
        rounded = bytearray()
        for (bits,) in struct.iter_unpack("<I", data):
            rounded += struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF)
        if bytes(rounded) != weight:
            bad += 1
            print("differs:", parameter)
    print(f"{compared} weights compared, {bad} differ")
    return compared == 0 or bad


# What a process that resumed and saved again writes otherwise than one that never stopped: docs/goldens.md.
ACCEPTED = re.compile(r"/rng_state(/|$)"
                      r"|/args/\.state/(load|save|universal_checkpoint|exit_interval|actual_seq_length|curr_iteration|logger_iteration"
                      r"|iteration|num_floating_point_operations_so_far|ckpt_format|use_dist_ckpt|dist_ckpt_optim_fully_reshardable)$"
                      r"|/(ds_config|deepspeed_config_dict)/checkpoint(/|$)")
# Maps that hold such leaves, whose sizes then differ too.
HOLDERS = re.compile(r"/(ds_config|deepspeed_config_dict|args/\.state)$")


def unused(leaves, key):
    """A number of groups where queries are not grouped: releases of Megatron-LM differ in what they leave there."""
    grouped = key.replace("/num_query_groups", "/group_query_attention")
    return grouped != key and leaves.get(grouped) == ("value", "False")


def golden(oracle, theirs, ours):
    sys.path.insert(0, os.path.dirname(oracle))
    pt = importlib.import_module(os.path.basename(oracle).removesuffix(".py"))
    a, b = pt.everything(theirs), pt.everything(ours)
    bad = [k for k in sorted(a.keys() | b.keys())
           if a.get(k) != b.get(k) and not ACCEPTED.search(k) and not HOLDERS.search(k) and not unused(a, k)]
    for k in bad[:20]:
        print("differs:", k, a.get(k), b.get(k))
    print(f"{len(a)} leaves compared, {len(bad)} differ")
    return not a or bad


VOCABULARY = re.compile(r"(word_embeddings|lm_head)[./]weight$")
FLAT = re.compile(r"/optimizer_state_dict/(single_partition_of_fp32_groups/\d+|base_optimizer_state/state/\d+/(?!step$)\w+)$")


def returned(oracle, source, back):
    sys.path.insert(0, os.path.dirname(oracle))
    pt = importlib.import_module(os.path.basename(oracle).removesuffix(".py"))
    a, b = pt.everything(source), pt.everything(back)
    differ = [k for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k) and "/rng_state" not in k]
    if not a or a.keys() - b.keys():
        print("missing:", sorted(a.keys() - b.keys())[:20])
        return True
    args = vars_of(pt.load(next(os.path.join(source, f) for f in sorted(os.listdir(source)) if "model_states" in f and "mp_rank" in f)))
    bad = [k for k in differ if k not in a or not (FLAT.search(k) or VOCABULARY.search(k))]
    for name in {k.split(":")[0] for k in differ if k not in bad and not FLAT.search(k)}:
        tp = int(re.search(r"(?:model|mp_rank)_(\d+)", name).group(1)) % args["tp"]
        theirs, ours = (dict(pt.tensors(pt.load(os.path.join(f, name)))) for f in (source, back))
        for path in theirs:
            x, y = theirs[path], ours[path]
            if VOCABULARY.search(path) and not unpadded(x.bytes(), y.bytes(), x.shape[0], tp, args["vocab"]):
                bad.append(name + ":" + path)
    if any(FLAT.search(k) for k in differ):
        theirs, ours = local(pt, source), local(pt, back)
        for mp, name, state in theirs:
            tp = mp % args["tp"]
            x, y = theirs[mp, name, state], ours.get((mp, name, state), b"")
            if name.startswith("tied_modules."):
                x = theirs[tp, name, state]
            rows = args["padded"] // args["tp"] if VOCABULARY.search(name) else 0
            if x != y and not (rows and unpadded(x, y, rows, tp, args["vocab"])):
                bad.append(f"{name} {state} of rank {mp}")
    for k in bad[:20]:
        print("differs:", k)
    print(f"{len(a)} leaves compared, {len(differ)} differ, {len(bad)} more than they may")
    return bool(bad)


def vars_of(root):
    info = root.get("universal_checkpoint_info") or {}
    return {"tp": (root.get("checkpoint_parallel_dimensions") or {}).get("tp_degree") or root.get("mp_world_size") or 1,
            "vocab": info.get("original_vocab_size", 0), "padded": info.get("padded_vocab_size", 0)}


def unpadded(a, b, rows, tp, vocabulary):
    """Equal in rows of the vocabulary; zeros, or equal too, past it."""
    width = len(a) // rows
    real = max(0, min(rows, vocabulary - tp * rows)) * width if vocabulary else len(a)  # 0: nothing says that rows are padding
    return len(a) == len(b) and a[:real] == b[:real] and (a[real:] == b[real:] or not any(b[real:]))


def local(pt, folder):
    """(model-parallel rank, parameter, state) -> its bytes, put together of the data-parallel ranks of ZeRO 1 and 2."""
    held = {}
    files = [(int(m.group(2)), int(m.group(1)), f) for f in os.listdir(folder)
             if (m := re.search(r"zero_pp_rank_(\d+)_mp_rank_(\d+)_optim_states", f))]
    for mp, _, name in sorted(files):
        states = pt.load(os.path.join(folder, name))["optimizer_state_dict"]
        base = states["base_optimizer_state"]["state"]
        for group, members in enumerate(states["param_slice_mappings"]):
            flat = {"fp32": states["single_partition_of_fp32_groups"][group]}
            flat.update((k, v) for k, v in base[group].items() if isinstance(v, pt.Tensor) and v.shape)
            for state, tensor in flat.items():
                data = tensor.bytes()
                width = len(data) // max(1, tensor.shape[0])
                for member, address in members.items():
                    at = address.state
                    piece = data[at["start"] * width:(at["start"] + at["numel"]) * width]
                    held[mp, member, state] = held.get((mp, member, state), b"") + piece
    return held


def flip(folder, seed):
    pick = random.Random(seed)
    places = []
    for base, _, names in os.walk(folder):
        for n in sorted(names):
            path = os.path.join(base, n)
            if n.endswith(".arrow"):
                continue
            if n.endswith(".pt"):
                with zipfile.ZipFile(path) as z:
                    for i in z.infolist():
                        if "/data/" in i.filename and i.file_size >= 256:
                            with open(path, "rb") as f:
                                f.seek(i.header_offset)
                                head = f.read(30)
                            start = i.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
                            places.append((path, start, i.file_size))
    manifest = os.path.join(folder, "manifest.json")
    if os.path.exists(manifest):
        with open(manifest, encoding="utf-8") as f:
            for p in json.load(f)["parameters"]:
                real = product(p.get("realShape", p["shape"])) / max(1, product(p["shape"]))
                for s in p["states"].values():
                    places.append((os.path.join(folder, s["file"]), s["offset"], int(s["size"] * real)))
    path, start, size = pick.choice(sorted(places))
    at = start + pick.randrange(size)
    bit = pick.randrange(8)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))
    print(f"flipped bit {bit} of byte {at} of {path}")
    return 0


if __name__ == "__main__":
    command, *args = sys.argv[1:] or ["help"]
    commands = {"reference": reference, "weights": weights, "golden": golden, "returned": returned, "flip": lambda d, s: flip(d, int(s))}
    if command not in commands:
        print(__doc__)
        sys.exit(2)
    sys.exit(1 if commands[command](*args) else 0)
