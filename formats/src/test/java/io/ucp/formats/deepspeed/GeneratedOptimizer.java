package io.ucp.formats.deepspeed;

import io.ucp.formats.deepspeed.GeneratedCheckpoint.Step;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedShards.Shard;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/// Writes the optimizer files of a [GeneratedCheckpoint].
final class GeneratedOptimizer {
    private final GeneratedCheckpoint of;
    private final GeneratedFiles files;
    private final GeneratedShards shards;

    GeneratedOptimizer(GeneratedCheckpoint of, GeneratedFiles files) {
        this.of = of;
        this.files = files;
        this.shards = new GeneratedShards(of);
    }

    /// One rank's part of a flat group: where each of its elements is from.
    private final class FlatPart {
        private final List<Shard> members;
        private final int tp;
        private final int part;
        private final int parts;
        private final long extent;

        FlatPart(List<Shard> members, int tp, int part, int parts) {
            this.members = members;
            this.tp = tp;
            this.part = part;
            this.parts = parts;
            this.extent =
                    of.stage == 3
                            ? members.stream()
                                    .mapToLong(s -> Math.ceilDiv(s.shape().count(), parts))
                                    .sum()
                            : Math.ceilDiv(count(), 2L * parts) * 2;
        }

        private long count() {
            return members.stream().mapToLong(s -> s.shape().count()).sum();
        }

        long padding() {
            return extent - Math.clamp(count() - part * extent, 0, extent);
        }

        /// Not for ZeRO-3: name -> where the part has it; under round_robin_gradients, where it
        /// would have it if the members lay in the model's order.
        Map<String, Object> addresses() {
            SequencedMap<String, Object> all = new LinkedHashMap<>();
            long at = 0;
            for (Shard shard : of.roundRobin ? inModelOrder() : members) {
                long from = Math.max(at, part * extent);
                long to = Math.min(at + shard.shape().count(), (part + 1) * extent);
                if (from < to) {
                    all.put(shard.name(), TorchTree.address(from - part * extent, to - from));
                }
                at += shard.shape().count();
            }
            return all;
        }

        private List<Shard> inModelOrder() {
            Shard[] model = new Shard[members.size()];
            int next = 0;
            for (int bucket = 0; bucket < parts; bucket++) {
                for (int i = bucket; i < model.length; i += parts) {
                    model[i] = members.get(next++);
                }
            }
            return List.of(model);
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
            for (Shard shard : members) {
                long from = Math.max(at, part * extent);
                long to = Math.min(at + shard.shape().count(), (part + 1) * extent);
                for (long i = from; i < to; i++) {
                    bits[(int) (i - part * extent)] =
                            Float.floatToRawIntBits(shards.value(shard, state, tp, i - at));
                }
                at += shard.shape().count();
            }
        }

        /// The last rank's padding is whatever was in memory.
        private void fillEach(String state, int[] bits) {
            int at = 0;
            for (Shard shard : members) {
                long count = shard.shape().count();
                long size = Math.ceilDiv(count, parts);
                for (long i = part * size; i < (part + 1) * size; i++) {
                    bits[at++] =
                            i < count
                                    ? Float.floatToRawIntBits(shards.value(shard, state, tp, i))
                                    : 0x7fc0dead;
                }
            }
        }
    }

    void write(int stage, int tp, int dp) throws IOException {
        TorchTree tree = new TorchTree();
        // Its number among the ranks that experts divide.
        int rank = of.expertsAcrossTensor ? dp * of.tp + tp : dp;
        int ranks = of.expertsAcrossTensor ? of.dp * of.tp : of.dp;
        int each = ranks / of.ep;
        int ep = of.expertsInBlocks ? rank / each : rank % of.ep;
        int replica = of.expertsInBlocks ? rank % each : rank / of.ep;
        List<List<Shard>> flat = shards.flat(stage, ep);
        List<FlatPart> parts = new ArrayList<>();
        List<Boolean> experts = new ArrayList<>();
        for (List<Shard> group : flat) {
            boolean expert = group.getFirst().parameter().experts() > 0;
            experts.add(expert);
            parts.add(new FlatPart(group, tp, expert ? replica : dp, expert ? each : of.dp));
        }
        SequencedMap<String, Object> root = new LinkedHashMap<>();
        root.put(
                "optimizer_state_dict",
                of.stage == 3
                        ? stage3(tree, shards.groups(stage, ep), parts, places(parts, experts, dp))
                        : stage12(tree, parts, experts));
        if (of.configured) {
            root.put("ds_config", files.configuration());
        }
        root.put("ds_version", "0.19.0");
        String prefix = of.wrapper == Wrapper.BF16 ? "bf16_" : "";
        files.save(
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
            groups.add(shards.paramGroup(List.of(g), experts.get(g)));
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

    /// `ds_zero_partition_groups`, where some are of experts.
    private List<Object> places(List<FlatPart> parts, List<Boolean> experts, int dp) {
        List<Object> places = new ArrayList<>();
        for (int g = 0; experts.contains(true) && g < parts.size(); g++) {
            boolean expert = experts.get(g);
            List<Object> ranks = new ArrayList<>();
            int each = of.dp / of.ep;
            for (int r = 0; r < of.dp; r++) {
                boolean same = of.expertsInBlocks ? r / each == dp / each : r % of.ep == dp % of.ep;
                if (!expert || same) {
                    ranks.add(r);
                }
            }
            SequencedMap<String, Object> place = new LinkedHashMap<>();
            place.put("sub_group", g);
            place.put("partition_count", ranks.size());
            place.put("partition_rank", parts.get(g).part);
            place.put("partition_ranks", ranks);
            place.put("families", List.of(expert ? "autoep_expert" : "replicated"));
            place.put("group_names", List.of(expert ? "ep_size_" + of.ep : "replicated"));
            places.add(place);
        }
        return places;
    }

    private Map<String, Object> stage3(
            TorchTree tree, List<List<Shard>> groups, List<FlatPart> parts, List<Object> places) {
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
            for (int i = shards.subGroups(group).size(); i > 0; i--) {
                numbers.add(next++);
            }
            paramGroups.add(shards.paramGroup(numbers, GeneratedFiles.isExpert(group)));
        }
        SequencedMap<String, Object> base = new LinkedHashMap<>();
        base.put("state", state);
        base.put("param_groups", paramGroups);
        SequencedMap<String, Object> dict = new LinkedHashMap<>();
        dict.put("zero_stage", zeroStage());
        dict.put("partition_count", of.dp);
        if (!places.isEmpty()) {
            dict.put("ds_zero_partition_groups", places);
        }
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
}
