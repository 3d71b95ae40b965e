package io.ucp.bind;

import io.ucp.bind.LaidChain.Numbered;
import io.ucp.bind.LaidChain.Share;
import io.ucp.formats.Coordinate;
import io.ucp.lang.diagnostic.Span;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Layout;
import io.ucp.layout.Replica;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;

/// Lays a parameter out as its rule says and holds that against what the ranks' files say.
final class ParameterBinder {
    /// What a parameter comes to.
    ///
    /// @param chain with the axes that the rule does not speak of
    record Placed(
            Chain chain, Shape shape, Shape realShape, List<Shard> shards, List<Replica> copies) {}

    private final Mesh mesh;
    private final Set<String> dataAxes;
    private final OptionalLong vocabularyRows;
    private final Problems problems;

    private final Map<Chain, LaidChain> chains = new HashMap<>();

    private ParameterBinder(
            Mesh mesh, Set<String> dataAxes, OptionalLong vocabularyRows, Problems problems) {
        this.mesh = mesh;
        this.dataAxes = dataAxes;
        this.vocabularyRows = vocabularyRows;
        this.problems = problems;
    }

    /// @param dataAxes plain axes that cut flat tensors, not parameters
    static ParameterBinder on(
            Mesh mesh, Set<String> dataAxes, OptionalLong vocabularyRows, Problems problems) {
        return new ParameterBinder(mesh, dataAxes, vocabularyRows, problems);
    }

    /// @param span of the pattern that decided
    /// @return nothing where it cannot be laid out so; then that has been said
    Optional<Placed> place(String name, Reading reading, Span span, List<Holding> holdings) {
        Placing placing = new Placing(name, reading, span, holdings);
        try {
            return placing.place();
        } catch (ImpossibleLayoutException e) {
            placing.fail("layout", "cannot be laid out so: " + e.problem(), placing.widthsHeld());
            return Optional.empty();
        }
    }

    private final class Placing {
        private final String name;
        private final Reading reading;
        private final Span span;
        private final List<Holding> holdings;
        private final Set<String> axes;

        Placing(String name, Reading reading, Span span, List<Holding> holdings) {
            this.name = name;
            this.reading = reading;
            this.span = span;
            this.axes = modelAxes(reading.chain());
            this.holdings = holdings;
        }

        private Set<String> modelAxes(Chain chain) {
            Set<String> own = new LinkedHashSet<>();
            for (String axis : chain.axes()) {
                own.addAll(mesh.factors(axis));
            }
            Set<String> all = new LinkedHashSet<>();
            for (var axis : mesh.axes()) {
                if (own.contains(axis.axis()) || !dataAxes.contains(axis.axis())) {
                    all.add(axis.axis());
                }
            }
            return all;
        }

        void fail(String kind, String message, Optional<String> hint) {
            problems.error(span, kind, name, message, hint);
        }

        Optional<Placed> place() {
            Optional<Chain> full = fullChain();
            if (full.isEmpty()) {
                return Optional.empty();
            }
            Chain chain = full.get();
            if (!isSaid(chain)) {
                return Optional.empty();
            }
            LaidChain laid = chains.computeIfAbsent(chain, c -> new LaidChain(c, mesh));
            List<List<Holding>> byPlace = new ArrayList<>();
            if (!collect(laid.places(), byPlace)) {
                return Optional.empty();
            }
            Shape shape = laid.whole(byPlace.stream().map(h -> h.getFirst().shape()).toList());
            Optional<Shape> real = realShape(shape);
            if (real.isEmpty()) {
                return Optional.empty();
            }
            Numbered copies = laid.copies(reading.takeFirst());
            List<Shard> shards = new ArrayList<>();
            for (int p = 0; p < byPlace.size(); p++) {
                Coordinate at = laid.places().get(p);
                Shape held = byPlace.get(p).getFirst().shape();
                Share share = laid.share(shape, p);
                boolean otherDims = held.rank() != share.shape().rank();
                if (!share.shape().equals(held)
                        && !(otherDims && held.count() == share.shape().count())) {
                    fail(
                            "width",
                            "is %s at %s; the rule gives that rank %s of %s"
                                    .formatted(held, at, share.shape(), shape),
                            widthsHeld());
                    return Optional.empty();
                }
                Labels labels = labels(byPlace.get(p), at);
                for (String onDisk : labels.names) {
                    int copy = copies.ofPlace().get(p);
                    shards.add(new Shard(onDisk, labels.at, held, share.pieces(), copy));
                }
            }
            return Optional.of(new Placed(chain, shape, real.get(), shards, copies.replicas()));
        }

        /// The rule's chain with every other axis: found on one rank of it, where it is found.
        private Optional<Chain> fullChain() {
            List<Step> steps = new ArrayList<>(reading.chain().steps());
            steps.removeIf(s -> s.layout() instanceof Layout.Replicated && isUnsaid(s.axis()));
            Set<String> own = new LinkedHashSet<>();
            reading.chain().axes().forEach(a -> own.addAll(mesh.factors(a)));
            for (String axis : axes) {
                if (own.contains(axis)) {
                    continue;
                }
                TreeSet<Integer> found = new TreeSet<>();
                for (Holding h : holdings) {
                    mesh.index(axis, h.at()).ifPresent(found::add);
                }
                if (reading.isEverywhere() && !axis.equals("pp") && mesh.degree(axis) > 1) {
                    steps.add(new Step(axis, new Layout.Replicated()));
                    continue;
                }
                if (found.size() > 1) {
                    fail(
                            "unlisted",
                            "is held at %s %s; the rule %s"
                                    .formatted(
                                            axis,
                                            listed(found),
                                            reading.unique()
                                                    ? "says 'unique'"
                                                    : "does not speak of " + axis),
                            Optional.of(remedy(axis, found)));
                    return Optional.empty();
                }
                if (!found.isEmpty()) {
                    steps.add(new Step(axis, Layout.Placed.at(found.first())));
                }
            }
            return Optional.of(new Chain(steps));
        }

        /// A tensor of all ranks of an axis is no rank's block and no rank's version.
        private boolean isSaid(Chain chain) {
            for (Step step : chain.steps()) {
                boolean apart =
                        switch (step.layout()) {
                            case Layout.Sharded _,
                                    Layout.Fused _,
                                    Layout.FusedAgain _,
                                    Layout.Averaged _ ->
                                    mesh.factors(step.axis()).stream().anyMatch(this::isUnsaid);
                            case Layout.Replicated _,
                                    Layout.Placed _,
                                    Layout.Viewed _,
                                    Layout.Permuted _ ->
                                    false;
                        };
                if (apart) {
                    fail(
                            "unsaid",
                            "is held once for all ranks of %s; the clause means a tensor of each"
                                    .formatted(step.axis()),
                            Optional.of(
                                    "leave the clause out, or say 'replicate over %s'"
                                            .formatted(step.axis())));
                    return false;
                }
            }
            return true;
        }

        /// No file says a place on the axis: what is there is of all its ranks, and no copy of
        /// another's.
        private boolean isUnsaid(String axis) {
            return mesh.degree(axis) > 1
                    && holdings.stream().allMatch(h -> mesh.index(axis, h.at()).isEmpty());
        }

        private String remedy(String axis, SortedSet<Integer> found) {
            boolean ends =
                    found.size() == 2
                            && found.first() == 0
                            && found.last() == mesh.degree(axis) - 1
                            && axis.equals("pp");
            return axis.equals("pp")
                    ? "add 'replicate over pp%s' where the stages hold one parameter"
                            .formatted(ends && mesh.degree(axis) > 2 ? " at (first, last)" : "")
                    : "add 'replicate over %s' or 'shard dim D over %s'".formatted(axis, axis);
        }

        private static String listed(Set<Integer> indices) {
            return indices.toString().replaceAll("[\\[\\]]", "");
        }

        /// Finds the holdings of every place that the chain gives.
        private boolean collect(List<Coordinate> places, List<List<Holding>> byPlace) {
            List<int[]> held = holdings.stream().map(h -> indices(h.at())).toList();
            Set<Holding> taken = Collections.newSetFromMap(new IdentityHashMap<>());
            for (Coordinate at : places) {
                int[] place = indices(at);
                List<Holding> here = new ArrayList<>();
                for (int h = 0; h < held.size(); h++) {
                    if (compatible(held.get(h), place)) {
                        here.add(holdings.get(h));
                    }
                }
                if (here.isEmpty()) {
                    fail(
                            "missing",
                            "is not held at %s; the rule places it there".formatted(at),
                            Optional.of("it is held at " + Places.of(holdings, axes)));
                    return false;
                }
                for (Holding h : here) {
                    if (h.shape().count() != here.getFirst().shape().count()) {
                        fail(
                                "shapes",
                                "is %s and %s at %s; expected one shape"
                                        .formatted(here.getFirst().shape(), h.shape(), at),
                                Optional.empty());
                        return false;
                    }
                }
                taken.addAll(here);
                byPlace.add(here);
            }
            for (Holding h : holdings) {
                if (!taken.contains(h)) {
                    fail(
                            "elsewhere",
                            "is held at %s; the rule places it at %s"
                                    .formatted(Places.of(List.of(h), axes), Places.join(places)),
                            Optional.empty());
                    return false;
                }
            }
            return true;
        }

        /// By the axes of the model; -1 on those that it does not say.
        private int[] indices(Coordinate at) {
            int[] indices = new int[axes.size()];
            int k = 0;
            for (String axis : axes) {
                indices[k++] = mesh.index(axis, at).orElse(-1);
            }
            return indices;
        }

        private static boolean compatible(int[] a, int[] b) {
            for (int k = 0; k < a.length; k++) {
                if (a[k] >= 0 && b[k] >= 0 && a[k] != b[k]) {
                    return false;
                }
            }
            return true;
        }

        /// A place on every axis of the model, and the names on disk that stand for it.
        private record Labels(Coordinate at, Set<String> names) {}

        /// A name that never says an axis, although another name of the parameter does, is the
        /// global one (experts: numbered per rank in optimizer files, globally in their own) and
        /// left out.
        private Labels labels(List<Holding> here, Coordinate at) {
            Coordinate full = at;
            for (String axis : axes) {
                if (mesh.degree(axis) == 1) {
                    full = full.with(axis, 0);
                }
            }
            Set<String> names = new LinkedHashSet<>();
            here.forEach(h -> names.add(h.name()));
            if (names.size() > 1) {
                Set<String> said = new LinkedHashSet<>();
                for (String axis : axes) {
                    if (names.stream().anyMatch(n -> says(n, axis))) {
                        said.add(axis);
                    }
                }
                names.removeIf(n -> said.stream().anyMatch(axis -> !says(n, axis)));
            }
            return new Labels(full, names);
        }

        private boolean says(String local, String axis) {
            return mesh.degree(axis) == 1
                    || holdings.stream()
                            .anyMatch(
                                    h ->
                                            h.name().equals(local)
                                                    && h.at().indices().containsKey(axis));
        }

        private Optional<Shape> realShape(Shape held) {
            List<Long> real =
                    new ArrayList<>(
                            reading.declared()
                                    .orElseGet(() -> Arrays.stream(held.dims()).boxed().toList()));
            List<Long> padded = new ArrayList<>(real);
            StringBuilder how = new StringBuilder();
            for (Reading.Padding p : reading.padding()) {
                if (p.dim() >= real.size()) {
                    throw new ImpossibleLayoutException(
                            "padding of dimension %d".formatted(p.dim()),
                            "one of the %d dimensions".formatted(real.size()));
                }
                long rows = realExtent(p, real.get(p.dim()));
                real.set(p.dim(), rows);
                padded.set(p.dim(), p.padded(rows));
                how.append(", %s padded to a multiple of %s".formatted(rows, p.multiple()));
            }
            Shape whole = Extents.shape(padded);
            if (!whole.equals(held)) {
                fail(
                        "shape",
                        "is %s over all ranks; the rule gives %s%s".formatted(held, whole, how),
                        Optional.empty());
                return Optional.empty();
            }
            return Optional.of(Extents.shape(real));
        }

        /// Without padding: as the clause says, else as the shape says, else as the checkpoint
        /// says.
        private long realExtent(Reading.Padding p, long known) {
            if (p.real().isPresent()) {
                return p.real().getAsLong();
            }
            boolean hinted = reading.declared().isEmpty() && vocabularyRows.isPresent();
            return hinted ? Math.min(vocabularyRows.getAsLong(), known) : known;
        }

        /// The widths that the ranks hold along the cut dimension, as they would be written.
        private Optional<String> widthsHeld() {
            for (Step step : reading.chain().steps()) {
                if (step.layout() instanceof Layout.Sharded(int dim, _)) {
                    List<Long> widths = new ArrayList<>();
                    for (int i = 0; i < mesh.degree(step.axis()); i++) {
                        int index = i;
                        holdings.stream()
                                .filter(h -> mesh.index(step.axis(), h.at()).orElse(-1) == index)
                                .filter(h -> dim < h.shape().rank())
                                .findFirst()
                                .ifPresent(h -> widths.add(h.shape().dim(dim)));
                    }
                    return new TreeSet<>(widths).size() < 2
                            ? Optional.empty()
                            : Optional.of(
                                    "the ranks hold: shard dim %d over %s widths %s"
                                            .formatted(dim, step.axis(), widths));
                }
            }
            return Optional.empty();
        }
    }
}
