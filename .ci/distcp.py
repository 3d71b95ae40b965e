#!/usr/bin/env python3
"""Reads torch's distributed checkpoints with the Python standard library alone, apart from ucp's own code.

    distcp.py same PT.PY A B            the same keys, chunks, files of the chunks, paths of the keys and items, but for storage_meta
    distcp.py state PT.PY A B           the same keys, paths and values, however they are cut
    distcp.py consolidated PT.PY A F.pt the state dict in F.pt, as torch's dcp_to_torch_save makes it, is what A holds
    distcp.py sharded PT.PY A B         two of Megatron-LM: the same keys and values, cut into the same chunks, whatever files these are in;
                                        but for args that name a job's own choice of folder and form, and rerun states, which A may lack
    distcp.py flip FOLDER SEED          flips one bit of one tensor byte of a file of FOLDER, and says where
"""
import hashlib
import importlib
import io
import os
import pickle
import random
import struct
import sys
import zipfile


class Node:
    """An object of any class, never made: the class's name, its arguments and its state."""

    def __init__(self, name, args):
        self.name, self.args, self.state = name, args, None

    def __setstate__(self, state):
        self.state = state

    def __hash__(self):
        return 1

    def key(self):
        state = self.state
        if isinstance(state, dict):
            state = sorted((k, v.key() if isinstance(v, Node) else v) for k, v in state.items())
        return self.name, self.args, str(state)


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("torch", "Size"):
            return tuple
        kind = type(name, (Node,), {"__new__": lambda cls, *a: object.__new__(cls),
                                    "__init__": lambda self, *a: Node.__init__(self, name, a)})
        if module == "torch":
            return f"{module}.{name}"
        return kind


def oracle(path):
    sys.path.insert(0, os.path.dirname(path))
    return importlib.import_module(os.path.basename(path).removesuffix(".py"))


class Folder:
    """key -> ("tensor", dtype, shape, [(offsets, sizes)]) or ("object",); (key, offsets) -> (file, offset, length)"""

    def __init__(self, pt, path):
        self.pt, self.path, self.files = pt, path, {}
        with open(os.path.join(path, ".metadata"), "rb") as f:
            top = Reader(io.BytesIO(f.read())).load().state
        self.planner = top["planner_data"]
        self.entries, self.places = {}, {}
        for key, entry in top["state_dict_metadata"].items():
            if type(entry).__name__ == "TensorStorageMetadata":
                s = entry.state
                chunks = [(c.state["offsets"], c.state["sizes"]) for c in s["chunks"]]
                self.entries[key] = ("tensor", s["properties"].state[0], s["size"], chunks, s["properties"].state[2])
            else:
                self.entries[key] = ("object",)
        for index, info in top["storage_data"].items():
            i, s = index.state, info.state
            chunks = self.entries[i["fqn"]][3] if "offset" in i and i["offset"] is not None else None
            if chunks is not None and i["index"] is not None:
                assert chunks[i["index"]][0] == i["offset"], i
            self.places[i["fqn"], i.get("offset")] = (s["relative_path"], s["offset"], s["length"])

    def item(self, place):
        name, offset, length = place
        if name not in self.files:
            with open(os.path.join(self.path, name), "rb") as f:
                self.files[name] = f.read()
        with zipfile.ZipFile(io.BytesIO(self.files[name][offset:offset + length])) as z:
            assert z.testzip() is None
            return self.pt.Reader(z, z.namelist()[0].split("/")[0]).load()

    def value(self, key):
        """A leaf for each part of the value, put together from its chunks."""
        entry = self.entries[key]
        if entry[0] == "object":
            return sorted(self.pt.leaves(self.item(self.places[key, None])), key=repr)
        _, dtype, shape, chunks, _ = entry
        width, out = None, None
        for offsets, sizes in chunks:
            t = self.item(self.places[key, offsets])
            assert t.shape == tuple(sizes), (key, t.shape, sizes)
            width = self.pt.ITEM[t.kind]
            if out is None:
                out = bytearray(product(shape) * width)
            put(out, width, shape, offsets, sizes, t.bytes())
        return [("", ("tensor", hashlib.sha256(bytes(out)).hexdigest(), dtype, tuple(shape)))]


def product(dims):
    n = 1
    for d in dims:
        n *= d
    return n


def put(out, width, shape, offsets, sizes, data):
    if not shape:
        out[:] = data
        return
    run, at = sizes[-1] * width, 0
    for row in range(product(sizes[:-1])):
        index, rest = 0, row
        coordinate = []
        for s in reversed(sizes[:-1]):
            coordinate.append(rest % s)
            rest //= s
        for d, c in enumerate(reversed(coordinate)):
            index = (index + offsets[d] + c) * shape[d + 1]
        begin = (index + offsets[-1]) * width
        out[begin:begin + run] = data[at:at + run]
        at += run


def report(differ, count):
    for line in differ[:20]:
        print("differs:", line)
    print(f"{count} compared, {len(differ)} differ")
    return not count or differ


def same(pt, a, b):
    pt = oracle(pt)
    a, b = Folder(pt, a), Folder(pt, b)
    differ = []
    for what, x, y in (("planner_data", a.planner, b.planner), ("entry", a.entries, b.entries), ("place", a.places, b.places)):
        x, y = x or {}, y or {}
        differ += [f"{what} {k} {x.get(k)} {y.get(k)}" for k in sorted(x.keys() | y.keys(), key=repr) if x.get(k) != y.get(k)]
    if differ:
        return report(differ, len(differ))
    for (key, _), place in a.places.items():
        if list(pt.leaves(a.item(place))) != list(pt.leaves(b.item(place))):
            differ.append(key)
    return report(differ, len(a.places))


def state(pt, a, b):
    pt = oracle(pt)
    a, b = Folder(pt, a), Folder(pt, b)
    keys = sorted(a.entries.keys() | b.entries.keys())
    return report([k for k in keys if k not in a.entries or k not in b.entries or a.planner[k] != b.planner[k]
                   or a.value(k) != b.value(k)], len(keys))


OWN = {"ckpt_format", "use_dist_ckpt", "dist_ckpt_optim_fully_reshardable", "load", "save"}


def told(pt, value):
    """The leaves of an object, without what two saves of one state choose."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "args" in value[0]:
        value[0].pop("rerun_state_machine", None)
        args = value[0]["args"]
        kept = getattr(args, "state", None) or vars(args)
        for name in OWN:
            kept.pop(name, None)
    return sorted((leaf for leaf in pt.leaves(value) if not leaf[0].endswith("/args/.state")), key=repr)


def sharded(pt, a, b):
    pt = oracle(pt)
    a, b = Folder(pt, a), Folder(pt, b)
    rerun = [k for k in b.entries if k.startswith("rerun_state_machine_state/") and k not in a.entries]
    differ = []
    keys = sorted((a.entries.keys() | b.entries.keys()) - set(rerun))
    for key in keys:
        x, y = a.entries.get(key), b.entries.get(key)
        if x is None or y is None or x[0] != y[0]:
            differ.append(f"{key} {x} {y}")
        elif x[0] == "object":
            x, y = (told(pt, f.item(f.places[key, None])) for f in (a, b))
            differ += [f"{key} {leaf}" for leaf in sorted(set(map(repr, x)) ^ set(map(repr, y)))]
        elif x[1:3] != y[1:3] or sorted(x[3]) != sorted(y[3]):
            differ.append(f"{key} {x[1:3]} {sorted(x[3])[:3]}, {y[1:3]} {sorted(y[3])[:3]}")
        elif a.value(key) != b.value(key):
            differ.append(key)
    return report(differ, len(keys))


def consolidated(pt, a, file):
    pt = oracle(pt)
    a, whole = Folder(pt, a), pt.load(file)
    differ = []
    for key in a.entries:
        found = whole
        for step in a.planner[key]:
            found = found[step]
        theirs = sorted(pt.leaves(found), key=repr)
        ours = a.value(key)
        if a.entries[key][0] == "tensor":
            theirs = [(p, (k, h, None, s)) for p, (k, h, _, s) in theirs]
            ours = [(p, (k, h, None, s)) for p, (k, h, _, s) in ours]
        if ours != theirs:
            differ.append(key)
    leaves = sum(1 for _ in pt.leaves(whole) if _[1][0] not in ("map", "list", "tuple"))
    held = sum(sum(1 for v in a.value(k) if v[1][0] not in ("map", "list", "tuple")) for k in a.entries)
    if leaves != held:
        differ.append(f"{leaves} leaves in {file}, {held} in the folder")
    return report(differ, len(a.entries))


def flip(folder, seed):
    pick = random.Random(int(seed))
    places = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".distcp"):
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            at = data.find(b"PK\x03\x04")
            while at >= 0:
                size, n, extra = struct.unpack("<IHH", data[at + 22:at + 30])
                if b"/data/" in data[at + 30:at + 30 + n]:
                    begin = at + 30 + n + extra
                    end = data.find(b"PK\x07\x08", begin)
                    if end - begin >= 256:
                        places.append((os.path.join(folder, name), begin, end - begin))
                at = data.find(b"PK\x03\x04", at + 4)
    path, start, size = pick.choice(places)
    at, bit = start + pick.randrange(size), pick.randrange(8)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))
    print(f"flipped bit {bit} of byte {at} of {path}")
    return 0


if __name__ == "__main__":
    command, *args = sys.argv[1:] or ["help"]
    commands = {"same": same, "sharded": sharded, "state": state, "consolidated": consolidated, "flip": flip}
    if command not in commands:
        print(__doc__)
        sys.exit(2)
    sys.exit(1 if commands[command](*args) else 0)
