package io.ucp.formats.megatrondist;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.mcore.OptimizerSettings;
import io.ucp.formats.megatrondist.StackedKey.Member;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.LongStream;

/// The keys of the tensors that are to be written, each with its chunks: one for a layer (and an
/// expert), cut as the job's tensor-parallel ranks share the parameter.
final class DistKeys {
    private static final String WEIGHT = "weight";
    private static final String MASTER = "fp32";

    /// A key with a state of each of its parameters.
    ///
    /// @param shape of all of them stacked
    record Key(String key, DType dtype, Shape shape, List<Part> parts) {}

    /// A chunk.
    ///
    /// @param state as the parameter has it
    /// @param chunk of the key's tensor
    /// @param held those of its elements that the source has: what lies behind is new padding
    /// @param stage whose ranks hold it, and of those the ones at `tp`, or at `ep` and `etp`
    record Part(
            Chunk chunk,
            ParameterFacts of,
            String state,
            Optional<Piece> held,
            int stage,
            int tp,
            int ep) {}

    private final TargetJob job;
    private final Grid grid;
    private final boolean local;
    private final boolean gated;
    private final Optional<OptimizerSettings> optimizer;
    private final Map<String, List<Placed>> stacks = new LinkedHashMap<>();
    private final List<Key> keys = new ArrayList<>();

    /// A parameter in a stack.
    private record Placed(ParameterFacts facts, Member member) {}

    /// @param local the model is made without Transformer Engine
    DistKeys(
            TargetJob job,
            Grid grid,
            boolean local,
            boolean gated,
            Optional<OptimizerSettings> optimizer) {
        this.job = job;
        this.grid = grid;
        this.local = local;
        this.gated = gated;
        this.optimizer = optimizer;
    }

    List<Key> of(List<ParameterFacts> parameters) {
        for (ParameterFacts facts : parameters) {
            Member member = StackedKey.member(facts.name(), local);
            stacks.computeIfAbsent(member.key().key(), _ -> new ArrayList<>())
                    .add(new Placed(facts, member));
        }
        stacks.forEach((key, stack) -> add(key, WEIGHT, stack));
        if (optimizer.isPresent()) {
            stacks.forEach(this::states);
        }
        return keys;
    }

    private void states(String key, List<Placed> stack) {
        ParameterFacts first = stack.getFirst().facts;
        if (!first.trainable() || first.buffer()) {
            return;
        }
        boolean distributed = optimizer.orElseThrow().distributed();
        if (distributed || first.states().getOrDefault(WEIGHT, DType.FLOAT32) != DType.FLOAT32) {
            add(
                    "optimizer.state.%s.%s".formatted(distributed ? "param" : "fp32_param", key),
                    MASTER,
                    stack);
        }
        for (String state : first.states().keySet()) {
            if (!state.equals(MASTER) && !state.equals(WEIGHT)) {
                add("optimizer.state.%s.%s".formatted(state, key), state, stack);
            }
        }
    }

    private void add(String key, String state, List<Placed> stack) {
        ParameterFacts first = stack.getFirst().facts;
        String held =
                first.heldAs(state)
                        .orElseThrow(() -> refused(first.name(), "no state `%s`".formatted(state)));
        Shape own = shape(first);
        DType dtype =
                state.equals(MASTER)
                        ? DType.FLOAT32
                        : Optional.ofNullable(first.states().get(held)).orElseThrow();
        List<Part> parts = new ArrayList<>();
        for (Placed each : stack) {
            ParameterFacts facts = each.facts;
            boolean same =
                    each.member.key().equals(stack.getFirst().member.key())
                            && shape(facts).equals(own)
                            && facts.heldAs(state).equals(Optional.of(held))
                            && facts.trainable() == first.trainable()
                            && facts.states().keySet().equals(first.states().keySet())
                            && Optional.ofNullable(facts.states().get(held))
                                    .equals(Optional.ofNullable(first.states().get(held)));
            if (!same) {
                throw refused(
                        facts.name(),
                        "shape %s and states %s; %s has shape %s and states %s"
                                .formatted(
                                        shape(facts),
                                        facts.states(),
                                        first.name(),
                                        own,
                                        first.states()));
            }
            parts.addAll(parts(each, held));
        }
        long[] dims =
                stack.getFirst().member.key().turned() ? StackedKey.turned(own.dims()) : own.dims();
        keys.add(new Key(key, dtype, stacked(key, stack, Shape.of(dims)), parts));
    }

    private Shape shape(ParameterFacts facts) {
        return job.padded().getOrDefault(facts.name(), facts.shape());
    }

    private static RefusedException refused(String name, String found) {
        return new RefusedException(
                name,
                found,
                "the same of every layer: equal layers are stacked under one key",
                "--to megatron keeps layers apart");
    }

    /// With a dim for the layers and one for the experts; every place in them is taken.
    private static Shape stacked(String key, List<Placed> stack, Shape own) {
        int lead = stack.getFirst().member.key().lead();
        long[] dims = new long[lead];
        for (Placed each : stack) {
            for (int d = 0; d < lead; d++) {
                dims[d] = Math.max(dims[d], each.member.at()[d] + 1);
            }
        }
        TreeSet<String> places = new TreeSet<>();
        stack.forEach(each -> places.add(Arrays.toString(each.member.at())));
        if (places.size() != stack.size() || Shape.of(dims).count() != stack.size()) {
            throw refused(
                    key,
                    "%d parameters for %s layers".formatted(stack.size(), Arrays.toString(dims)));
        }
        return Shape.of(
                LongStream.concat(Arrays.stream(dims), Arrays.stream(own.dims())).toArray());
    }

    private List<Part> parts(Placed each, String state) {
        ParameterFacts facts = each.facts;
        Shape whole = shape(facts);
        List<RankShard> shards = distinct(facts.name());
        int lead = each.member.at().length;
        List<Part> parts = new ArrayList<>();
        for (int i = 0; i < shards.size(); i++) {
            RankShard shard = shards.get(i);
            for (Chunk box : boxes(facts, whole, shard, i, shards.size())) {
                boolean turned = each.member.key().turned();
                long[] ones = new long[lead];
                Arrays.fill(ones, 1);
                long[] start = concat(each.member.at(), box.offsets(), turned);
                long[] extent = concat(ones, box.extent().dims(), turned);
                boolean expert = grid.experts() && Names.isExpert(facts.name());
                parts.add(
                        new Part(
                                Chunk.of(start, extent),
                                facts,
                                state,
                                held(box, facts.shape(), turned),
                                shard.at().on("pp"),
                                expert ? shard.at().on("etp") : shard.at().on("tp"),
                                expert ? shard.at().on("ep") : -1));
            }
        }
        return parts;
    }

    private static long[] concat(long[] lead, long[] own, boolean turned) {
        return LongStream.concat(
                        Arrays.stream(lead), Arrays.stream(turned ? StackedKey.turned(own) : own))
                .toArray();
    }

    /// One of those that hold the same, in the order of what they hold.
    private List<RankShard> distinct(String name) {
        Map<List<Piece>, RankShard> byPieces = new LinkedHashMap<>();
        List<RankShard> shards = new ArrayList<>(job.shards().getOrDefault(name, List.of()));
        shards.sort(
                Comparator.comparingInt((RankShard s) -> s.at().on("pp"))
                        .thenComparingInt(s -> s.at().on("tp") + s.at().on("etp")));
        boolean padded = job.padded().containsKey(name);
        for (RankShard shard : shards) {
            boolean empty = padded && shard.real() == 0;
            byPieces.putIfAbsent(
                    empty ? List.of(Piece.whole(Shape.of(shard.at().on("tp")))) : shard.pieces(),
                    shard);
        }
        if (byPieces.isEmpty()) {
            throw new RefusedException(
                    name,
                    "no rank holds it",
                    "a rank for every parameter",
                    "name a spec that says how the ranks share it, --spec");
        }
        return List.copyOf(byPieces.values());
    }

    /// Of the parameter in the target, padding included.
    private List<Chunk> boxes(
            ParameterFacts facts, Shape whole, RankShard shard, int number, int of) {
        if (of == 1) {
            boolean together = GroupedExperts.is(facts.name());
            int dim = together ? whole.rank() - 1 : 0;
            String first = together ? ".weight1" : "linear_fc1.";
            boolean halves = gated && facts.name().contains(first) && whole.dim(dim) % 2 == 0;
            return halves
                    ? List.of(part(whole, dim, 0, 2), part(whole, dim, 1, 2))
                    : List.of(Chunk.whole(whole));
        }
        if (!whole.equals(facts.shape())) {
            return List.of(part(whole, 0, number, of));
        }
        List<Chunk> boxes = new ArrayList<>();
        for (Piece piece : shard.pieces()) {
            boxes.add(box(piece, whole, facts.name()));
        }
        return boxes;
    }

    private static Chunk part(Shape whole, int dim, int number, int of) {
        long[] start = new long[whole.rank()];
        long[] extent = whole.dims();
        extent[dim] = whole.dim(dim) / of;
        start[dim] = extent[dim] * number;
        return Chunk.of(start, extent);
    }

    /// The box between the piece's first element and its last.
    private static Chunk box(Piece piece, Shape whole, String name) {
        long[] start = index(piece.firstIndex(), whole);
        long[] last = index(piece.endIndex() - 1, whole);
        long[] extent = new long[start.length];
        for (int d = 0; d < start.length; d++) {
            extent[d] = last[d] - start[d] + 1;
        }
        boolean full =
                Arrays.stream(extent).allMatch(e -> e > 0)
                        && Shape.of(extent).count() == piece.count();
        if (!full) {
            throw new RefusedException(
                    name,
                    "a shard that is no box of rows and columns, " + piece,
                    "boxes, which chunks are",
                    "name a spec that cuts it otherwise, or give --tp 1");
        }
        return Chunk.of(start, extent);
    }

    private static long[] index(long flat, Shape shape) {
        long[] index = new long[shape.rank()];
        long rest = flat;
        for (int d = shape.rank() - 1; d >= 0; d--) {
            index[d] = rest % shape.dim(d);
            rest /= shape.dim(d);
        }
        return index;
    }

    /// What the source has of a box, at its places in the chunk; padding is behind it.
    private static Optional<Piece> held(Chunk box, Shape source, boolean turned) {
        long[] extent = box.extent().dims();
        if (extent.length > 0) {
            extent[0] = Math.min(extent[0], source.dim(0) - box.offsets()[0]);
        }
        if (Arrays.stream(extent).anyMatch(e -> e <= 0)) {
            return Optional.empty();
        }
        if (!turned) {
            return Optional.of(Piece.box(source, box.offsets(), extent));
        }
        long[] strides = StackedKey.turned(Shape.of(StackedKey.turned(extent)).strides());
        return Optional.of(Piece.of(source.dims(), box.offsets(), extent, 0, strides));
    }
}
