"""dcp_kinds.py OUT [KIND..]: four ranks on the CPU train a small model and save it with torch.distributed.checkpoint, once for each
kind of sharding; beside KIND, KIND-whole is what torch itself loads from it on one rank, saved without sharding."""
import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint import FileSystemReader

warnings.filterwarnings("ignore")
RANKS = 4


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(6, 10)
        self.down = nn.Linear(10, 6, bias=False)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.block = Block()
        self.register_buffer("seen", torch.tensor(5))

    def forward(self, tokens):
        return self.block(self.embed(tokens))


def trained(model, optimizer=None):
    """The model's optimizer, after two steps."""
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), 1e-2)
    for step in range(2):
        torch.manual_seed(step)
        model(torch.randint(0, 7, (4, 5))).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def mesh(*shape, names):
    return dist.device_mesh.init_device_mesh("cpu", shape, mesh_dim_names=names)


def fsdp1(**how):
    from torch.distributed.fsdp import FullyShardedDataParallel, StateDictType
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    model = FullyShardedDataParallel(
        Model(), auto_wrap_policy=ModuleWrapPolicy({Block}), use_orig_params=True, device_id=torch.device("cpu"), **how
    )
    optimizer = trained(model)
    with FullyShardedDataParallel.state_dict_type(model, StateDictType.SHARDED_STATE_DICT):
        return {
            "model": model.state_dict(),
            "optim": FullyShardedDataParallel.optim_state_dict(model, optimizer),
            "epoch": 3,
            "extra": {"lr": [0.1, 0.2], "ids": torch.arange(5)},
        }


def hsdp1():
    from torch.distributed.fsdp import ShardingStrategy

    return fsdp1(device_mesh=mesh(2, 2, names=("r", "s")), sharding_strategy=ShardingStrategy.HYBRID_SHARD)


def flat():
    """FSDP1's parameters as it keeps them: many end to end in one."""
    from torch.distributed.fsdp import FullyShardedDataParallel, StateDictType

    model = FullyShardedDataParallel(Model(), device_id=torch.device("cpu"))
    with FullyShardedDataParallel.state_dict_type(model, StateDictType.LOCAL_STATE_DICT):
        return {"model": model.state_dict()}


def wrapped():
    """A compiled model whose ranks have replicas, with the names that these put before its own, and an optimizer that numbers them."""
    model = nn.parallel.DistributedDataParallel(torch.compile(Model(), backend="eager"))
    optimizer = torch.optim.AdamW(model.named_parameters(), 1e-2)
    trained(model, optimizer)
    return {"model": model.state_dict(), "optim": optimizer.state_dict()}


def compiled():
    """The same, with an optimizer of the names that the model inside has."""
    state = wrapped()
    optim = state["optim"]
    names = [name.removeprefix("module._orig_mod.") for name in optim["param_groups"][0].pop("param_names")]
    optim["param_groups"][0]["params"] = names
    optim["state"] = {names[number]: held for number, held in optim["state"].items()}
    return state


def fsdp2(dp, tp=None):
    from torch.distributed.checkpoint.state_dict import get_state_dict
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    model = Model()
    if tp is not None:
        parallelize_module(model.block, tp, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    fully_shard(model.block, mesh=dp)
    fully_shard(model, mesh=dp)
    weights, states = get_state_dict(model, trained(model))
    return {"app": {"model": weights, "optim": states}, "step": 7, "random": torch.get_rng_state()}


def fsdp2tp2():
    both = mesh(2, 2, names=("dp", "tp"))
    return fsdp2(both["dp"], both["tp"])


KINDS = {
    "fsdp1": fsdp1,
    "fsdp1-dtensor": lambda: fsdp1(device_mesh=mesh(RANKS, names=("s",))),
    "hsdp1": hsdp1,
    "hsdp2": lambda: fsdp2(mesh(2, 2, names=("r", "s"))),
    "fsdp2tp2": fsdp2tp2,
    "wrapped": wrapped,
    "compiled": compiled,
    "flat": flat,
}


def rank(number, out, kinds):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29541", RANK=str(number), WORLD_SIZE=str(RANKS))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=number, world_size=RANKS)
    for kind in kinds:
        torch.manual_seed(1)
        dcp.save(KINDS[kind](), checkpoint_id=os.path.join(out, kind))
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    out = sys.argv[1]
    kinds = sys.argv[2:] or list(KINDS)
    os.makedirs(out, exist_ok=True)
    mp.spawn(rank, (out, kinds), nprocs=RANKS)
    for kind in kinds:
        whole = {}
        _load_state_dict(
            whole, FileSystemReader(os.path.join(out, kind)), planner=_EmptyStateDictLoadPlanner(), no_dist=True
        )
        dcp.save(whole, checkpoint_id=os.path.join(out, kind + "-whole"), no_dist=True)
        print(kind, "saved")
