package io.ucp.formats.deepspeed;

import io.ucp.formats.deepspeed.GeneratedCheckpoint.Step;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/// The shards that ranks of a [GeneratedCheckpoint] have, and how the optimizer groups them.
record GeneratedShards(GeneratedCheckpoint of) {
    /// A parameter's shard as one rank has it; `expert` is global.
    record Shard(GeneratedParameter parameter, String name, int expert, Shape shape) {}

    /// Of fused experts, the rows of one.
    Shard shard(GeneratedParameter p, int expert) {
        if (p.isFused()) {
            long[] dims = p.shape().dims();
            Shape rows = Shape.of(Arrays.copyOfRange(dims, 1, dims.length));
            return new Shard(p, p.name() + "." + expert, expert, rows);
        }
        return new Shard(p, p.name(expert), expert, p.local(of.tp));
    }

    float value(Shard shard, String state, int tp, long i) {
        GeneratedParameter p = shard.parameter();
        if (p.isFused()) {
            return of.value(p.name(), state, shard.expert() * shard.shape().count() + i);
        }
        return of.value(p.name(shard.expert()), state, p.globalIndex(i, tp, of.tp));
    }

    /// Trainable shards by optimizer group, in the model's order. Experts of rank `ep` under their
    /// local names.
    List<List<Shard>> groups(int stage, int ep) {
        Map<Integer, List<Shard>> groups = new TreeMap<>();
        List<GeneratedParameter> trainable = of.of(Role.TRAINABLE, stage);
        for (GeneratedParameter p : trainable) {
            if (p.experts() == 0) {
                into(groups, p).add(shard(p, 0));
                continue;
            }
            if (p.isFused()) {
                Shape local = p.shape().with(0, p.experts() / of.ep);
                into(groups, p).add(new Shard(p, p.name(), ep, local));
                continue;
            }
            // Module by module: an expert with all its parameters, then the next.
            List<GeneratedParameter> module =
                    trainable.stream().filter(o -> module(o).equals(module(p))).toList();
            int local = p.experts() / of.ep;
            for (int e = 0; e < local && p.equals(module.getFirst()); e++) {
                for (GeneratedParameter own : module) {
                    into(groups, own)
                            .add(new Shard(own, own.name(e), ep * local + e, own.local(of.tp)));
                }
            }
        }
        if (of.reversed) {
            groups.replaceAll((_, shards) -> List.copyOf(shards.reversed()));
        }
        return List.copyOf(groups.values());
    }

    private static List<Shard> into(Map<Integer, List<Shard>> groups, GeneratedParameter p) {
        return groups.computeIfAbsent(p.group(), _ -> new ArrayList<>());
    }

    /// What comes before an expert's number, empty where there is none.
    static String module(GeneratedParameter p) {
        return p.experts() == 0
                ? ""
                : p.name()
                        .substring(
                                0,
                                p.isFused() ? p.name().lastIndexOf('.') : p.name().indexOf("{e}"));
    }

    /// In flat order; for ZeRO-3 by sub-group.
    List<List<Shard>> flat(int stage, int ep) {
        List<List<Shard>> all = new ArrayList<>();
        for (List<Shard> group : groups(stage, ep)) {
            if (of.stage == 3) {
                all.addAll(subGroups(group));
            } else {
                all.add(of.roundRobin ? dealt(group, sharing(group)) : group);
            }
        }
        return all;
    }

    List<List<Shard>> subGroups(List<Shard> group) {
        List<List<Shard>> all = new ArrayList<>();
        List<Shard> open = new ArrayList<>();
        long local = 0;
        for (Shard shard : group) {
            open.add(shard);
            local += Math.ceilDiv(shard.shape().count(), sharing(group));
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

    /// Ranks that a group is cut over.
    private int sharing(List<Shard> group) {
        int all = of.dp * (of.expertsAcrossTensor ? of.tp : 1);
        return group.getFirst().parameter().experts() > 0 ? all / of.ep : of.dp;
    }

    private List<Shard> dealt(List<Shard> group, int ranks) {
        List<Shard> all = new ArrayList<>();
        for (int bucket = 0; bucket < ranks; bucket++) {
            for (int i = bucket; i < group.size(); i += ranks) {
                all.add(group.get(i));
            }
        }
        return all;
    }

    Map<String, Object> paramGroup(List<?> numbers, boolean expert) {
        SequencedMap<String, Object> group = new LinkedHashMap<>();
        group.put("lr", 0.001);
        if ((of.stage == 0 && of.wrapper == GeneratedCheckpoint.Wrapper.FUSED) || of.fusedAdam) {
            group.put("bias_correction", true);
        }
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
}
