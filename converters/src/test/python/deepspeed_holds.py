"""deepspeed_holds.py CONFIG JOB..: DeepSpeed loads checkpoints of one state into a model of transformers' and trains one step more.

CONFIG is the folder of the model's config.json, a JOB is JSON with `checkpoint` and what differs from DEFAULTS. The first job says what
all others have to hold: every weight, master and moment bit for bit, `facts` (all that DeepSpeed keeps, if not given), a loss that is as
near as another order of sums leaves it, and the very same masters after the step where ranks and stage are the first's (with others, bf16
gradients are summed otherwise: two checkpoints of DeepSpeed's own differ by half a step there). The first may be `model`, a folder of transformers', which holds weights."""
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
import transformers
from deepspeed.utils import logger, safe_get_full_fp32_param, safe_get_full_optimizer_state

DEFAULTS = {
    "ranks": 1,
    "stage": 1,
    "dtype": "bf16",
    "universal": False,
    "weights": False,  # load_module_only
    "scheduler": True,
    "decays": 1,  # 2: vectors are a group of their own, without weight decay
    "frozen": [],  # beginnings of names
}
SAMPLES = 12
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # a kernel that would have to be compiled
logger.setLevel("ERROR")
transformers.logging.set_verbosity_error()


def config(job):
    made = {
        "train_micro_batch_size_per_gpu": SAMPLES // job["ranks"],
        "zero_optimization": {"stage": job["stage"], "stage3_param_persistence_threshold": 10},
        "zero_allow_untested_optimizer": True,
        "gradient_clipping": 1.0,
        "steps_per_print": 1000,
    }
    if job["dtype"] != "fp32":
        made[job["dtype"]] = {"enabled": True}
    if job["scheduler"]:
        made["scheduler"] = {"type": "WarmupLR", "params": {"warmup_num_steps": 10, "warmup_max_lr": 1e-3}}
    if job["universal"]:
        made["checkpoint"] = {"load_universal": True}
    return made


def engine_of(job, model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(job["frozen"])))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if job["decays"] == 2:
        trained = [
            {"params": [parameter for parameter in trained if parameter.dim() > 1]},
            {"params": [parameter for parameter in trained if parameter.dim() == 1], "weight_decay": 0.0},
        ]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    return deepspeed.initialize(model=model, optimizer=optimizer, config=config(job))[0]


def facts(engine):
    groups = [{key: value for key, value in group.items() if key != "params"} for group in engine.optimizer.param_groups]
    inner = getattr(engine.optimizer, "optimizer", engine.optimizer)
    return {
        "steps": sorted({float(state["step"]) for state in inner.state.values() if "step" in state}),
        "global_steps": engine.global_steps,
        "global_samples": engine.global_samples,
        "skipped_steps": engine.skipped_steps,
        "scheduler": dict(engine.lr_scheduler.state_dict()) if engine.lr_scheduler is not None else None,
        "groups": groups,
    }


def states(job, engine):
    held = {}
    for name, parameter in engine.module.named_parameters():
        if job["universal"] and not parameter.requires_grad:
            continue  # which DeepSpeed leaves to the script
        with deepspeed.zero.GatheredParameters([parameter], enabled=job["stage"] == 3):
            held["weight", name] = parameter.detach().clone()
        if parameter.requires_grad and (job["stage"] > 0 or job["dtype"] != "fp32"):
            held["fp32", name] = safe_get_full_fp32_param(parameter).clone()
            for state in () if job["weights"] else ("exp_avg", "exp_avg_sq"):
                held[state, name] = safe_get_full_optimizer_state(parameter, state).clone()
    return held


def rank(number, job, out, model_config):
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=str(job["ranks"]), LOCAL_SIZE=str(job["ranks"]))
    torch.set_num_threads(1)
    deepspeed.init_distributed("gloo", verbose=False)
    torch.manual_seed(99)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(model_config), dtype=torch.float32)
    engine = engine_of(job, model)
    found, _ = engine.load_checkpoint(job["checkpoint"], load_module_only=job["weights"])
    assert found is not None, "DeepSpeed found no checkpoint"
    if not job["weights"] and hasattr(engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
        engine.optimizer._link_all_hp_params()  # which loading universal leaves as views of a moment
        engine.optimizer._lazy_init_hp_params_optimizer_state()  # which else the first step does
    held = {"states": states(job, engine), "facts": facts(engine)}
    tokens = torch.randint(0, model.config.vocab_size, (SAMPLES, 9), generator=torch.Generator().manual_seed(7))
    mine = tokens.chunk(job["ranks"])[number]
    loss = engine(input_ids=mine, labels=mine, use_cache=False).loss
    engine.backward(loss)
    engine.step()
    loss = loss.detach().float()
    dist.all_reduce(loss)
    held["loss"] = loss.item() / job["ranks"]
    held["after"] = {key: value for key, value in states(job, engine).items() if key[0] == "fp32"}
    if number == 0:
        torch.save(held, out)
    dist.barrier()
    dist.destroy_process_group()


def held(job, model_config):
    """What DeepSpeed holds after it loaded a job's checkpoint, or what transformers has of a model's folder."""
    if "model" in job:
        model = transformers.AutoModelForCausalLM.from_pretrained(job["model"])
        return {"states": {("weight", name): parameter.detach() for name, parameter in model.named_parameters()}, "facts": {}}
    job = DEFAULTS | job
    out = job["checkpoint"].rstrip("/") + ".held"
    mp.start_processes(rank, (job, out, model_config), nprocs=job["ranks"], start_method="fork")
    return torch.load(out, weights_only=False)


def compared(first, other, job):
    """How many states are the same; what is not is an error."""
    kinds = {"weight"} if job.get("weights") else {"weight", "fp32", "exp_avg", "exp_avg_sq"}
    wanted = {key: value for key, value in first["states"].items() if key[0] in kinds}
    found = {key: value for key, value in other["states"].items() if key[0] in kinds}
    if job.get("universal"):
        wanted = {key: value for key, value in wanted.items() if not key[1].startswith(tuple(job.get("frozen", [])))}
    assert set(wanted) == set(found), sorted(set(wanted) ^ set(found))[:8]
    for key, value in wanted.items():
        assert value.dtype == found[key].dtype and torch.equal(value, found[key]), key
    for fact in job.get("facts", first["facts"]):
        assert first["facts"][fact] == other["facts"][fact], (fact, first["facts"][fact], other["facts"][fact])
    if "loss" in first and not (job.get("universal") and job.get("frozen")):
        assert abs(first["loss"] - other["loss"]) < 1e-4 * first["loss"], (first["loss"], other["loss"])
    assert math.isfinite(other["loss"])
    if all(job.get(key) == first["job"].get(key) for key in ("ranks", "stage", "dtype", "facts")):
        assert first["after"].keys() == other["after"].keys()
        for key, value in first["after"].items():
            assert torch.equal(value, other["after"][key]), ("after the step", key)
        return f"{len(wanted)} and the next"
    return len(wanted)


if __name__ == "__main__":
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=gloo.free_port())
    model_config, jobs = sys.argv[1], [json.loads(text) for text in sys.argv[2:]]
    first = held(jobs[0], model_config) | {"job": jobs[0]}
    for job in jobs[1:]:
        other = held(job, model_config)
        print(compared(first, other, job), "states are equal:", json.dumps(job), flush=True)
