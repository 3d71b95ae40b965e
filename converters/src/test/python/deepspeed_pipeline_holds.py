"""deepspeed_pipeline_holds.py JOB..: DeepSpeed loads checkpoints of one state into the pipeline of samples/pipeline-tied.

A JOB is JSON with `checkpoint` and `pp`, how many stages (and ranks) there are. What the first job holds all others have to hold, on
whatever stage: every weight and moment bit for bit (of the shared embedding the first stage's copy), and a loss that is as near as another
order of sums leaves it."""
import json
import math
import os
import sys

os.environ["DS_ACCELERATOR"] = "cpu"
import gloo  # before what uses it
import deepspeed
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from deepspeed.pipe import LayerSpec, PipelineModule, TiedLayerSpec
from deepspeed.utils import logger
from torch.nn import functional

WORDS, PLACES, WIDTH = 40, 8, 12
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # a kernel that would have to be compiled
logger.setLevel("ERROR")


class Embedding(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.word = torch.nn.Embedding(WORDS, WIDTH)
        self.position = torch.nn.Embedding(PLACES, WIDTH)

    def forward(self, tokens):
        return self.word(tokens) + self.position(torch.arange(tokens.shape[-1]))


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.up = torch.nn.Linear(WIDTH, 2 * WIDTH)
        self.down = torch.nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x):
        return x + self.down(torch.tanh(self.up(self.norm(x))))


def scores(embedding, x):
    return functional.linear(x, embedding.word.weight)


def same(x):
    return x


def loss_of(out, tokens):
    return functional.cross_entropy(out.flatten(0, -2), tokens.flatten())


def layers():
    shared = {"tied_weight_attr": "word.weight"}
    blocks = [LayerSpec(Block) for _ in range(4)]
    head = TiedLayerSpec("embed", Embedding, forward_fn=scores, **shared)
    return [same, TiedLayerSpec("embed", Embedding, **shared), *blocks, LayerSpec(torch.nn.LayerNorm, WIDTH), head]


def batches():
    generator = torch.Generator().manual_seed(7)
    while True:
        tokens = torch.randint(0, WORDS, (2, PLACES), generator=generator)
        yield tokens, tokens


def rank(number, job, out):
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=str(job["pp"]), LOCAL_SIZE=str(job["pp"]))
    torch.set_num_threads(1)
    deepspeed.init_distributed("gloo", verbose=False)
    model = PipelineModule(layers(), num_stages=job["pp"], loss_fn=loss_of, partition_method="uniform")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    config = {"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2, "zero_allow_untested_optimizer": True}
    engine = deepspeed.initialize(model=model, optimizer=optimizer, config=config | {"steps_per_print": 1000})[0]
    found, _ = engine.load_checkpoint(job["checkpoint"])
    assert found is not None, "DeepSpeed found no checkpoint"
    states = {}
    for name, parameter in model.named_parameters():
        states["weight", name] = parameter.detach().clone()
        for state, value in engine.optimizer.state[parameter].items():
            states[state, name] = torch.as_tensor(value).clone()
    held = {"states": states, "steps": engine.global_steps, "loss": float(engine.train_batch(batches()))}
    torch.save(held, f"{out}.{number}")
    dist.barrier()
    dist.destroy_process_group()


def held(job):
    """What all stages have; of what two have, what the first has."""
    out = job["checkpoint"].rstrip("/") + ".held"
    mp.start_processes(rank, (job, out), nprocs=job["pp"], start_method="fork")
    stages = [torch.load(f"{out}.{number}", weights_only=False) for number in range(job["pp"])]
    states = {}
    for stage in stages:
        for key, value in stage["states"].items():
            states.setdefault(key, value)
    return {"states": states, "steps": stages[0]["steps"], "loss": stages[0]["loss"]}


def compared(first, other):
    assert first["states"].keys() == other["states"].keys(), sorted(first["states"].keys() ^ other["states"].keys())[:8]
    for key, value in first["states"].items():
        assert torch.equal(value, other["states"][key]), key
    assert first["steps"] == other["steps"]
    assert math.isclose(first["loss"], other["loss"], rel_tol=1e-5), (first["loss"], other["loss"])
    return len(first["states"])


if __name__ == "__main__":
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=gloo.free_port())
    jobs = [json.loads(text) for text in sys.argv[1:]]
    first = held(jobs[0])
    for job in jobs[1:]:
        print(compared(first, held(job)), "states are equal:", json.dumps(job), flush=True)
