package io.ucp.formats.mcore;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// The files of a job that there was none of, for a state that another framework wrote: `args` with
/// what Megatron-LM checks, and what `--use-checkpoint-args` takes, as far as names and numbers of
/// the model say it. The rest is the command line's.
///
/// Source: Megatron-LM `training/checkpointing.py` (`check_checkpoint_args`,
/// `load_args_from_checkpoint`).
public final class MadeArguments {
    private static final Map<String, String> NUMBERS =
            Map.of(
                    "num_layers", "layers",
                    "hidden_size", "hidden",
                    "ffn_hidden_size", "ffn",
                    "num_attention_heads", "heads",
                    "kv_channels", "head_dim",
                    "max_position_embeddings", "positions",
                    "vocab_size", "vocab",
                    "make_vocab_size_divisible_by", "vocab_multiple",
                    "num_experts", "experts",
                    "moe_ffn_hidden_size", "moe_ffn");

    private final WriteRequest request;
    private final TrainingState training;
    private final boolean sharded;
    private final Map<String, PickleValue> args = new LinkedHashMap<>();

    private MadeArguments(WriteRequest request, boolean sharded) {
        this.sharded = sharded;
        this.request = request;
        this.training = TrainingState.of(request);
    }

    /// The request with the iteration that its optimizer counted, where the source says no other:
    /// of a release without one Megatron-LM loads weights alone.
    public static WriteRequest dated(WriteRequest request) {
        OptionalLong steps = TrainingState.of(request).steps(request);
        return new WriteRequest(
                request.tag(),
                steps,
                request.origin(),
                request.parameters(),
                request.hints(),
                request.carried(),
                request.foreign(),
                request.options(),
                request.job());
    }

    /// What to tell of a state that another framework wrote.
    ///
    /// @param optimizer settings of its optimizer, where it has one
    public static List<String> notes(WriteRequest request, Optional<OptimizerSettings> optimizer) {
        List<String> notes = new ArrayList<>();
        notes.add(
                "`args` are made of the names and numbers of the model: what these do not say, the"
                        + " command line of the job has to");
        TrainingState.of(request).counted(request).ifPresent(notes::add);
        boolean masters =
                request.parameters().stream()
                        .filter(p -> p.trainable() && !p.buffer())
                        .noneMatch(p -> p.states().containsKey("weight"));
        if (masters) {
            notes.add("weights are fp32, as the source has masters alone: a job without --bf16");
        }
        notes.add(
                "Megatron-LM begins with new random generators: --no-load-rng"
                        + (optimizer.isPresent()
                                ? ""
                                : ", and with a new optimizer: --no-load-optim"));
        optimizer.flatMap(MadeArguments::rates).ifPresent(notes::add);
        if (optimizer.isPresent() && TrainingState.of(request).schedule().isEmpty()) {
            notes.add(
                    "the source has no schedule of Megatron-LM's: the one that is written keeps the"
                            + " rate, the job's own begins with --override-opt_param-scheduler");
        }
        return notes;
    }

    /// Without one Megatron-LM loads no optimizer: what stays as it is says nothing that the source
    /// does not.
    private Optional<PyDict> schedule() {
        Optional<PyDict> group =
                request.parameters().stream()
                        .filter(p -> p.trainable() && !p.buffer() && p.optimizerGroup() >= 0)
                        .flatMap(p -> training.group(p.optimizerGroup()).stream())
                        .findFirst();
        Optional<PickleValue> rate = group.flatMap(MadeSettings::highest);
        if (training.schedule().isPresent() || rate.isEmpty()) {
            return training.schedule();
        }
        PyInt samples = PyInt.of(training.trainSamples().orElse(0));
        PickleValue decay = group.flatMap(g -> g.find("weight_decay")).orElse(new PyFloat(0));
        return Optional.of(
                PyDict.empty()
                        .with("max_lr", rate.get())
                        .with("lr_warmup_steps", PyInt.of(0))
                        .with("num_steps", samples)
                        .with("lr_decay_style", PyText.of("constant"))
                        .with("lr_decay_steps", samples)
                        .with("min_lr", new PyFloat(0))
                        .with("start_wd", decay)
                        .with("end_wd", decay)
                        .with("wd_incr_style", PyText.of("constant"))
                        .with("wd_incr_steps", samples));
    }

    /// Groups are told apart by the bounds of their rate too, which a job has of its command line.
    private static Optional<String> rates(OptimizerSettings optimizer) {
        PyDict group = optimizer.groups().values().iterator().next();
        return group.find("max_lr")
                .flatMap(
                        max ->
                                group.find("min_lr")
                                        .map(
                                                min ->
                                                        ("Megatron-LM finds the groups of its"
                                                             + " optimizer by their rates: --lr %s"
                                                             + " --min-lr %s")
                                                                .formatted(max, min)));
    }

    /// One rank, whose files hold all that is not a parameter.
    ///
    /// @param sharded of a checkpoint whose optimizer is whoever's shares its parameters
    public static SourceModel of(WriteRequest request, boolean sharded) {
        MadeArguments made = new MadeArguments(request, sharded);
        PyObject namespace = made.namespace();
        Map<String, PickleValue> root = new LinkedHashMap<>();
        root.put("args", namespace);
        root.put("checkpoint_version", new PyFloat(3.0));
        OptionalLong iteration = request.iteration();
        root.put("iteration", PyInt.of(iteration.orElse(0)));
        root.put("model", PyDict.empty());
        // Whether there is one, and which, the tree of the target says.
        root.put("optimizer", PyDict.empty());
        made.schedule().ifPresent(s -> root.put("opt_param_scheduler", s));
        PyDict dict = PyDict.of(root);
        CarriedFile file =
                new CarriedFile(
                        Roles.MODEL_FILE,
                        Roles.MODEL,
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(dict),
                        Map.of());
        Arguments arguments = new Arguments(namespace);
        return new SourceModel(
                new Grid(1, 1, 1, 1, 1, 1, 1, arguments.experts()),
                arguments,
                List.of(new SourceModel.Rank(0, 0, 0, file, dict)));
    }

    private PyObject namespace() {
        Map<String, Long> numbers = request.hints().numbers();
        NUMBERS.entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .forEach(
                        e -> {
                            Long number = numbers.get(e.getValue());
                            args.put(e.getKey(), number == null ? PyNone.NONE : PyInt.of(number));
                        });
        if (!anyOf(".experts.")) {
            args.put("num_experts", PyNone.NONE);
            args.put("moe_ffn_hidden_size", PyNone.NONE);
        }
        layers();
        attention(numbers);
        is("swiglu", isGated());
        if (anyOf(".mlp.experts.weight1")) {
            is("moe_grouped_gemm", true);
            is("moe_use_legacy_grouped_gemm", true);
        }
        is("untie_embeddings_and_output_weights", anyOf(Names.HEAD));
        is("add_bias_linear", anyOf(".linear_proj.bias"));
        is("add_qkv_bias", anyOf(".linear_qkv.bias"));
        is("qk_layernorm", anyOf(".q_layernorm."));
        is("add_position_embedding", true);
        boolean learned = anyOf("position_embeddings");
        args.put("position_embedding_type", PyText.of(learned ? "learned_absolute" : "rope"));
        boolean centered = anyOf("layernorm.bias") || anyOf("layer_norm_bias");
        args.put("normalization", PyText.of(centered ? "LayerNorm" : "RMSNorm"));
        boolean apart = anyOf(".input_layernorm.");
        args.put("transformer_impl", PyText.of(apart ? "local" : "transformer_engine"));
        DType dtype = dtype();
        is("bf16", dtype == DType.BFLOAT16);
        is("fp16", dtype == DType.FLOAT16);
        args.put("params_dtype", new PyGlobal("torch", dtype.torchName()));
        args.put("ckpt_format", PyText.of(sharded ? "torch_dist" : "torch"));
        is("use_distributed_optimizer", sharded);
        is("data_parallel_random_init", false);
        for (String degree :
                List.of(
                        "tensor_model_parallel_size",
                        "pipeline_model_parallel_size",
                        "expert_model_parallel_size",
                        "expert_tensor_parallel_size",
                        "context_parallel_size",
                        "data_parallel_size",
                        "world_size",
                        "padded_vocab_size")) {
            args.put(degree, PyInt.of(1));
        }
        for (String absent :
                List.of(
                        "virtual_pipeline_model_parallel_size",
                        "num_layers_per_virtual_pipeline_stage",
                        "decoder_first_pipeline_num_layers",
                        "decoder_last_pipeline_num_layers")) {
            args.put(absent, PyNone.NONE);
        }
        args.put("rank", PyInt.of(0));
        training.sampleTokens().ifPresent(n -> args.put("seq_length", PyInt.of(n)));
        args.put("consumed_train_samples", PyInt.of(training.trainSamples().orElse(0)));
        args.put("consumed_valid_samples", PyInt.of(training.validSamples().orElse(0)));
        return PyObject.namespace(PyDict.of(args));
    }

    private void layers() {
        long layers =
                language().stream()
                        .flatMap(p -> Names.layer(p.name()).stream())
                        .mapToLong(l -> l + 1)
                        .max()
                        .orElse(0);
        args.put("num_layers", PyInt.of(layers));
    }

    private void attention(Map<String, Long> numbers) {
        Long heads = numbers.get("heads");
        Long groups = numbers.get("kv_heads");
        long several = groups == null || groups.equals(heads) ? 1 : groups;
        is("group_query_attention", groups != null && !groups.equals(heads));
        args.put("num_query_groups", PyInt.of(several));
    }

    /// The first layer of an MLP has twice the rows that the second has columns.
    private boolean isGated() {
        for (ParameterFacts p : language()) {
            if (GroupedExperts.is(p.name()) && p.name().endsWith("1") && p.shape().rank() == 3) {
                String second = p.name().substring(0, p.name().length() - 1) + "2";
                return language().stream()
                        .filter(q -> q.name().equals(second))
                        .anyMatch(q -> q.shape().dim(1) * 2 == p.shape().dim(2));
            }
            boolean first =
                    p.name().endsWith("linear_fc1.weight")
                            || p.name().endsWith("linear_fc1.weight0");
            if (first && p.shape().rank() == 2) {
                String second = p.name().replace("linear_fc1", "linear_fc2");
                return language().stream()
                        .filter(q -> q.name().equals(second))
                        .anyMatch(q -> q.shape().dim(1) * 2 == p.shape().dim(0));
            }
        }
        return false;
    }

    private DType dtype() {
        return request.parameters().stream()
                .flatMap(p -> Optional.ofNullable(p.states().get("weight")).stream())
                .findFirst()
                .orElse(DType.FLOAT32);
    }

    /// Without the vision tower and the projector, which `args` say nothing of.
    private List<ParameterFacts> language() {
        return request.parameters().stream().filter(p -> !p.name().startsWith("vision_")).toList();
    }

    private boolean anyOf(String part) {
        return language().stream().anyMatch(p -> p.name().contains(part));
    }

    private void is(String name, boolean value) {
        args.put(name, new PyBool(value));
    }
}
