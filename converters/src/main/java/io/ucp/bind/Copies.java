package io.ucp.bind;

import io.ucp.formats.Coordinate;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.layout.Replica;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/// The copies of a parameter: one for each combination of ranks that hold the same of it, in the
/// order of the mesh.
final class Copies {
    private final Mesh mesh;
    private final List<Coordinate> copies;
    private final List<String> replicaAxes;
    private final List<Replica> replicas;

    private Copies(
            Mesh mesh, List<Coordinate> copies, List<String> replicaAxes, List<Replica> replicas) {
        this.mesh = mesh;
        this.copies = copies;
        this.replicaAxes = replicaAxes;
        this.replicas = replicas;
    }

    /// @param takeFirst axes whose ranks may hold other values than the first
    static Copies of(Chain chain, Mesh mesh, Set<String> takeFirst) {
        List<String> order = new ArrayList<>();
        mesh.axes().forEach(a -> order.add(a.axis()));
        List<Step> steps = new ArrayList<>(chain.steps());
        steps.sort(
                (a, b) ->
                        Integer.compare(
                                order.indexOf(mesh.factors(a.axis()).getFirst()),
                                order.indexOf(mesh.factors(b.axis()).getFirst())));
        List<Coordinate> copies = List.of(Coordinate.NONE);
        Set<String> averaged = new HashSet<>();
        List<String> replicaAxes = new ArrayList<>();
        Coordinate fixed = Coordinate.NONE;
        for (Step step : steps) {
            List<Integer> indices = indices(step, mesh);
            if (indices.size() == 1 && step.layout() instanceof Layout.Placed) {
                fixed = fixed.with(step.axis(), indices.getFirst());
            }
            if (indices.size() < 2) {
                continue;
            }
            replicaAxes.add(step.axis());
            if (step.layout() instanceof Layout.Averaged) {
                averaged.add(step.axis());
            }
            List<Coordinate> next = new ArrayList<>();
            for (Coordinate copy : copies) {
                for (int index : indices) {
                    next.add(copy.with(step.axis(), index));
                }
            }
            copies = next;
        }
        List<Replica> replicas = new ArrayList<>();
        List<Coordinate> alternatives = new ArrayList<>();
        List<Coordinate> summands = new ArrayList<>();
        for (Coordinate copy : copies) {
            Coordinate label = fixed;
            for (var e : copy.indices().entrySet()) {
                label = label.with(e.getKey(), e.getValue());
            }
            replicas.add(
                    new Replica(
                            label.toString(),
                            number(on(takeFirst, copy), alternatives),
                            number(on(averaged, copy), summands)));
        }
        return new Copies(mesh, copies, replicaAxes, replicas);
    }

    private static Coordinate on(Set<String> axes, Coordinate copy) {
        Coordinate on = Coordinate.NONE;
        for (var e : copy.indices().entrySet()) {
            on = axes.contains(e.getKey()) ? on.with(e.getKey(), e.getValue()) : on;
        }
        return on;
    }

    /// The place of a coordinate among those that came up.
    private static int number(Coordinate at, List<Coordinate> known) {
        if (!known.contains(at)) {
            known.add(at);
        }
        return known.indexOf(at);
    }

    /// The ranks of a step's axis that hold the same; none for a cut.
    private static List<Integer> indices(Step step, Mesh mesh) {
        return switch (step.layout()) {
            case Layout.Replicated(), Layout.Averaged() -> {
                List<Integer> all = new ArrayList<>();
                for (int i = 0; i < mesh.degree(step.axis()); i++) {
                    all.add(i);
                }
                yield all;
            }
            case Layout.Placed(var placed) -> new ArrayList<>(new TreeSet<>(placed));
            case Layout.Sharded _,
                    Layout.Fused _,
                    Layout.FusedAgain _,
                    Layout.Viewed _,
                    Layout.Permuted _ ->
                    List.of();
        };
    }

    List<Replica> replicas() {
        return replicas;
    }

    /// The copy that the shard of a rank belongs to.
    int number(Coordinate at) {
        Coordinate own = Coordinate.NONE;
        for (String axis : replicaAxes) {
            own = own.with(axis, mesh.index(axis, at).orElse(0));
        }
        return copies.indexOf(own);
    }
}
