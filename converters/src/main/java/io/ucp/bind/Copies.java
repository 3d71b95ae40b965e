package io.ucp.bind;

import io.ucp.formats.Coordinate;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/// The copies of a parameter: one for each combination of ranks that hold the same of it, in the
/// order of the mesh.
final class Copies {
    private final Mesh mesh;
    private final List<Coordinate> copies;
    private final List<String> replicaAxes;
    private final List<String> labels;

    private Copies(
            Mesh mesh, List<Coordinate> copies, List<String> replicaAxes, List<String> labels) {
        this.mesh = mesh;
        this.copies = copies;
        this.replicaAxes = replicaAxes;
        this.labels = labels;
    }

    static Copies of(Chain chain, Mesh mesh) {
        List<String> order = new ArrayList<>();
        mesh.axes().forEach(a -> order.add(a.axis()));
        List<Step> steps = new ArrayList<>(chain.steps());
        steps.sort(
                (a, b) ->
                        Integer.compare(
                                order.indexOf(mesh.factors(a.axis()).getFirst()),
                                order.indexOf(mesh.factors(b.axis()).getFirst())));
        List<Coordinate> copies = List.of(Coordinate.NONE);
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
            List<Coordinate> next = new ArrayList<>();
            for (Coordinate copy : copies) {
                for (int index : indices) {
                    next.add(copy.with(step.axis(), index));
                }
            }
            copies = next;
        }
        List<String> labels = new ArrayList<>();
        for (Coordinate copy : copies) {
            Coordinate label = fixed;
            for (var e : copy.indices().entrySet()) {
                label = label.with(e.getKey(), e.getValue());
            }
            labels.add(label.toString());
        }
        return new Copies(mesh, copies, replicaAxes, labels);
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
            case Layout.Sharded _, Layout.Fused _, Layout.Viewed _, Layout.Permuted _ -> List.of();
        };
    }

    List<String> labels() {
        return labels;
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
