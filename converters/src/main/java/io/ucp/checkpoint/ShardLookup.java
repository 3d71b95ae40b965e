package io.ucp.checkpoint;

import io.ucp.bind.BoundParameter;
import io.ucp.bind.Shard;
import io.ucp.bind.Sharding;
import io.ucp.formats.Coordinate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Finds the shard that a name in a file stands for, by the name and the rank that wrote it.
final class ShardLookup {
    /// @param parameter position in [Sharding#parameters]
    record Found(int parameter, BoundParameter bound, Shard shard) {}

    /// What a name on disk may stand for.
    ///
    /// @param axes that tell its shards apart
    private record Named(List<Found> shards, Set<String> axes) {
        static final Named NOTHING = new Named(List.of(), Set.of());

        static Named empty() {
            return new Named(new ArrayList<>(), new HashSet<>());
        }

        void add(Found found) {
            shards.add(found);
            axes.addAll(found.shard.at().indices().keySet());
        }
    }

    private final Map<String, Named> byLocalName = new HashMap<>();
    private final Map<String, List<Found>> byGlobalName = new HashMap<>();

    /// Shards of states that have a layout of their own.
    private final Map<Own, List<Shard>> own = new HashMap<>();

    private record Own(int parameter, String state, String localName) {}

    private final Mesh mesh;

    ShardLookup(Sharding sharding) {
        this.mesh = sharding.mesh();
        for (int p = 0; p < sharding.parameters().size(); p++) {
            BoundParameter bound = sharding.parameters().get(p);
            for (Shard shard : bound.shards()) {
                Found found = new Found(p, bound, shard);
                byLocalName.computeIfAbsent(shard.localName(), _ -> Named.empty()).add(found);
                byGlobalName.computeIfAbsent(bound.name(), _ -> new ArrayList<>()).add(found);
            }
            int parameter = p;
            bound.own()
                    .forEach(
                            (state, layout) ->
                                    layout.shards().forEach(s -> add(parameter, state, s)));
        }
    }

    private void add(int parameter, String state, Shard shard) {
        Own key = new Own(parameter, state, shard.localName());
        own.computeIfAbsent(key, _ -> new ArrayList<>()).add(shard);
    }

    /// By the name on disk at that coordinate; else, and in files that no rank of an axis owns (of
    /// experts, which are then numbered globally), by the global name.
    Optional<Found> find(String name, Coordinate at) throws IncompleteCheckpointException {
        Named named = byLocalName.getOrDefault(name, Named.NOTHING);
        List<Found> local = named.shards;
        List<Found> global = byGlobalName.getOrDefault(name, List.of());
        boolean owned = says(at, named.axes);
        List<Found> first = owned ? local : global;
        Optional<Found> found = matching(first, name, at);
        return found.isPresent() ? found : matching(owned ? global : local, name, at);
    }

    private boolean says(Coordinate at, Set<String> axes) {
        for (String axis : axes) {
            if (mesh.index(axis, at).isEmpty()) {
                return false;
            }
        }
        return true;
    }

    /// As [#find], where the file's shape must be the shard's.
    Optional<Found> find(String name, Coordinate at, Shape shape, String place)
            throws IncompleteCheckpointException {
        Optional<Found> found = find(name, at);
        if (found.isPresent()) {
            check(found.get(), name, at, shape, place);
        }
        return found;
    }

    /// As [#find], of a state.
    Optional<Found> find(String name, String state, Coordinate at, Shape shape, String place)
            throws IncompleteCheckpointException {
        Optional<Found> any = find(name, at);
        if (any.isEmpty()) {
            return any;
        }
        Found found = of(any.get(), state, name, at);
        check(found, name, at, shape, place);
        return Optional.of(found);
    }

    /// The same shard of a state: where that has a layout of its own, what it holds there.
    Found of(Found found, String state, String name, Coordinate at)
            throws IncompleteCheckpointException {
        if (!found.bound.own().containsKey(state)) {
            return found;
        }
        List<Found> candidates = new ArrayList<>();
        for (String local : List.of(name, found.shard.localName())) {
            Own key = new Own(found.parameter, state, local);
            if (candidates.isEmpty()) {
                own.getOrDefault(key, List.of())
                        .forEach(s -> candidates.add(new Found(found.parameter, found.bound, s)));
            }
        }
        return matching(candidates, name, at)
                .orElseThrow(
                        () ->
                                new IncompleteCheckpointException(
                                        "%s: %s at %s".formatted(found.bound.name(), state, at),
                                        "held there",
                                        "only where the layout of that state says",
                                        "correct the clauses of the state in the `states` block"));
    }

    private static void check(Found found, String name, Coordinate at, Shape shape, String place)
            throws IncompleteCheckpointException {
        if (!found.shard().shape().equals(shape)) {
            throw new IncompleteCheckpointException(
                    "%s: %s".formatted(place, name),
                    "shape %s at %s".formatted(shape, at),
                    "%s, as %s says".formatted(found.shard().shape(), found.bound().rule()),
                    "");
        }
    }

    private Optional<Found> matching(List<Found> candidates, String name, Coordinate at)
            throws IncompleteCheckpointException {
        List<Found> matching = new ArrayList<>(1);
        for (Found candidate : candidates) {
            if (compatible(candidate.shard().at(), at)) {
                matching.add(candidate);
            }
        }
        if (matching.size() > 1) {
            throw new IncompleteCheckpointException(
                    name,
                    "it stands for %s and for %s at %s"
                            .formatted(
                                    matching.get(0).bound().name(),
                                    matching.get(1).bound().name(),
                                    at),
                    "one parameter",
                    "say in the spec on which stage or expert rank the name is local");
        }
        return matching.isEmpty() ? Optional.empty() : Optional.of(matching.getFirst());
    }

    /// The files may say an axis, a product that holds it, or neither.
    private boolean compatible(Coordinate shard, Coordinate held) {
        for (Map.Entry<String, Integer> own : shard.indices().entrySet()) {
            int index = own.getValue();
            if (mesh.index(own.getKey(), held).orElse(index) != index) {
                return false;
            }
        }
        return true;
    }
}
