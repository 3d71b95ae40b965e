package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The first rank's optimizer file, which new ones are made of; or what DeepSpeed's universal form
/// kept of it.
///
/// @param states what is under `optimizer_state_dict`
/// @param kind of the optimizer that wrote it
/// @param elastic the optimizer's states are a list of groups without padding
///   (`elastic_checkpoint`)
/// @param paramGroups hyperparameters of each group
record OptimizerModel(
        CarriedFile file,
        PyDict root,
        PyDict states,
        Kind kind,
        boolean elastic,
        List<PickleValue> paramGroups) {
    /// Which class of DeepSpeed holds the optimizer's states.
    enum Kind {
        /// `runtime/bf16_optimizer.py`: stage 1 with bf16 weights and fp32 gradients.
        BF16,
        /// `runtime/zero/stage_1_and_2.py`.
        STAGE_1_2,
        /// `runtime/zero/stage3.py`.
        STAGE_3,
        /// torch's own: no ZeRO, fp32 weights.
        PLAIN,
        /// `runtime/fp16/fused_optimizer.py`: no ZeRO, 16-bit weights, a flat master a group.
        FUSED,
        /// `runtime/fp16/unfused_optimizer.py`: no ZeRO, 16-bit weights, a master a parameter.
        UNFUSED;

        /// Kept in the model states, for no rank has a part of its own.
        boolean whole() {
            return this == PLAIN || this == FUSED || this == UNFUSED;
        }

        /// Where the states of the training script's optimizer are, among those of this one.
        Optional<String> base() {
            return switch (this) {
                case BF16, STAGE_1_2 -> Optional.of(BASE);
                case STAGE_3, FUSED, UNFUSED -> Optional.of(OptimizerModel.STATES);
                case PLAIN -> Optional.empty();
            };
        }
    }

    static final String STATES = "optimizer_state_dict";
    static final String BASE = "base_optimizer_state";
    static final String STAGE = "zero_stage";
    private static final String GROUPS = "param_groups";

    static final String FLAT_1_2 = "single_partition_of_fp32_groups";
    static final String FLAT_3 = "fp32_flat_groups";
    static final String FLAT_0 = "fp32_groups_flat";
    static final String EACH_0 = "fp32_groups";

    /// Where the model states have the optimizer of a job without ZeRO.
    static final String WHOLE = "optimizer";

    static OptimizerModel of(SourceFiles source) {
        return source.firstOptimizer()
                .map(file -> of(source, file))
                .or(
                        () ->
                                source.hasWholeOptimizer()
                                        ? Optional.empty()
                                        : source.common().map(file -> universal(source, file)))
                .orElseGet(() -> whole(source));
    }

    /// No optimizer at all: weights alone.
    static OptimizerModel none(SourceFiles source) {
        return new OptimizerModel(
                source.firstModel(),
                root(source, PyDict.empty()),
                PyDict.empty(),
                Kind.PLAIN,
                false,
                List.of());
    }

    /// Of a job without ZeRO, the first rank's model states have it.
    private static OptimizerModel whole(SourceFiles source) {
        CarriedFile file = source.firstModel();
        PyDict states =
                SourceFiles.dict(file)
                        .find(WHOLE)
                        .flatMap(PickleValue::asDict)
                        .orElseThrow(() -> unknown(file, "no `optimizer`"));
        Kind kind =
                states.has(FLAT_0) ? Kind.FUSED : states.has(EACH_0) ? Kind.UNFUSED : Kind.PLAIN;
        List<PickleValue> groups =
                baseOf(states, kind)
                        .flatMap(b -> b.find(GROUPS))
                        .flatMap(PickleValue::asSequence)
                        .orElseThrow(() -> unknown(file, "no `param_groups`"));
        for (CarriedFile other : source.models()) {
            SourceFiles.dict(other)
                    .find(WHOLE)
                    .flatMap(PickleValue::asDict)
                    .flatMap(o -> baseOf(o, kind))
                    .flatMap(b -> b.find(GROUPS))
                    .flatMap(PickleValue::asSequence)
                    .filter(others -> others.size() == groups.size()) // a stage may lack some
                    .ifPresent(
                            others ->
                                    sameGroups(
                                            new RankGroups(file, groups),
                                            new RankGroups(other, others)));
        }
        return new OptimizerModel(file, root(source, states), states, kind, false, groups);
    }

    private static Optional<PickleValue> baseOf(PyDict states, Kind kind) {
        return kind.base().isEmpty() ? Optional.of(states) : states.find(kind.base().get());
    }

    /// What a rank's optimizer file has around its states.
    private static PyDict root(SourceFiles source, PyDict states) {
        PyDict root = PyDict.empty().with(STATES, states);
        for (String key : List.of("ds_config", "ds_version")) {
            Optional<PickleValue> value = SourceFiles.dict(source.firstModel()).find(key);
            root = value.isPresent() ? root.with(key, value.get()) : root;
        }
        return root;
    }

    /// DeepSpeed's universal form keeps the first rank's `optimizer_state_dict` without what is
    /// cut, of stage 3 with it.
    ///
    /// Source: DeepSpeed `checkpoint/ds_to_universal.py` (`_save_optimizer_state`).
    private static OptimizerModel universal(SourceFiles source, CarriedFile file) {
        PyDict states = SourceFiles.dict(file);
        Kind kind =
                states.has(FLAT_3)
                        ? kind(file, states)
                        : states.has(STAGE) ? Kind.STAGE_1_2 : Kind.BF16;
        List<PickleValue> groups =
                states.find(GROUPS).flatMap(PickleValue::asSequence).orElse(List.of());
        return new OptimizerModel(
                file, root(source, states), states.without(GROUPS), kind, false, groups);
    }

    private static OptimizerModel of(SourceFiles source, CarriedFile file) {
        PyDict root = SourceFiles.dict(file);
        PyDict states =
                root.find(STATES)
                        .flatMap(PickleValue::asDict)
                        .orElseThrow(() -> unknown(file, "no `optimizer_state_dict`"));
        Kind kind = kind(file, states);
        Optional<PickleValue> inner = states.find(inner(kind));
        boolean elastic = inner.flatMap(PickleValue::asSequence).isPresent();
        List<PickleValue> groups =
                inner.flatMap(i -> i.find(GROUPS))
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of());
        RankGroups first = new RankGroups(file, groups);
        for (CarriedFile other : source.optimizers()) {
            List<PickleValue> others =
                    other.root()
                            .flatMap(r -> r.find(STATES, inner(kind), GROUPS))
                            .flatMap(PickleValue::asSequence)
                            .orElse(List.of());
            sameGroups(first, new RankGroups(other, others));
        }
        return new OptimizerModel(file, root, states, kind, elastic, groups);
    }

    private static String inner(Kind kind) {
        return kind == Kind.STAGE_3 ? STATES : BASE;
    }

    /// Every rank has the same groups, with the same hyperparameters.
    private static void sameGroups(RankGroups first, RankGroups other) {
        first.unlike(other)
                .ifPresent(
                        found -> {
                            throw new RefusedException(
                                    other.file().path(),
                                    found,
                                    "the same on every rank",
                                    "--to deepspeed-universal keeps the first rank's and says so");
                        });
    }

    private static Kind kind(CarriedFile file, PyDict states) {
        if (states.has(FLAT_3)) {
            return Kind.STAGE_3;
        }
        if (states.has(FLAT_1_2)) {
            return states.has(STAGE) ? Kind.STAGE_1_2 : Kind.BF16;
        }
        throw unknown(file, "neither `%s` nor `%s`".formatted(FLAT_1_2, FLAT_3));
    }

    private static RefusedException unknown(CarriedFile file, String found) {
        return new RefusedException(
                file.path(),
                found,
                "the states of an optimizer of ZeRO 0, 1, 2 or 3",
                "--to deepspeed-universal, which holds each parameter by itself");
    }

    /// FusedAdam, by the hyperparameters that it has and those that CPUAdam and FusedLamb add.
    ///
    /// Source: DeepSpeed `ops/adam/fused_adam.py`, `ops/adam/cpu_adam.py`,
    /// `ops/lamb/fused_lamb.py`.
    boolean isFused() {
        return !paramGroups.isEmpty()
                && paramGroups.stream()
                        .allMatch(
                                g ->
                                        g.find("bias_correction").isPresent()
                                                && g.find("amsgrad").isEmpty()
                                                && g.find("max_grad_norm").isEmpty());
    }

    /// Older optimizers keep the step beside the hyperparameters.
    boolean keepsForGroup(int group, String name) {
        return group < paramGroups.size() && paramGroups.get(group).find(name).isPresent();
    }

    /// The states of a group as the file has them; of stage 3 those of its first sub-group. Their
    /// tensors are replaced, so only the names and their order matter.
    Map<String, PickleValue> statesOf(int group) {
        Optional<PickleValue> held;
        if (elastic) {
            List<PickleValue> all =
                    states.find(BASE).flatMap(PickleValue::asSequence).orElse(List.of());
            held = group < all.size() ? Optional.of(all.get(group)) : Optional.empty();
        } else {
            Optional<PickleValue> index =
                    group >= paramGroups.size()
                            ? Optional.empty()
                            : paramGroups
                                    .get(group)
                                    .find("params")
                                    .flatMap(PickleValue::asSequence)
                                    .flatMap(p -> p.stream().findFirst());
            held =
                    index.flatMap(
                            i ->
                                    baseOf(states, kind)
                                            .flatMap(s -> s.find("state"))
                                            .flatMap(PickleValue::asDict)
                                            .flatMap(d -> d.find(i)));
        }
        Map<String, PickleValue> names = new LinkedHashMap<>();
        List<PyDict.Entry> entries =
                new ArrayList<>(
                        held.flatMap(PickleValue::asDict).map(PyDict::entries).orElse(List.of()));
        entries.forEach(e -> e.key().asText().ifPresent(k -> names.put(k, e.value())));
        return names;
    }
}
