"""dcp_loads.py A B RANKS..: torch.distributed.checkpoint.load fills the same state from A and from B, at each number of ranks, with
every tensor sharded over them along its first dim and every object as it is."""
import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

warnings.filterwarnings("ignore")


def loaded(path, keys, mesh):
    """The state of these keys."""
    listed = FileSystemReader(path).read_metadata().state_dict_metadata
    state = {}
    for key in keys:
        entry = listed[key]
        if not isinstance(entry, TensorStorageMetadata):
            state[key] = None
            continue
        empty = torch.zeros(entry.size, dtype=entry.properties.dtype)
        state[key] = distribute_tensor(empty, mesh, [Shard(0)]) if empty.dim() else empty
    dcp.load(state, checkpoint_id=path)
    return state


def same(a, b):
    if isinstance(a, DTensor):
        a, b = a.to_local(), b.to_local()
    if torch.is_tensor(a):
        return a.dtype == b.dtype and a.shape == b.shape and a.flatten().view(torch.uint8).equal(b.flatten().view(torch.uint8))
    return repr(a) == repr(b)


def rank(number, ranks, a, b):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29542", RANK=str(number), WORLD_SIZE=str(ranks))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=number, world_size=ranks)
    mesh = dist.device_mesh.init_device_mesh("cpu", (ranks,))
    keys = list(FileSystemReader(a).read_metadata().state_dict_metadata)
    ours = FileSystemReader(b).read_metadata().state_dict_metadata
    assert sorted(keys) == sorted(ours), set(keys) ^ set(ours)
    first, second = loaded(a, keys, mesh), loaded(b, keys, mesh)
    for key in keys:
        assert same(first[key], second[key]), key
    dist.destroy_process_group()


if __name__ == "__main__":
    for ranks in map(int, sys.argv[3:]):
        mp.spawn(rank, (ranks, sys.argv[1], sys.argv[2]), nprocs=ranks)
        print("equal on", ranks, "ranks")
