package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyText;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/// `ds_config` as the job is to have it.
///
/// @param dict of the source
/// @param stage of the target
/// @param dtype of the weights, where it is not the source's
record Configuration(
        PyDict dict, Batch batch, int stage, boolean sameStage, Optional<String> dtype) {
    private static final String ZERO = "zero_optimization";

    /// `stage3.py`'s own default.
    private static final long DEFAULT_SUB_GROUP = 1_000_000_000L;

    /// The sections of 16-bit training.
    private static final List<String> SECTIONS = List.of("bf16", "fp16");

    /// @param source as it is there
    static Configuration of(
            PyDict source, Batch batch, int stage, boolean sameStage, Optional<String> asked) {
        Configuration own = new Configuration(source, batch, stage, sameStage, Optional.empty());
        Optional<String> other = asked.filter(dtype -> !dtype.equals(own.weights()));
        return new Configuration(
                other.map(dtype -> own.retyped(source, dtype)).orElse(source),
                batch,
                stage,
                sameStage,
                other);
    }

    private PyDict retyped(PyDict config, String to) {
        PyDict changed = config;
        for (String section : SECTIONS) {
            boolean on = section.equals(to);
            if (on || config.has(section)) {
                PyDict of =
                        config.find(section).flatMap(PickleValue::asDict).orElse(PyDict.empty());
                changed = changed.with(section, of.with("enabled", new PyBool(on)));
            }
        }
        Optional<PyDict> types = config.find("data_types").flatMap(PickleValue::asDict);
        boolean follows = gradientDtype().filter(weights()::equals).isPresent();
        return follows && types.isPresent()
                ? changed.with("data_types", types.get().with("grad_accum_dtype", PyText.of(to)))
                : changed;
    }

    PyDict changed() {
        return changed(dict);
    }

    /// Any copy of the configuration, e.g. the script's.
    PyDict changed(PyDict copy) {
        PyDict changed = batch.in(dtype.isPresent() ? retyped(copy, dtype.get()) : copy);
        Optional<PyDict> zero = copy.find(ZERO).flatMap(PickleValue::asDict);
        if (!sameStage) {
            changed =
                    changed.with(ZERO, zero.orElse(PyDict.empty()).with("stage", PyInt.of(stage)));
        }
        return changed;
    }

    boolean enabled(String section) {
        return dict.find(section)
                .flatMap(s -> s.find("enabled"))
                .filter(v -> v.equals(new PyBool(true)))
                .isPresent();
    }

    /// Of the model's weights.
    String weights() {
        return enabled("bf16") ? "bf16" : enabled("fp16") ? "fp16" : "fp32";
    }

    /// That gradients are accumulated in, absent where it is that of the weights.
    Optional<String> gradientDtype() {
        return dict.find("data_types")
                .flatMap(d -> d.find("grad_accum_dtype"))
                .flatMap(PickleValue::asText)
                .map(
                        name ->
                                switch (name) {
                                    case "bfloat16" -> "bf16";
                                    case "float16", "half" -> "fp16";
                                    case "float32", "float" -> "fp32";
                                    default -> name;
                                });
    }

    /// Elements of a rank's part at which a sub-group of stage 3 ends.
    long subGroupSize() {
        OptionalLong size =
                dict.find(ZERO)
                        .flatMap(z -> z.find("sub_group_size"))
                        .map(v -> whole(v))
                        .orElse(OptionalLong.empty());
        return size.orElse(DEFAULT_SUB_GROUP);
    }

    /// `1e9` is a float.
    private static OptionalLong whole(PickleValue value) {
        if (value.asLong().isPresent()) {
            return value.asLong();
        }
        return value.asDouble().isPresent()
                ? OptionalLong.of((long) value.asDouble().getAsDouble())
                : OptionalLong.empty();
    }

    boolean roundRobin() {
        return dict.find(ZERO)
                .flatMap(z -> z.find("round_robin_gradients"))
                .filter(v -> v.equals(new PyBool(true)))
                .isPresent();
    }

    /// Expert-parallel ranks are blocks of data-parallel ones.
    boolean expertsInBlocks() {
        return dict.find("use_data_before_expert_parallelism")
                .filter(v -> v.equals(new PyBool(true)))
                .isPresent();
    }

    private boolean offloaded() {
        boolean old =
                dict.find(ZERO)
                        .flatMap(z -> z.find("cpu_offload"))
                        .filter(v -> v.equals(new PyBool(true)))
                        .isPresent();
        return old
                || dict.find(ZERO)
                        .flatMap(z -> z.find("offload_optimizer"))
                        .flatMap(o -> o.find("device"))
                        .flatMap(PickleValue::asText)
                        .filter("cpu"::equals)
                        .isPresent();
    }

    /// Which optimizer DeepSpeed would build for stage 1: `BF16_Optimizer` for bf16 weights whose
    /// gradients are accumulated in fp32.
    ///
    /// Source: DeepSpeed `runtime/engine.py` (`_do_optimizer_sanity_check`).
    boolean wantsBf16Optimizer() {
        boolean fp32 = gradientDtype().filter("fp32"::equals).isPresent();
        return stage == 1 && fp32 && enabled("bf16") && !offloaded();
    }

    double gradientClipping() {
        return dict.find("gradient_clipping").map(v -> v.asDouble().orElse(0)).orElse(0.0);
    }
}
