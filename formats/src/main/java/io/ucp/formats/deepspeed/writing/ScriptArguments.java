package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/// `args`: what Megatron-DeepSpeed was called with, and what it made of it.
///
/// Source: Megatron-DeepSpeed `megatron/arguments.py`, `megatron/checkpointing.py`.
record ScriptArguments(
        Ranks ranks,
        ExpertPlaces experts,
        Configuration configuration,
        OptionalLong paddedVocabulary,
        boolean oneNode) {
    private static final String EXPERTS_CUT = "enable_expert_tensor_parallelism";

    /// @param value the source's, of any kind: what is no namespace stays as it is
    PickleValue changed(PickleValue value, int mp) {
        Optional<PyDict> held = value.asDict();
        if (held.isEmpty()) {
            return value;
        }
        PyDict args = numbers(held.get(), mp);
        Optional<PyDict> config = args.find("deepspeed_config_dict").flatMap(PickleValue::asDict);
        if (config.isPresent()) {
            args = args.with("deepspeed_config_dict", configuration.changed(config.get()));
        }
        return value instanceof PyObject namespace ? namespace.withState(args) : args;
    }

    private PyDict numbers(PyDict of, int mp) {
        PyDict args = of;
        args = set(args, "tensor_model_parallel_size", ranks.tp());
        args = set(args, "pipeline_model_parallel_size", ranks.pp());
        boolean alone =
                of.find("standalone_embedding_stage")
                        .filter(v -> v.equals(new PyBool(true)))
                        .isPresent();
        args =
                set(
                        args,
                        "transformer_pipeline_model_parallel_size",
                        alone ? ranks.pp() - 1 : ranks.pp());
        args = set(args, "data_parallel_size", ranks.dp());
        if (experts.degree() > 0) {
            args = set(args, "moe_expert_parallel_size", experts.degree());
            if (ranks.tp() > 1 && args.has(EXPERTS_CUT)) {
                args = args.with(EXPERTS_CUT, new PyBool(experts.across() == 1));
            }
        }
        args = set(args, "world_size", ranks.world());
        args = set(args, "rank", ranks.global(mp, 0));
        if (oneNode) {
            args = set(args, "local_rank", ranks.global(mp, 0));
        }
        if (!configuration.sameStage()) {
            args = set(args, "zero_stage", configuration.stage());
        }
        if (paddedVocabulary.isPresent()) {
            args = set(args, "padded_vocab_size", paddedVocabulary.getAsLong());
        }
        if (configuration.dtype().isPresent()) {
            args = typed(args, configuration.dtype().get());
        }
        Batch batch = configuration.batch();
        if (batch.micro().isPresent()) {
            args = set(args, "micro_batch_size", batch.micro().getAsLong());
        }
        if (batch.global().isPresent()) {
            args = set(args, "global_batch_size", batch.global().getAsLong());
        }
        return args;
    }

    private static PyDict typed(PyDict of, String dtype) {
        PyDict args = of;
        for (String flag : List.of("bf16", "fp16")) {
            args = args.has(flag) ? args.with(flag, new PyBool(flag.equals(dtype))) : args;
        }
        String torch = RankHoldings.dtypeOf(dtype).torchName();
        return args.has("params_dtype")
                ? args.with("params_dtype", new PyGlobal("torch", torch))
                : args;
    }

    /// Where the script has it as a number.
    private static PyDict set(PyDict args, String key, long value) {
        return Batch.number(args, key).isPresent() ? args.with(key, PyInt.of(value)) : args;
    }
}
