package io.ucp.layout;

import io.ucp.formats.Coordinate;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The layout of a parameter over a mesh: steps in order, each on what the step before leaves.
public record Chain(List<Step> steps) {
    public static final Chain NONE = new Chain(List.of());

    public Chain {
        steps = List.copyOf(steps);
    }

    /// @param axis that the layout is along; empty for layouts that cut nothing ([Layout.Viewed],
    ///   [Layout.Permuted])
    public record Step(String axis, Layout layout) {
        public static Step view(Shape shape) {
            return new Step("", new Layout.Viewed(shape));
        }
    }

    /// What a rank holds of a parameter.
    ///
    /// @param shape of its local tensor, with the dimensions that the parameter has (views folded
    ///   back)
    public record Held(Region region, Shape shape) {}

    /// The axes that it is along, in the order of its steps.
    public Set<String> axes() {
        Set<String> axes = new LinkedHashSet<>();
        steps.stream().map(Step::axis).filter(a -> !a.isEmpty()).forEach(axes::add);
        return Collections.unmodifiableSet(axes);
    }

    /// What the ranks at a coordinate hold; empty where they hold nothing. An axis that the
    /// coordinate does not name counts as index 0.
    ///
    /// @throws ImpossibleLayoutException where the parameter cannot be laid out so
    public Optional<Held> at(Shape whole, Mesh mesh, Coordinate at) {
        return run(Region.whole(whole), 0, mesh, at);
    }

    private Optional<Held> run(Region start, int from, Mesh mesh, Coordinate at) {
        record View(Shape before, Shape after) {}
        Region region = start;
        List<View> views = new ArrayList<>();
        for (Step step : steps.subList(from, steps.size())) {
            if (step.layout instanceof Layout.Viewed(var shape)) {
                views.add(new View(region.shape(), shape));
            }
            int index = mesh.index(step.axis, at).orElse(0);
            Optional<Region> next = step.layout.of(region, index, mesh.degree(step.axis));
            if (next.isEmpty()) {
                return Optional.empty();
            }
            region = next.get();
        }
        Shape shape = region.shape();
        for (View view : views.reversed()) {
            if (shape.rank() == view.after.rank()) {
                shape = Pairing.folded(view.before, view.after, shape);
            }
        }
        return Optional.of(new Held(region, shape));
    }

    /// The parameter's shape from those of the shards, where the steps add up: extents along a cut
    /// dimension are summed. Whether each rank holds what its step says is for [#at] to tell.
    ///
    /// @param local by coordinate, on every axis of this chain; absent where nothing is held
    /// @throws ImpossibleLayoutException where the shapes do not go together
    public Shape whole(Map<Coordinate, Shape> local, Mesh mesh) {
        if (local.isEmpty()) {
            throw new ImpossibleLayoutException("no shards", "one at least");
        }
        Map<Coordinate, Shape> shapes = local;
        int last = steps.size();
        for (int k = 0; k < steps.size(); k++) {
            if (steps.get(k).layout instanceof Layout.Viewed(var view)) {
                shapes = beforeView(k, view, local, mesh);
                last = k;
                break;
            }
        }
        for (Step step : steps.subList(0, last).reversed()) {
            shapes = gather(step, shapes);
        }
        return agreed(shapes.values(), "shards of one place");
    }

    private Map<Coordinate, Shape> beforeView(
            int k, Shape view, Map<Coordinate, Shape> local, Mesh mesh) {
        Map<Coordinate, Shape> shapes = new LinkedHashMap<>();
        Chain rest = new Chain(steps.subList(k + 1, steps.size()));
        for (var held : local.entrySet()) {
            Optional<Held> left = rest.at(view, mesh, held.getKey());
            if (left.isEmpty()) {
                continue;
            }
            Shape cut = left.get().shape;
            Shape shard = held.getValue();
            if (cut.count() != shard.count() || cut.rank() != view.rank()) {
                throw new ImpossibleLayoutException(
                        "%s holds %s, %d elements".formatted(held.getKey(), shard, shard.count()),
                        "%d, its share of view %s".formatted(cut.count(), view));
            }
            Coordinate at = held.getKey();
            for (String axis : rest.axes()) {
                at = at.without(axis);
            }
            shapes.put(at, unfolded(shard, cut, view));
        }
        return shapes;
    }

    /// The shape before a view, where `shard` is the shape on disk of what `cut` is of the view.
    private static Shape unfolded(Shape shard, Shape cut, Shape view) {
        if (shard.count() == 0) {
            return shard;
        }
        long[] dims = new long[shard.rank()];
        for (Pairing p : Pairing.of(shard, cut)) {
            long product = 1;
            for (int d = p.viewFrom(); d < p.viewTo(); d++) {
                product *= view.dim(d);
            }
            for (int d = p.to() - 1; d > p.from(); d--) {
                dims[d] = shard.dim(d);
                product /= dims[d];
            }
            if (p.from() < p.to()) {
                dims[p.from()] = product;
            }
        }
        return Shape.of(dims);
    }

    private static Map<Coordinate, Shape> gather(Step step, Map<Coordinate, Shape> shapes) {
        Map<Coordinate, List<Shape>> byRest = new LinkedHashMap<>();
        shapes.forEach(
                (at, shape) ->
                        byRest.computeIfAbsent(at.without(step.axis), _ -> new ArrayList<>())
                                .add(shape));
        Map<Coordinate, Shape> gathered = new LinkedHashMap<>();
        byRest.forEach((at, held) -> gathered.put(at, gather(step, held)));
        return gathered;
    }

    private static Shape gather(Step step, List<Shape> held) {
        return switch (step.layout) {
            case Layout.Replicated(), Layout.Averaged(), Layout.Placed(_) ->
                    agreed(held, "the ranks of " + step.axis);
            case Layout.Viewed(_) -> agreed(held, "the ranks");
            case Layout.Permuted(var order) -> permutedBack(agreed(held, "the ranks"), order);
            case Layout.Sharded(int dim, _) -> summed(step.axis, dim, held);
            case Layout.Fused(int dim, _) -> summed(step.axis, dim, held);
            case Layout.FusedAgain(int dim, _) -> summed(step.axis, dim, held);
        };
    }

    private static Shape permutedBack(Shape shape, List<Integer> order) {
        long[] dims = shape.dims();
        for (int i = 0; i < order.size(); i++) {
            dims[order.get(i)] = shape.dim(i);
        }
        return Shape.of(dims);
    }

    private static Shape summed(String axis, int dim, List<Shape> held) {
        Shape first = held.getFirst();
        if (dim >= first.rank()) {
            throw new ImpossibleLayoutException(
                    "dimension %d of a tensor %s".formatted(dim, first),
                    first.rank() == 0
                            ? "no dimension: it is a scalar"
                            : "0 to " + (first.rank() - 1));
        }
        long sum = 0;
        for (Shape shape : held) {
            if (shape.rank() != first.rank() || !shape.with(dim, 0).equals(first.with(dim, 0))) {
                throw new ImpossibleLayoutException(
                        "the ranks of %s hold %s and %s".formatted(axis, first, shape),
                        "shards that differ in dimension %d only".formatted(dim));
            }
            sum = Math.addExact(sum, shape.dim(dim));
        }
        return first.with(dim, sum);
    }

    private static Shape agreed(Iterable<Shape> shapes, String who) {
        Shape first = shapes.iterator().next();
        for (Shape shape : shapes) {
            if (!shape.equals(first)) {
                throw new ImpossibleLayoutException(
                        "%s hold %s and %s".formatted(who, first, shape), "equal shapes");
            }
        }
        return first;
    }
}
