package io.ucp.formats.deepspeed;

import io.ucp.formats.deepspeed.GeneratedCheckpoint.Step;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/// Writes the files of a [GeneratedCheckpoint].
final class GeneratedFiles {
    private final GeneratedCheckpoint of;
    private final Path tag;

    GeneratedFiles(GeneratedCheckpoint of, Path tag) {
        this.of = of;
        this.tag = tag;
    }

    /// A parameter's shard as one rank has it; `expert` is global.
    private record Shard(GeneratedParameter parameter, String name, int expert, Shape shape) {}

    void write() throws IOException {
        for (int stage = 0; stage < of.pp; stage++) {
            for (int tp = 0; tp < of.tp; tp++) {
                for (int dp = 0; dp < (of.stage == 3 ? of.dp : 1); dp++) {
                    model(stage, tp, dp);
                }
                for (int dp = 0; dp < of.dp && of.stage > 0; dp++) {
                    optimizer(stage, tp, dp);
                }
            }
        }
        for (int tp = 0; tp < of.tp && of.isPipeline(); tp++) {
            layers(tp);
        }
        experts();
    }

    private void save(String name, TorchTree tree, Map<String, Object> root) throws IOException {
        tree.write(tag.resolve(name), of.edit.apply(name, (PyDict) TorchTree.of(root)));
    }

    // ---- the model ----

    private void model(int stage, int tp, int dp) throws IOException {
        TorchTree tree = new TorchTree();
        SequencedMap<String, Object> module = new LinkedHashMap<>();
        SequencedMap<String, Object> fragments = new LinkedHashMap<>();
        for (GeneratedParameter p : of.parameters) {
            if (p.stages().contains(stage) && p.experts() == 0) {
                boolean empty =
                        of.stage == 3
                                && p.role() != Role.BUFFER
                                && p.shape().count() >= of.persistent;
                PyObject tensor =
                        empty
                                ? tree.tensor(GeneratedCheckpoint.WEIGHTS, Shape.of(0), _ -> 0)
                                : weight(tree, shard(p, 0), tp);
                module.put(p.name(), tensor);
                if (p.role() == Role.FROZEN && of.stage == 3) {
                    fragments.put(p.name(), fragment(tree, p, tp, dp));
                } else if (p.role() == Role.FROZEN) {
                    fragments.put(p.name(), tensor);
                }
            }
        }
        of.aliases.forEach(
                (alias, name) -> {
                    if (module.containsKey(name)) {
                        module.put(alias, module.get(name));
                    }
                });
        SequencedMap<String, Object> root = new LinkedHashMap<>();
        root.put("module", of.isPipeline() ? null : of.nested ? nested(module) : module);
        root.put("buffer_names", of.of(Role.BUFFER, stage).stream().map(p -> p.name()).toList());
        root.put("optimizer", of.stage == 0 ? unsharded(tree, stage, tp) : null);
        root.put("param_shapes", of.stage == 0 ? null : paramShapes(stage));
        root.put("frozen_param_shapes", of.stage < 2 ? null : frozenShapes(stage));
        root.put("shared_params", of.aliases);
        root.put("frozen_param_fragments", of.stage < 2 ? null : fragments);
        root.put("global_steps", of.iteration);
        root.put("dp_world_size", of.dp);
        root.put("mp_world_size", of.pp * of.tp);
        if (of.dimensions) {
            root.put("checkpoint_parallel_dimensions", Map.of("pp_degree", of.pp, "tp_degree", of.tp));
        }
        root.put("ds_version", "0.19.0");
        root.put("iteration", of.iteration);
        if (of.patterns) {
            root.put("universal_checkpoint_info", patterns());
        }
        String mp = "mp_rank_%02d_model_states.pt".formatted(stage * of.tp + tp);
        save(of.stage == 3 ? "zero_pp_rank_%d_%s".formatted(dp, mp) : mp, tree, root);
    }

    /// A torch optimizer's dict: a state a parameter, numbered group by group.
    private Map<String, Object> unsharded(TorchTree tree, int stage, int tp) {
        SequencedMap<Object, Object> state = new LinkedHashMap<>();
        List<Object> groups = new ArrayList<>();
        for (List<Shard> group : groups(stage, 0)) {
            List<Object> numbers = new ArrayList<>();
            for (Shard shard : group) {
                SequencedMap<String, Object> own = new LinkedHashMap<>();
                own.put("step", tree.number((float) of.iteration));
                for (String name : of.states) {
                    own.put(
                            name,
                            tree.tensor(
                                    DType.FLOAT32,
                                    shard.shape(),
                                    i -> Float.floatToRawIntBits(value(shard, name, tp, i))));
                }
                numbers.add(state.size());
                state.put(state.size(), own);
            }
            groups.add(paramGroup(numbers, false));
        }
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        dict.put("state", state);
        dict.put("param_groups", groups);
        return dict;
    }

    private Shard shard(GeneratedParameter p, int expert) {
        return new Shard(p, p.name(expert), expert, p.local(of.tp));
    }

    private float value(Shard shard, String state, int tp, long i) {
        GeneratedParameter p = shard.parameter();
        return of.value(p.name(shard.expert()), state, p.globalIndex(i, tp, of.tp));
    }

    private PyObject weight(TorchTree tree, Shard shard, int tp) {
        return tree.tensor(
                GeneratedCheckpoint.WEIGHTS,
                shard.shape(),
                i -> GeneratedCheckpoint.bfloat16(value(shard, "fp32", tp, i)));
    }

    private PyObject fragment(TorchTree tree, GeneratedParameter p, int tp, int dp) {
        Shard shard = shard(p, 0);
        int part = Math.toIntExact(Math.ceilDiv(shard.shape().count(), of.dp));
        return tree.tensor(
                GeneratedCheckpoint.WEIGHTS,
                Shape.of(part),
                i -> {
                    long at = (long) dp * part + i;
                    return at < shard.shape().count()
                            ? GeneratedCheckpoint.bfloat16(value(shard, "fp32", tp, at))
                            : 0x7fdd;
                });
    }

    private static Map<String, Object> nested(Map<String, Object> flat) {
        SequencedMap<String, Object> root = new LinkedHashMap<>();
        flat.forEach(
                (name, tensor) -> {
                    int dot = name.indexOf('.');
                    if (dot < 0) {
                        root.put(name, tensor);
                    } else {
                        @SuppressWarnings("unchecked")
                        Map<String, Object> inner =
                                (Map<String, Object>)
                                        root.computeIfAbsent(
                                                name.substring(0, dot),
                                                _ -> new LinkedHashMap<String, Object>());
                        inner.put(name.substring(dot + 1), tensor);
                    }
                });
        return root;
    }

    private List<Map<String, Object>> paramShapes(int stage) {
        List<Map<String, Object>> all = new ArrayList<>();
        for (List<Shard> group : of.shapesInModelOrder ? groups(stage, 0) : flat(stage, 0)) {
            SequencedMap<String, Object> shapes = new LinkedHashMap<>();
            group.forEach(s -> shapes.put(s.name(), s.shape()));
            all.add(shapes);
        }
        return all;
    }

    private Map<String, Object> frozenShapes(int stage) {
        SequencedMap<String, Object> shapes = new LinkedHashMap<>();
        of.of(Role.FROZEN, stage).forEach(p -> shapes.put(p.name(), shard(p, 0).shape()));
        return shapes;
    }

    private Map<String, Object> patterns() {
        SequencedMap<String, Object> info = new LinkedHashMap<>();
        info.put("universal_checkpoint_version", 0.2);
        info.put("tp_replicated_parameter_patterns", regexes(Cut.REPLICATED));
        info.put("parameter_with_2_sub_params_cat_dim_0", regexes(Cut.HALVES));
        info.put("parameter_with_row_parallelism_patterns", regexes(Cut.COLUMNS));
        info.put(
                "pipeline_replicated_parameter_patterns",
                of.parameters.stream()
                        .filter(p -> p.stages().size() > 1)
                        .map(p -> p.name().replace(".", "\\.") + "$")
                        .toList());
        return info;
    }

    private List<String> regexes(Cut cut) {
        return of.parameters.stream()
                .filter(p -> p.cut() == cut && p.role() == Role.TRAINABLE)
                .map(p -> p.name().replace(".", "\\.") + "$")
                .toList();
    }

    private void layers(int tp) throws IOException {
        Map<Integer, List<GeneratedParameter>> layers = new TreeMap<>();
        for (GeneratedParameter p : of.parameters) {
            int layer =
                    p.layer() >= 0
                            ? p.layer()
                            : Integer.parseInt(p.name().substring(0, p.name().indexOf('.')));
            layers.computeIfAbsent(layer, _ -> new ArrayList<>()).add(p);
        }
        for (Map.Entry<Integer, List<GeneratedParameter>> e : layers.entrySet()) {
            TorchTree tree = new TorchTree();
            SequencedMap<String, Object> root = new LinkedHashMap<>();
            for (GeneratedParameter p : e.getValue()) {
                String suffix =
                        p.name().startsWith("tied_modules.")
                                ? p.name().split("\\.", 3)[2]
                                : p.name().substring(p.name().indexOf('.') + 1);
                root.put(suffix, weight(tree, shard(p, 0), tp));
            }
            save("layer_%02d-model_%02d-model_states.pt".formatted(e.getKey(), tp), tree, root);
        }
    }

    /// One layer of experts: `layer_0_expert_<global>_mp_rank_..`.
    private void experts() throws IOException {
        int count = of.parameters.stream().mapToInt(GeneratedParameter::experts).max().orElse(0);
        for (int tp = 0; tp < of.tp; tp++) {
            for (int e = 0; e < count; e++) {
                // Written by the first rank that holds it.
                if (of.expertsAcrossTensor && e / (count / of.ep) % of.tp != tp) {
                    continue;
                }
                TorchTree tree = new TorchTree();
                SequencedMap<String, Object> root = new LinkedHashMap<>();
                for (GeneratedParameter p : of.parameters) {
                    if (e < p.experts()) {
                        Shard shard = shard(p, e);
                        root.put(shard.name(), weight(tree, shard, tp));
                    }
                }
                save("layer_0_expert_%d_mp_rank_%02d_model_states.pt".formatted(e, tp), tree, root);
            }
        }
    }

    // ---- the optimizer ----

    /// Trainable shards by optimizer group, in the model's order. Experts of rank `ep` under their
    /// local names.
    private List<List<Shard>> groups(int stage, int ep) {
        Map<Integer, List<Shard>> groups = new TreeMap<>();
        for (GeneratedParameter p : of.of(Role.TRAINABLE, stage)) {
            List<Shard> group = groups.computeIfAbsent(p.group(), _ -> new ArrayList<>());
            if (p.experts() == 0) {
                group.add(shard(p, 0));
            }
            int local = p.experts() / of.ep;
            for (int e = 0; e < local; e++) {
                group.add(new Shard(p, p.name(e), ep * local + e, p.local(of.tp)));
            }
        }
        return List.copyOf(groups.values());
    }

    /// In flat order; for ZeRO-3 by sub-group.
    private List<List<Shard>> flat(int stage, int ep) {
        List<List<Shard>> all = new ArrayList<>();
        for (List<Shard> group : groups(stage, ep)) {
            if (of.stage == 3) {
                all.addAll(subGroups(group));
            } else {
                all.add(of.roundRobin ? dealt(group) : group);
            }
        }
        return all;
    }

    private List<List<Shard>> subGroups(List<Shard> group) {
        List<List<Shard>> all = new ArrayList<>();
        List<Shard> open = new ArrayList<>();
        long local = 0;
        for (Shard shard : group) {
            open.add(shard);
            local += Math.ceilDiv(shard.shape().count(), of.dp);
            if (local >= of.subGroupSize) {
                all.add(open);
                open = new ArrayList<>();
                local = 0;
            }
        }
        if (!open.isEmpty()) {
            all.add(open);
        }
        return all;
    }

    private List<Shard> dealt(List<Shard> group) {
        List<Shard> all = new ArrayList<>();
        for (int bucket = 0; bucket < of.dp; bucket++) {
            for (int i = bucket; i < group.size(); i += of.dp) {
                all.add(group.get(i));
            }
        }
        return all;
    }

    /// One rank's part of a flat group: where each of its elements is from.
    private final class FlatPart {
        private final List<Shard> shards;
        private final int tp;
        private final int part;
        private final int parts;
        private final long extent;

        FlatPart(List<Shard> shards, int tp, int part, int parts) {
            this.shards = shards;
            this.tp = tp;
            this.part = part;
            this.parts = parts;
            this.extent =
                    of.stage == 3
                            ? shards.stream()
                                    .mapToLong(s -> Math.ceilDiv(s.shape().count(), parts))
                                    .sum()
                            : Math.ceilDiv(count(), 2L * parts) * 2;
        }

        private long count() {
            return shards.stream().mapToLong(s -> s.shape().count()).sum();
        }

        long padding() {
            return extent - Math.clamp(count() - part * extent, 0, extent);
        }

        /// Not for ZeRO-3: name -> where the part has it.
        Map<String, Object> addresses() {
            SequencedMap<String, Object> all = new LinkedHashMap<>();
            long at = 0;
            for (Shard shard : shards) {
                long from = Math.max(at, part * extent);
                long to = Math.min(at + shard.shape().count(), (part + 1) * extent);
                if (from < to) {
                    all.put(shard.name(), TorchTree.address(from - part * extent, to - from));
                }
                at += shard.shape().count();
            }
            return all;
        }

        PyObject tensor(TorchTree tree, String state, boolean padded) {
            long length = padded ? extent : extent - padding();
            int[] bits = new int[Math.toIntExact(length)];
            if (of.stage == 3) {
                fillEach(state, bits);
            } else {
                fill(state, bits);
            }
            return tree.tensor(DType.FLOAT32, Shape.of(length), i -> bits[i]);
        }

        private void fill(String state, int[] bits) {
            long at = 0;
            for (Shard shard : shards) {
                long from = Math.max(at, part * extent);
                long to = Math.min(at + shard.shape().count(), (part + 1) * extent);
                for (long i = from; i < to; i++) {
                    bits[(int) (i - part * extent)] =
                            Float.floatToRawIntBits(value(shard, state, tp, i - at));
                }
                at += shard.shape().count();
            }
        }

        /// The last rank's padding is whatever was in memory.
        private void fillEach(String state, int[] bits) {
            int at = 0;
            for (Shard shard : shards) {
                long count = shard.shape().count();
                long size = Math.ceilDiv(count, parts);
                for (long i = part * size; i < (part + 1) * size; i++) {
                    bits[at++] =
                            i < count
                                    ? Float.floatToRawIntBits(value(shard, state, tp, i))
                                    : 0x7fc0dead;
                }
            }
        }
    }

    private void optimizer(int stage, int tp, int dp) throws IOException {
        TorchTree tree = new TorchTree();
        // Its number among the ranks that experts divide.
        int rank = of.expertsAcrossTensor ? dp * of.tp + tp : dp;
        int ranks = of.expertsAcrossTensor ? of.dp * of.tp : of.dp;
        int ep = rank % of.ep;
        List<List<Shard>> flat = flat(stage, ep);
        List<FlatPart> parts = new ArrayList<>();
        List<Boolean> experts = new ArrayList<>();
        for (List<Shard> group : flat) {
            boolean expert = group.getFirst().parameter().experts() > 0;
            experts.add(expert);
            int count = expert ? ranks / of.ep : of.dp;
            parts.add(new FlatPart(group, tp, expert ? rank / of.ep : dp, count));
        }
        SequencedMap<String, Object> root = new LinkedHashMap<>();
        root.put(
                "optimizer_state_dict",
                of.stage == 3
                        ? stage3(tree, groups(stage, ep), parts)
                        : stage12(tree, parts, experts));
        root.put("ds_version", "0.19.0");
        String prefix = of.wrapper == Wrapper.BF16 ? "bf16_" : "";
        save(
                "%szero_pp_rank_%d_mp_rank_%02d_optim_states.pt"
                        .formatted(prefix, dp, stage * of.tp + tp),
                tree,
                root);
    }

    private Map<String, Object> stage12(
            TorchTree tree, List<FlatPart> parts, List<Boolean> experts) {
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        SequencedMap<Object, Object> state = new LinkedHashMap<>();
        List<Object> groups = new ArrayList<>();
        List<Object> masters = new ArrayList<>();
        boolean padded = of.wrapper != Wrapper.ELASTIC;
        for (int g = 0; g < parts.size(); g++) {
            state.put(g, states(tree, parts.get(g), padded));
            groups.add(paramGroup(List.of(g), experts.get(g)));
            masters.add(parts.get(g).tensor(tree, "fp32", of.wrapper == Wrapper.BF16));
        }
        if (of.wrapper == Wrapper.ELASTIC) {
            dict.put("base_optimizer_state", List.copyOf(state.values()));
        } else {
            SequencedMap<String, Object> base = new LinkedHashMap<>();
            base.put("state", state);
            base.put("param_groups", groups);
            dict.put("base_optimizer_state", base);
        }
        dict.put("single_partition_of_fp32_groups", masters);
        if (of.wrapper != Wrapper.BF16) {
            dict.put("zero_stage", zeroStage());
        }
        dict.put("group_paddings", parts.stream().map(this::padding).toList());
        dict.put("partition_count", parts.stream().map(p -> p.parts).toList());
        if (of.slices) {
            dict.put("param_slice_mappings", parts.stream().map(FlatPart::addresses).toList());
        }
        return dict;
    }

    /// BF16_Optimizer counts the whole padding in the last part.
    private long padding(FlatPart part) {
        if (of.wrapper != Wrapper.BF16) {
            return part.padding();
        }
        return part.part == part.parts - 1 ? part.extent * part.parts - part.count() : 0;
    }

    private PyObject zeroStage() {
        return PyObject.call(
                new PyGlobal("deepspeed.runtime.zero.config", "ZeroStageEnum"), PyInt.of(of.stage));
    }

    private Map<String, Object> stage3(
            TorchTree tree, List<List<Shard>> groups, List<FlatPart> parts) {
        SequencedMap<Object, Object> state = new LinkedHashMap<>();
        List<Object> masters = new ArrayList<>();
        for (int g = 0; g < parts.size(); g++) {
            state.put(g, states(tree, parts.get(g), true));
            masters.add(parts.get(g).tensor(tree, "fp32", true));
        }
        List<Object> paramGroups = new ArrayList<>();
        int next = 0;
        for (List<Shard> group : groups) {
            List<Object> numbers = new ArrayList<>();
            for (int i = subGroups(group).size(); i > 0; i--) {
                numbers.add(next++);
            }
            paramGroups.add(paramGroup(numbers, false));
        }
        SequencedMap<String, Object> base = new LinkedHashMap<>();
        base.put("state", state);
        base.put("param_groups", paramGroups);
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        dict.put("zero_stage", zeroStage());
        dict.put("partition_count", of.dp);
        dict.put("optimizer_state_dict", base);
        dict.put("fp32_flat_groups", masters);
        return dict;
    }

    private Map<String, Object> states(TorchTree tree, FlatPart part, boolean padded) {
        SequencedMap<String, Object> states = new LinkedHashMap<>();
        if (of.step == Step.TENSOR) {
            states.put("step", tree.number((float) of.iteration));
        } else if (of.step == Step.NUMBER) {
            states.put("step", of.iteration);
        }
        of.states.forEach(name -> states.put(name, part.tensor(tree, name, padded)));
        return states;
    }

    private Map<String, Object> paramGroup(List<?> numbers, boolean expert) {
        SequencedMap<String, Object> group = new LinkedHashMap<>();
        group.put("lr", 0.001);
        if (expert) {
            group.put("name", "ep_size_" + of.ep);
            group.put("moe", true);
        }
        if (of.step == Step.GROUP) {
            group.put("step", of.iteration);
        }
        group.put("params", numbers);
        return group;
    }

    /// For tests that change a file: the value under a path of keys, replaced.
    static PyDict with(PyDict root, PickleValue value, String... path) {
        if (path.length == 1) {
            return root.with(path[0], value);
        }
        String[] rest = Arrays.copyOfRange(path, 1, path.length);
        PyDict inner = root.find(path[0]).flatMap(PickleValue::asDict).orElseThrow();
        return root.with(path[0], with(inner, value, rest));
    }
}
