package io.ucp.formats.deepspeed;

import io.ucp.formats.TensorEntry;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;

/// How layers may follow each other over the stages of a pipeline, so that every stage trains as
/// much as its optimizer says.
///
/// @param layers what each holds, by its number
/// @param trained of each stage
/// @param elements whether that counts elements, else parameters
record StageSearch(
        NavigableMap<Integer, Map<String, TensorEntry>> layers,
        List<Long> trained,
        boolean elements) {
    /// Two are as good as many: nothing tells which.
    private static final int ENOUGH = 2;

    /// @param stages by the number of the layer
    /// @param copies stages that train the shared module and have no file of it
    record Found(Map<Integer, Integer> stages, Set<Integer> copies) {
        Found {
            stages = Map.copyOf(stages);
            copies = Set.copyOf(copies);
        }
    }

    /// No layers share anything.
    Optional<Found> plain() {
        return sharing(Set.of()).stream().findFirst();
    }

    /// Modules that one layer has a file for.
    List<Set<Integer>> single() {
        return layers.keySet().stream().map(Set::of).toList();
    }

    /// Modules that two layers have a file for, with the same tensors.
    List<Set<Integer>> twins() {
        Map<Map<String, Shape>, List<Integer>> alike = new LinkedHashMap<>();
        layers.forEach(
                (number, held) -> {
                    Map<String, Shape> shapes = new HashMap<>();
                    held.forEach((key, tensor) -> shapes.put(key, tensor.shape()));
                    alike.computeIfAbsent(shapes, _ -> new ArrayList<>()).add(number);
                });
        // More that are alike are the layers of the model's body.
        return alike.values().stream()
                .filter(numbers -> numbers.size() == 2)
                .<Set<Integer>>map(Set::copyOf)
                .toList();
    }

    /// @param shared layers of one module, empty for none
    List<Found> sharing(Set<Integer> shared) {
        Walk walk = new Walk(shared, List.copyOf(layers.keySet()));
        walk.stage(0, 0);
        return walk.found;
    }

    private final class Walk {
        private final Set<Integer> shared;
        private final List<Integer> numbers;
        private final Map<Integer, Integer> stages = new HashMap<>();
        private final Set<Integer> copies = new HashSet<>();
        private final Set<List<Integer>> dead = new HashSet<>();
        private final List<Found> found = new ArrayList<>();

        Walk(Set<Integer> shared, List<Integer> numbers) {
            this.shared = shared;
            this.numbers = numbers;
        }

        /// @param next of the layers, the first that has no stage yet
        void stage(int stage, int next) {
            if (stage == trained.size()) {
                if (next == numbers.size()) {
                    found.add(new Found(stages, copies));
                }
                return;
            }
            if (found.size() >= ENOUGH || dead.contains(List.of(stage, next))) {
                return;
            }
            int before = found.size();
            take(stage, next, trained.get(stage), false);
            boolean copied =
                    shared.size() == 1
                            && numbers.subList(0, next).stream().anyMatch(shared::contains);
            if (copied) {
                copies.add(stage);
                long left = trained.get(stage) - cost(shared.iterator().next());
                take(stage, next, left, true);
                copies.remove(stage);
            }
            if (found.size() == before) {
                dead.add(List.of(stage, next));
            }
        }

        /// @param left that the stage trains beside what it has so far
        /// @param held whether the shared module is among that
        private void take(int stage, int next, long left, boolean held) {
            if (left == 0) {
                stage(stage + 1, next);
            }
            if (next == numbers.size() || left < 0) {
                return;
            }
            int layer = numbers.get(next);
            boolean again = held && shared.contains(layer);
            long cost = again ? 0 : cost(layer);
            if (cost <= left) {
                stages.put(layer, stage);
                take(stage, next + 1, left - cost, held || shared.contains(layer));
                stages.remove(layer);
            }
        }
    }

    private long cost(int layer) {
        Map<String, TensorEntry> held = layers.getOrDefault(layer, Map.of());
        return elements
                ? held.values().stream().mapToLong(t -> t.shape().count()).sum()
                : held.size();
    }
}
