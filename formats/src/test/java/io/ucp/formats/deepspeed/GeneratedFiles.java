package io.ucp.formats.deepspeed;

import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.deepspeed.GeneratedShards.Shard;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/// Writes the files of a [GeneratedCheckpoint].
final class GeneratedFiles {
    private final GeneratedCheckpoint of;
    private final GeneratedShards shards;
    private final Path tag;

    GeneratedFiles(GeneratedCheckpoint of, Path tag) {
        this.of = of;
        this.shards = new GeneratedShards(of);
        this.tag = tag;
    }

    void write() throws IOException {
        for (int stage = 0; stage < of.pp; stage++) {
            for (int tp = 0; tp < of.tp; tp++) {
                for (int dp = 0; dp < (of.stage == 3 ? of.dp : 1); dp++) {
                    model(stage, tp, dp);
                }
                for (int dp = 0; dp < of.dp && of.stage > 0; dp++) {
                    new GeneratedOptimizer(of, this).write(stage, tp, dp);
                }
            }
        }
        for (int tp = 0; tp < of.tp && of.isPipeline(); tp++) {
            layers(tp);
        }
        if (of.stage < 3) {
            experts();
        }
        boolean experts = of.parameters.stream().anyMatch(p -> p.experts() > 0);
        for (int stage = 0; of.stage == 0 && experts && stage < of.pp; stage++) {
            expertOptimizers(stage);
        }
    }

    static boolean isExpert(List<Shard> group) {
        return group.getFirst().parameter().experts() > 0;
    }

    /// Written by the first rank that has the experts.
    private void expertOptimizers(int stage) throws IOException {
        for (int tp = 0; tp < of.tp; tp++) {
            for (int e = 0; e < of.ep; e++) {
                if (of.expertsAcrossTensor && e % of.tp != tp) {
                    continue;
                }
                TorchTree tree = new TorchTree();
                SequencedMap<String, Object> root = new LinkedHashMap<>();
                root.put("optimizer", unsharded(tree, stage, tp, e));
                save(
                        "expp_rank_%d_mp_rank_%02d_optim_states.pt"
                                .formatted(e, stage * of.tp + tp),
                        tree,
                        root);
            }
        }
    }

    void save(String name, TorchTree tree, Map<String, Object> root) throws IOException {
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
                                ? tree.tensor(of.weights, Shape.of(0), _ -> 0)
                                : weight(tree, shards.shard(p, 0), tp);
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
        root.put("optimizer", of.stage == 0 ? unsharded(tree, stage, tp, 0) : null);
        root.put("param_shapes", of.stage == 0 ? null : paramShapes(stage));
        root.put("frozen_param_shapes", of.stage < 2 ? null : frozenShapes(stage));
        root.put("shared_params", of.stage == 0 ? null : of.aliases);
        root.put("frozen_param_fragments", of.stage < 2 ? null : fragments);
        root.put("global_steps", of.iteration);
        root.put("dp_world_size", of.dp);
        root.put("mp_world_size", of.pp * of.tp);
        if (of.dimensions) {
            root.put(
                    "checkpoint_parallel_dimensions",
                    Map.of("pp_degree", of.pp, "tp_degree", of.tp));
        }
        if (of.expertsInBlocks) {
            root.put("ds_config", Map.of("use_data_before_expert_parallelism", true));
        }
        if (of.configured) {
            root.put("ds_config", configuration());
        }
        List<Object> fused = fusedLayers(dp);
        if (!fused.isEmpty()) {
            root.put("num_experts", Collections.nCopies(fused.size(), (Object) 12));
            root.put("ds_autoep_layers", fused);
            root.put(
                    "universal_checkpoint_info",
                    Map.of(
                            "universal_checkpoint_version",
                            0.2,
                            "expert_parameter_patterns",
                            List.of(".*\\.experts\\.w[123]$"),
                            "ds_autoep_layers",
                            fused));
        }
        root.put("ds_version", "0.19.0");
        root.put("iteration", of.iteration);
        if (of.patterns) {
            root.put("universal_checkpoint_info", patterns());
        }
        String mp = "mp_rank_%02d_model_states.pt".formatted(stage * of.tp + tp);
        save(of.stage == 3 ? "zero_pp_rank_%d_%s".formatted(dp, mp) : mp, tree, root);
    }

    /// As AutoEP lists the layers whose experts it fused.
    private List<Object> fusedLayers(int dp) {
        int each = of.dp / of.ep;
        int rank = of.expertsInBlocks ? dp / each : dp % of.ep;
        List<Object> layers = new ArrayList<>();
        for (GeneratedParameter p : of.parameters) {
            if (!p.isFused() || !p.name().endsWith("w1")) {
                continue;
            }
            int local = p.experts() / of.ep;
            SequencedMap<String, Object> layer = new LinkedHashMap<>();
            layer.put("moe_layer_id", layers.size());
            layer.put("module_path", p.name().replace(".experts.w1", ""));
            layer.put("num_experts", p.experts());
            layer.put("num_local_experts", local);
            layer.put("ep_size", of.ep);
            layer.put("expert_key_prefix", p.name().replace(".w1", ""));
            layer.put(
                    "checkpoint_format", of.stage == 3 ? "zero3_partitioned" : "per_expert_files");
            layer.put("checkpoint_format_version", of.stage == 3 ? 1 : null);
            layer.put("ep_group_name", "ep_size_" + of.ep);
            layer.put("ep_rank", rank);
            layer.put("expert_data_parallel_rank", of.expertsInBlocks ? dp % each : dp / of.ep);
            layer.put("expert_data_parallel_world_size", each);
            layer.put("global_expert_start", rank * local);
            layer.put("global_expert_end", rank * local + local);
            layers.add(layer);
        }
        return layers;
    }

    Map<String, Object> configuration() {
        SequencedMap<String, Object> config = new LinkedHashMap<>();
        config.put("bf16", Map.of("enabled", of.weights == GeneratedCheckpoint.WEIGHTS));
        Map<String, Object> zero = new LinkedHashMap<>();
        zero.put("stage", of.stage);
        if (of.roundRobin) {
            zero.put("round_robin_gradients", true);
        }
        config.put("zero_optimization", zero);
        if (of.parameters.stream().anyMatch(GeneratedParameter::isFused)) {
            config.put("expert_parallel", Map.of("enabled", true, "autoep_size", of.ep));
        }
        if (of.expertsInBlocks) {
            config.put("use_data_before_expert_parallelism", true);
        }
        return config;
    }

    /// @param ep of a job with experts, the expert-parallel rank
    private Map<String, Object> unsharded(TorchTree tree, int stage, int tp, int ep) {
        boolean fused = of.wrapper == Wrapper.FUSED;
        if (!fused && of.wrapper != Wrapper.UNFUSED) {
            return ofTorch(tree, stage, tp, ep);
        }
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        if (!fused) {
            dict.put("dynamic_loss_scale", false);
            dict.put("cur_scale", 1.0);
            dict.put("cur_iter", 0);
        }
        dict.put(
                "optimizer_state_dict",
                fused ? flat(tree, stage, tp, ep) : ofTorch(tree, stage, tp, ep));
        List<Object> masters = new ArrayList<>();
        for (List<Shard> group : shards.groups(stage, ep)) {
            masters.add(
                    fused
                            ? flat(tree, group, "fp32", tp)
                            : group.stream().map(s -> whole(tree, s, "fp32", tp)).toList());
        }
        dict.put(fused ? "fp32_groups_flat" : "fp32_groups", masters);
        if (fused) {
            dict.put("clip_grad", 0.0);
        }
        return dict;
    }

    private PyObject whole(TorchTree tree, Shard shard, String state, int tp) {
        return tree.tensor(
                DType.FLOAT32,
                shard.shape(),
                i -> Float.floatToRawIntBits(shards.value(shard, state, tp, i)));
    }

    private PyObject flat(TorchTree tree, List<Shard> group, String state, int tp) {
        List<Integer> bits = new ArrayList<>();
        for (Shard shard : group) {
            for (long i = 0; i < shard.shape().count(); i++) {
                bits.add(Float.floatToRawIntBits(shards.value(shard, state, tp, i)));
            }
        }
        return tree.tensor(DType.FLOAT32, Shape.of(bits.size()), i -> bits.get(i));
    }

    /// A torch optimizer's dict over a flat tensor a group.
    private Map<String, Object> flat(TorchTree tree, int stage, int tp, int ep) {
        SequencedMap<Object, Object> state = new LinkedHashMap<>();
        List<Object> groups = new ArrayList<>();
        for (List<Shard> group : shards.groups(stage, ep)) {
            SequencedMap<String, Object> own = new LinkedHashMap<>();
            own.put("step", tree.number((float) of.iteration));
            of.states.forEach(name -> own.put(name, flat(tree, group, name, tp)));
            groups.add(shards.paramGroup(List.of(state.size()), isExpert(group)));
            state.put(state.size(), own);
        }
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        dict.put("state", state);
        dict.put("param_groups", groups);
        return dict;
    }

    /// A torch optimizer's dict: a state a parameter, numbered group by group.
    private Map<String, Object> ofTorch(TorchTree tree, int stage, int tp, int ep) {
        SequencedMap<Object, Object> state = new LinkedHashMap<>();
        List<Object> groups = new ArrayList<>();
        for (List<Shard> group : shards.groups(stage, ep)) {
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
                                    i ->
                                            Float.floatToRawIntBits(
                                                    shards.value(shard, name, tp, i))));
                }
                numbers.add(state.size());
                state.put(state.size(), own);
            }
            groups.add(shards.paramGroup(numbers, isExpert(group)));
        }
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        dict.put("state", state);
        dict.put("param_groups", groups);
        return dict;
    }

    private PyObject weight(TorchTree tree, Shard shard, int tp) {
        return tree.tensor(
                of.weights, shard.shape(), i -> of.weightBits(shards.value(shard, "fp32", tp, i)));
    }

    private PyObject fragment(TorchTree tree, GeneratedParameter p, int tp, int dp) {
        Shard shard = shards.shard(p, 0);
        int part = Math.toIntExact(Math.ceilDiv(shard.shape().count(), of.dp));
        return tree.tensor(
                of.weights,
                Shape.of(part),
                i -> {
                    long at = (long) dp * part + i;
                    return at < shard.shape().count()
                            ? of.weightBits(shards.value(shard, "fp32", tp, at))
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
        for (List<Shard> group : shards.flat(stage, 0)) {
            SequencedMap<String, Object> shapes = new LinkedHashMap<>();
            group.forEach(s -> shapes.put(s.name(), s.shape()));
            all.add(shapes);
        }
        return all;
    }

    private Map<String, Object> frozenShapes(int stage) {
        SequencedMap<String, Object> shapes = new LinkedHashMap<>();
        of.of(Role.FROZEN, stage).forEach(p -> shapes.put(p.name(), shards.shard(p, 0).shape()));
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
                        .map(GeneratedFiles::regex)
                        .toList());
        return info;
    }

    private static String regex(GeneratedParameter p) {
        return p.name().replace(".", "\\.").replaceAll("\\{e}", "\\\\d+") + "$";
    }

    private List<String> regexes(Cut cut) {
        return of.parameters.stream()
                .filter(p -> p.cut() == cut && p.role() == Role.TRAINABLE)
                .map(GeneratedFiles::regex)
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
                root.put(suffix, weight(tree, shards.shard(p, 0), tp));
            }
            save("layer_%02d-model_%02d-model_states.pt".formatted(e.getKey(), tp), tree, root);
        }
    }

    /// `layer_<n>_expert_<global>_mp_rank_..`, of every module that has experts.
    private void experts() throws IOException {
        Map<String, List<GeneratedParameter>> modules = new LinkedHashMap<>();
        for (GeneratedParameter p : of.parameters) {
            if (p.experts() > 0) {
                modules.computeIfAbsent(GeneratedShards.module(p), _ -> new ArrayList<>()).add(p);
            }
        }
        int layer = 0;
        for (List<GeneratedParameter> module : modules.values()) {
            experts(layer++, module);
        }
    }

    private void experts(int layer, List<GeneratedParameter> module) throws IOException {
        int count = module.getFirst().experts();
        for (int tp = 0; tp < of.tp; tp++) {
            for (int e = 0; e < count; e++) {
                // Written by the first rank that holds it.
                if (of.expertsAcrossTensor && e / (count / of.ep) % of.tp != tp) {
                    continue;
                }
                TorchTree tree = new TorchTree();
                SequencedMap<String, Object> root = new LinkedHashMap<>();
                for (GeneratedParameter p : module) {
                    Shard shard = shards.shard(p, e);
                    root.put(shard.name(), weight(tree, shard, tp));
                }
                save(
                        "layer_%d_expert_%d_mp_rank_%02d_model_states.pt".formatted(layer, e, tp),
                        tree,
                        root);
            }
        }
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
