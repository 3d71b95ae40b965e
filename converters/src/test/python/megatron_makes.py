"""megatron_makes.py FOLDER JOB: Megatron-LM saves a small model of random weights and moments, in both of its formats.

A JOB is JSON as megatron_holds.py has it, with `more` arguments that describe the model. What FOLDER/torch and FOLDER/torch_dist hold is
one state."""
import json
import os
import sys

import megatron_holds as holds
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from megatron.training.checkpointing import save_checkpoint
from megatron.training.global_vars import get_args

STEPS = 3


def moved(optimizer, model):
    """As if it had taken some steps; what ranks hold the same of stays the same."""
    tp = get_args().tensor_model_parallel_size
    others, own = divmod(dist.get_rank(), tp)
    number = 0
    for each in holds.optimizers(optimizer):
        for group in each.optimizer.param_groups:
            group["step"] = STEPS
            for main in group["params"]:
                number += 1
                cut = getattr(main, "tensor_model_parallel", False)
                generator = torch.Generator().manual_seed(1000 * number + 10 * others + (own if cut else 0))
                main.data += 0.01 * torch.randn(main.shape, generator=generator)
                each.optimizer.state[main]["exp_avg"] = torch.randn(main.shape, generator=generator)
                each.optimizer.state[main]["exp_avg_sq"] = torch.rand(main.shape, generator=generator)
        each._copy_main_params_to_model_params()
    for chunk in model:
        if get_args().use_distributed_optimizer:
            chunk.start_param_sync(force_sync=True)


def rank(number, folder, job):
    os.chdir(folder)  # `args` keep where they are saved to
    made = ["--save", ".", "--save-interval", "10", "--no-save-tokenizer-assets", *holds.COMMON, *holds.degrees(job)]
    model, optimizer, scheduler = holds.set_up(job, number, made)
    args = get_args()
    moved(optimizer, model)
    scheduler.step(STEPS * args.global_batch_size)
    args.consumed_train_samples = STEPS * args.global_batch_size
    for format in ("torch", "torch_dist"):
        args.save, args.ckpt_format, args.use_dist_ckpt = format, format, format == "torch_dist"
        save_checkpoint(STEPS, model, optimizer, scheduler, 0)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29544")
    folder, job = sys.argv[1], holds.DEFAULTS | json.loads(sys.argv[2])
    os.makedirs(folder)
    mp.start_processes(rank, (folder, job), nprocs=holds.world(job), start_method="fork")
