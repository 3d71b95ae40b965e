package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.Scalar;
import io.ucp.formats.deepspeed.CheckpointFile;
import io.ucp.formats.deepspeed.ModelStates;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;

/// The trainable parameters as `param_shapes` list them: by pipeline stage, optimizer group and
/// place in the group's flat order.
record Enrolment(SequencedMap<String, Entry> entries) {
    /// @param group number of the optimizer group
    /// @param shapes on each tensor-parallel rank of the first stage that holds it
    /// @param step where it is held once for the group (stage 3)
    record Entry(int group, List<Shape> shapes, Optional<Scalar> step) {}

    /// @param ranks model states of every model-parallel rank, stages outermost
    static Enrolment of(List<ModelStates> ranks, int tensorParallel, CheckpointFile optimizer)
            throws IOException {
        SubGroups subGroups = SubGroups.of(optimizer);
        SequencedMap<String, Entry> entries = new LinkedHashMap<>();
        for (int from = 0; from + tensorParallel <= ranks.size(); from += tensorParallel) {
            List<List<Map<String, Shape>>> stage =
                    ranks.subList(from, from + tensorParallel).stream()
                            .map(states -> states.groups().orElse(List.of()))
                            .toList();
            int groups = stage.stream().mapToInt(List::size).max().orElse(0);
            for (int g = 0; g < groups; g++) {
                for (String name : names(stage, g)) {
                    Entry own =
                            new Entry(
                                    subGroups.group(g), shapes(stage, g, name), subGroups.step(g));
                    Entry before = entries.putIfAbsent(name, own);
                    if (before != null && before.group() != own.group()) {
                        throw new IncompleteCheckpointException(
                                ranks.get(from).file().path().toString(),
                                "`param_shapes` has %s in optimizer group %d, and in group %d in a file before it"
                                        .formatted(name, own.group(), before.group()),
                                "one optimizer group on all stages",
                                "a rank's file is of another job; copy the files of one save");
                    }
                }
            }
        }
        return new Enrolment(entries);
    }

    /// What any of the ranks lists, in the order of the first.
    private static Set<String> names(List<List<Map<String, Shape>>> stage, int group) {
        Set<String> names = new LinkedHashSet<>();
        for (List<Map<String, Shape>> rank : stage) {
            if (group < rank.size()) {
                names.addAll(rank.get(group).keySet());
            }
        }
        return names;
    }

    private static List<Shape> shapes(
            List<List<Map<String, Shape>>> stage, int group, String name) {
        List<Shape> shapes = new ArrayList<>();
        for (List<Map<String, Shape>> rank : stage) {
            if (group < rank.size() && rank.get(group).containsKey(name)) {
                shapes.add(rank.get(group).get(name));
            }
        }
        return shapes;
    }

    /// Stage 3: sub-groups of the optimizer's groups, and their steps. Elsewhere a list in
    /// `param_shapes` is a group.
    private record SubGroups(Map<Long, Integer> groups, Map<Long, Scalar> steps) {
        static SubGroups of(CheckpointFile optimizer) throws IOException {
            Map<Long, Integer> groups = new HashMap<>();
            Map<Long, Scalar> steps = new HashMap<>();
            Optional<PickleValue> inner = optimizer.root().find("optimizer_state_dict");
            List<PickleValue> paramGroups =
                    inner.flatMap(i -> i.find("param_groups"))
                            .flatMap(PickleValue::asSequence)
                            .orElse(List.of());
            for (int g = 0; g < paramGroups.size(); g++) {
                for (PickleValue sub :
                        paramGroups
                                .get(g)
                                .find("params")
                                .flatMap(PickleValue::asSequence)
                                .orElse(List.of())) {
                    if (sub.asLong().isPresent()) {
                        groups.put(sub.asLong().getAsLong(), g);
                    }
                }
            }
            for (PyDict.Entry entry :
                    inner.flatMap(i -> i.find("state"))
                            .flatMap(PickleValue::asDict)
                            .map(PyDict::entries)
                            .orElse(List.of())) {
                Optional<PickleValue> step = entry.value().find(StateFolder.STEP);
                if (entry.key().asLong().isPresent() && step.isPresent()) {
                    optimizer
                            .scalar(step.get())
                            .ifPresent(s -> steps.put(entry.key().asLong().getAsLong(), s));
                }
            }
            return new SubGroups(groups, steps);
        }

        int group(int sub) {
            return groups.getOrDefault((long) sub, sub);
        }

        Optional<Scalar> step(int sub) {
            return Optional.ofNullable(steps.get((long) sub));
        }
    }
}
