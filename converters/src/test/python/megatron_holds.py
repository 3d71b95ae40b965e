"""megatron_holds.py JOB..: Megatron-LM loads checkpoints of one state, each by a job of its own degrees.

A JOB is JSON with `load`, a folder with a tracker file, and what differs from DEFAULTS. Its model is made of the `args` in the checkpoint
(`--use-checkpoint-args`), what is loaded has to be all there is. The first job says what all others have to hold: every weight, master and
moment of the whole parameters bit for bit, and the facts."""
import json
import os
import sys
import tempfile

import gloo  # before what uses it
import no_cuda  # before what looks for CUDA
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from megatron.core import mpu, parallel_state, tensor_parallel
from megatron.core.enums import ModelType
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec
from megatron.core.optimizer import DistributedOptimizer
from megatron.core.utils import unwrap_model
from megatron.training.arguments import core_transformer_config_from_args, parse_args, validate_args
from megatron.training.checkpointing import load_args_from_checkpoint
from megatron.training.global_vars import get_args, set_global_variables
from megatron.training.initialize import _set_random_seed
from megatron.training.training import setup_model_and_optimizer

DEFAULTS = {
    "tp": 1,
    "pp": 1,
    "vpp": 1,
    "dp": 1,
    "ep": 1,
    "etp": 0,  # tp
    "plain": False,  # no distributed optimizer
    "weights": False,  # --no-load-optim, --finetune
    "facts": True,
    "more": [],  # arguments
}
VOCABULARY = 93  # of every model here
LAYERS = "decoder.layers."
EXPERTS = "mlp.experts.local_experts."
EMBEDDING, HEAD = "embedding.word_embeddings.weight", "output_layer.weight"


def world(job):
    return job["tp"] * job["pp"] * job["dp"]


COMMON = [
    *("--transformer-impl", "local", "--distributed-backend", "gloo", "--use-cpu-initialization", "--bf16"),
    *("--micro-batch-size", "1", "--train-iters", "10", "--lr", "0.01", "--min-lr", "0.001", "--lr-decay-style", "cosine"),
    *("--no-gradient-accumulation-fusion", "--no-masked-softmax-fusion", "--no-persist-layer-norm", "--no-rope-fusion"),
    *("--no-bias-swiglu-fusion", "--no-bias-gelu-fusion", "--tokenizer-type", "NullTokenizer", "--vocab-size", str(VOCABULARY)),
]


def degrees(job):
    made = ["--tensor-model-parallel-size", job["tp"], "--pipeline-model-parallel-size", job["pp"]]
    if not job["plain"]:
        made += ["--use-distributed-optimizer"]
    if job["vpp"] > 1:
        made += ["--num-virtual-stages-per-pipeline-rank", job["vpp"]]
    if job["ep"] > 1:
        made += ["--expert-model-parallel-size", job["ep"]]
    if job["etp"]:
        made += ["--expert-tensor-parallel-size", job["etp"]]
    if job["ep"] > 1 and job["tp"] > 1:
        made += ["--sequence-parallel"]
    return [*map(str, made), *job["more"]]


def arguments(job, format):
    made = ["--load", job["load"], "--ckpt-format", format, "--use-checkpoint-args", "--exit-on-missing-checkpoint"]
    made += ["--finetune", "--no-load-optim", "--no-load-rng"] if job["weights"] else []
    if "--override-opt_param-scheduler" not in job["more"]:
        made += ["--use-checkpoint-opt_param-scheduler"]
    return made + COMMON + degrees(job)


def start(arguments):
    sys.argv = ["megatron", *arguments]
    args = parse_args()
    if args.load:
        load_args_from_checkpoint(args)
    validate_args(args)
    set_global_variables(args, build_tokenizer=False)
    dist.init_process_group("gloo", rank=args.rank, world_size=args.world_size)
    mpu.initialize_model_parallel(
        args.tensor_model_parallel_size,
        args.pipeline_model_parallel_size,
        args.virtual_pipeline_model_parallel_size,
        expert_model_parallel_size=args.expert_model_parallel_size,
        expert_tensor_parallel_size=args.expert_tensor_parallel_size,
    )
    _set_random_seed(99)
    tensor_parallel.model_parallel_cuda_manual_seed(99)  # so that there are states to load


def provider(pre_process=True, post_process=True, vp_stage=None, config=None, pg_collection=None):
    args = get_args()
    config = config or core_transformer_config_from_args(args)
    config.sequence_parallel = False  # which torch's norms do not know; it cuts no parameter
    return GPTModel(
        config=config,
        transformer_layer_spec=get_gpt_decoder_block_spec(config, False, args.normalization, vp_stage=vp_stage),
        vocab_size=args.padded_vocab_size,
        max_sequence_length=args.max_position_embeddings,
        pre_process=pre_process,
        post_process=post_process,
        share_embeddings_and_output_weights=not args.untie_embeddings_and_output_weights,
        position_embedding_type=args.position_embedding_type,
        vp_stage=vp_stage,
        pg_collection=pg_collection,
    )


def set_up(job, number, arguments):
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=str(world(job)), CUDA_DEVICE_MAX_CONNECTIONS="1")
    torch.set_num_threads(1)
    no_cuda.start()
    if number:
        sys.stdout = open(os.devnull, "w")
    start(arguments)
    strictly()
    return setup_model_and_optimizer(ModelType.encoder_or_decoder, provider)


def strictly():
    """Megatron loads a second time what does not fit, without being strict."""
    load = torch.nn.Module.load_state_dict

    def loaded(module, state, strict=True, **named):
        assert strict, "the state dict does not fit the model"
        return load(module, state, strict=strict, **named)

    torch.nn.Module.load_state_dict = loaded


def optimizers(optimizer):
    return getattr(optimizer, "chained_optimizers", [optimizer])


def flats(optimizer):
    """Of every parameter of this rank's, where its stretch of the flat states begins and the states."""
    found = {}
    for each in optimizers(optimizer):
        if isinstance(each, DistributedOptimizer):
            for parameter in each.model_param_group_index_map:
                start = each._get_model_param_range_map(parameter)["param"].start
                found[parameter] = start, each._get_main_param_and_optimizer_states(parameter)
        else:
            for group in each.optimizer.param_groups:
                for main in group["params"]:
                    found[main] = 0, {"param": main} | {k: v for k, v in each.optimizer.state[main].items() if torch.is_tensor(v)}
    return found


def name_of(module, name):
    """A file counts layers in its own chunk and experts on its own rank."""
    if name.startswith(LAYERS):
        number, rest = name[len(LAYERS) :].split(".", 1)
        name = f"{LAYERS}{module.decoder.layers[int(number)].layer_number - 1}.{rest}"
    if EXPERTS in name:
        before, rest = name.split(EXPERTS)
        number, rest = rest.split(".", 1)
        args = get_args()
        mine = args.num_experts // args.expert_model_parallel_size
        name = f"{before}{EXPERTS}{int(number) + mine * mpu.get_expert_model_parallel_rank()}.{rest}"
    return name


def held_here(model, optimizer):
    flat = flats(optimizer)
    for module in unwrap_model(model):
        for name, parameter in module.named_parameters():
            expert = EXPERTS in name
            cut = getattr(parameter, "tensor_model_parallel", False)
            start, states = flat.get(parameter, flat.get(getattr(parameter, "main_param", None), (0, {})))
            yield {
                "name": name_of(module, name),
                "rank": parallel_state.get_expert_tensor_parallel_rank() if expert else mpu.get_tensor_model_parallel_rank(),
                "dim": parameter.partition_dim if cut else None,
                "halves": ".linear_fc1." in name and module.config.gated_linear_unit,
                "weight": parameter.detach().clone(),
                "start": start,
                "states": {key: value.detach().clone() for key, value in states.items()},
            }


def facts(args, optimizer, scheduler):
    groups = set()
    for each in optimizers(optimizer):
        for group in each.param_groups:
            groups.add(json.dumps({key: value for key, value in group.items() if key != "params"}, sort_keys=True))
    return {
        "iteration": args.iteration,
        "samples": args.consumed_train_samples,
        "scheduler": scheduler.state_dict(),
        "groups": groups,
    }


def rank(number, job, format, out):
    model, optimizer, scheduler = set_up(job, number, arguments(job, format))
    held = {"parameters": list(held_here(model, optimizer)), "facts": facts(get_args(), optimizer, scheduler)}
    torch.save(held, f"{out}/{number}")
    dist.barrier()
    dist.destroy_process_group()


def same(value, other):
    return value.dtype == other.dtype and torch.equal(value.view(torch.uint8), other.view(torch.uint8))


def joined(shards, dim, halves):
    if dim is None:
        assert all(same(shard, shards[0]) for shard in shards)
        return shards[0]
    if halves:
        pairs = [shard.chunk(2, dim) for shard in shards]
        return torch.cat([half for number in (0, 1) for half in (pair[number] for pair in pairs)], dim)
    return torch.cat(shards, dim)


def shard_of(parts, state):
    """A rank's shard of a state, of the stretches that its data-parallel ranks hold."""
    whole = torch.full((parts[0]["weight"].numel(),), float("nan"))
    seen = torch.zeros(whole.numel(), dtype=torch.bool)
    for part in parts:
        if state in part["states"]:
            value = part["states"][state].reshape(-1)
            place = slice(part["start"], part["start"] + value.numel())
            assert not seen[place].any() or same(whole[place], value.float()), (part["name"], state)
            whole[place], seen[place] = value, True
    return whole.view(parts[0]["weight"].shape) if seen.all() else None


def held(job):
    """The whole states of all parameters, and what Megatron keeps beside them."""
    job = DEFAULTS | job
    with open(os.path.join(job["load"], "latest_checkpointed_iteration.txt")) as tracker:
        tag = tracker.read().strip()
    folder = tag if tag == "release" else f"iter_{int(tag):07d}"
    format = "torch_dist" if os.path.exists(os.path.join(job["load"], folder, ".metadata")) else "torch"
    with tempfile.TemporaryDirectory() as out:
        mp.start_processes(rank, (job, format, out), nprocs=world(job), start_method="fork")
        ranks = [torch.load(f"{out}/{number}", weights_only=False) for number in range(world(job))]
    by_name = {}
    for each in ranks:
        for part in each["parameters"]:
            by_name.setdefault(part["name"], {}).setdefault(part["rank"], []).append(part)
    states = {}
    for name, by_rank in by_name.items():
        shards = [parts for _, parts in sorted(by_rank.items())]
        dim, halves = shards[0][0]["dim"], shards[0][0]["halves"]
        for parts in shards:
            assert all(same(part["weight"], parts[0]["weight"]) for part in parts), name
        states["weight", name] = joined([parts[0]["weight"] for parts in shards], dim, halves)
        for state in () if job["weights"] else ("param", "exp_avg", "exp_avg_sq"):
            states[state, name] = joined([shard_of(parts, state) for parts in shards], dim, halves)
    facts = ranks[0]["facts"]
    for each in ranks[1:]:
        assert each["facts"] == facts, (each["facts"], facts)
    return {"states": states, "facts": facts}


def real(states):
    """Without rows past the vocabulary, which follow the tensor-parallel degree."""
    return {key: value[:VOCABULARY] if key[1] in (EMBEDDING, HEAD) else value for key, value in states.items()}


def compared(first, other, job):
    """How many states are the same; what is not is an error."""
    wanted, found = real(first["states"]), real(other["states"])
    for one, another in ((wanted, found), (found, wanted)):
        for state, name in [key for key in one if key[1] == HEAD and key not in another]:
            assert same(one.pop((state, HEAD)), one[state, EMBEDDING]), "the tied head is not the embeddings"
    if job.get("weights"):
        wanted = {key: value for key, value in wanted.items() if key[0] == "weight"}
    assert set(wanted) == set(found), sorted(set(wanted) ^ set(found))[:8]
    for key, value in wanted.items():
        assert value.shape == found[key].shape and same(value, found[key]), key
        assert value.any() or key[0] != "exp_avg_sq", key
    if job.get("facts", True):
        assert first["facts"] == other["facts"], (first["facts"], other["facts"])
    return len(wanted)


if __name__ == "__main__":
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=gloo.free_port())
    jobs = [json.loads(text) for text in sys.argv[1:]]
    first = held(jobs[0])
    for job in jobs[1:]:
        print(compared(first, held(job), job), "states are equal:", json.dumps(job), flush=True)
