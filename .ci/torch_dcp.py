#!/usr/bin/env python3
"""torch itself loads a distributed checkpoint: `torch_dcp.py FOLDER EXPECTED RANKS..`, where EXPECTED is a folder or a .pt of the same
state dict. For each number of ranks, torch.distributed.checkpoint.load fills DTensors that are sharded over so many (gloo), and every
value is compared. Needs torch."""
import os
import socket
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor, Shard, distribute_tensor, init_device_mesh


def flat(value, path=()):
    if isinstance(value, dict):
        for k, v in value.items():
            yield from flat(v, path + (str(k),))
    elif isinstance(value, list) and any(isinstance(v, (dict, list, torch.Tensor)) for v in value):
        for i, v in enumerate(value):
            yield from flat(v, path + (i,))
    else:
        yield path, value


def same(a, b):
    if isinstance(a, DTensor):
        a = a.full_tensor()
    if isinstance(a, torch.Tensor):
        bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        return (isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape
                and torch.equal(a.contiguous().view(bits[a.element_size()]), b.contiguous().view(bits[b.element_size()])))
    return type(a) is type(b) and a == b


def load(rank, ranks, port, folder, expected):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), USE_LIBUV="0")
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    metadata = dcp.FileSystemReader(folder).read_metadata()
    state = {}
    for key, entry in metadata.state_dict_metadata.items():
        path = (metadata.planner_data or {}).get(key, (key,))
        if isinstance(entry, TensorStorageMetadata):
            value = torch.full(entry.size, 1, dtype=torch.uint8).to(entry.properties.dtype)
            if len(entry.size):
                value = distribute_tensor(value, mesh, [Shard(0)])
        else:
            value = None
        at = state
        for step, following in zip(path[:-1], path[1:]):
            make = (lambda: []) if isinstance(following, int) else (lambda: {})
            if isinstance(at, list):
                at.extend({} for _ in range(step + 1 - len(at)))
                at = at[step]
            else:
                at = at.setdefault(step, make())
        if isinstance(at, list):
            at.extend(None for _ in range(path[-1] + 1 - len(at)))
        at[path[-1]] = value
    dcp.load(state, checkpoint_id=folder)
    theirs = dict(flat(expected))
    ours = dict(flat(state))
    # Every rank takes part in gathering each tensor.
    differ = [p for p, v in sorted(ours.items(), key=lambda e: str(e[0])) if p not in theirs or not same(v, theirs[p])]
    differ += sorted(theirs.keys() - ours.keys(), key=str)
    if rank == 0:
        print(f"{ranks} ranks: {len(ours)} values loaded, {len(differ)} differ", *differ[:10], flush=True)
    dist.destroy_process_group()
    if differ or not ours:
        sys.exit(1)


def main(folder, expected, *ranks):
    if os.path.isdir(expected):
        whole = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"expected-{os.getpid()}.pt")
        dcp_to_torch_save(expected, whole)
        expected = whole
    expected = torch.load(expected, weights_only=False)
    for n in map(int, ranks):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        mp.spawn(load, args=(n, port, folder, expected), nprocs=n)


if __name__ == "__main__":
    main(*sys.argv[1:])
