package io.ucp.layout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.layout.Chain.Held;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout.Fused;
import io.ucp.layout.Layout.FusedAgain;
import io.ucp.layout.Layout.Part;
import io.ucp.layout.Layout.Permuted;
import io.ucp.layout.Layout.Placed;
import io.ucp.layout.Layout.Replicated;
import io.ucp.layout.Layout.Sharded;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;

class ChainTest {
    private static final Widths EVEN = Widths.Rule.EVEN;

    static LongStream seeds() {
        return LongStream.range(0, 200);
    }

    /// A random chain on a random mesh, with the tensor that each rank should hold, cut naively.
    private record Example(
            Shape whole, Mesh mesh, Chain chain, Map<Coordinate, NaiveTensor> held) {}

    private static Example example(long seed) {
        Random random = new Random(seed);
        int rank = 1 + random.nextInt(3);
        Shape whole = Shape.of(random.ints(rank, 1, 13).asLongStream().toArray());
        Mesh mesh =
                Mesh.of(
                        new AxisDegree("ep", 1 + random.nextInt(3)),
                        new AxisDegree("tp", 1 + random.nextInt(4)));
        List<Step> steps = new ArrayList<>();
        Map<Coordinate, NaiveTensor> held = new LinkedHashMap<>();
        held.put(Coordinate.NONE, NaiveTensor.numbered(whole));
        for (AxisDegree axis : mesh.axes()) {
            if (random.nextInt(4) == 0) {
                Shape before = held.values().iterator().next().shape();
                boolean same = held.values().stream().allMatch(t -> t.shape().equals(before));
                Shape view = split(before, random);
                if (same && view.rank() > before.rank()) {
                    steps.add(Step.view(view));
                    held.replaceAll((_, t) -> t.view(view));
                }
            }
            held = cut(axis, random, steps, held);
        }
        return new Example(whole, mesh, new Chain(steps), held);
    }

    private static Shape split(Shape shape, Random random) {
        int d = random.nextInt(shape.rank());
        for (long f = 2; f < shape.dim(d); f++) {
            if (shape.dim(d) % f == 0) {
                List<Long> dims = new ArrayList<>(Arrays.stream(shape.dims()).boxed().toList());
                dims.set(d, f);
                dims.add(d + 1, shape.dim(d) / f);
                return Shape.of(dims.stream().mapToLong(Long::longValue).toArray());
            }
        }
        return shape;
    }

    private static Map<Coordinate, NaiveTensor> cut(
            AxisDegree axis, Random random, List<Step> steps, Map<Coordinate, NaiveTensor> held) {
        Shape shape = held.values().iterator().next().shape();
        int dim = random.nextInt(shape.rank());
        long extent = shape.dim(dim);
        boolean sameExtent = held.values().stream().allMatch(t -> t.shape().dim(dim) == extent);
        Widths widths = random.nextBoolean() ? Widths.Rule.CEIL : Widths.Rule.BALANCED;
        int kind = random.nextInt(4);
        if (kind == 0 && sameExtent && extent > 1) {
            long first = 1 + random.nextLong(extent - 1);
            steps.add(
                    new Step(
                            axis.axis(),
                            new Fused(
                                    dim,
                                    List.of(
                                            Part.of("a", first, widths),
                                            Part.of("b", extent - first, widths)))));
            return each(
                    axis,
                    held,
                    (t, i) ->
                            NaiveTensor.cat(
                                    dim,
                                    List.of(
                                            share(t.narrow(dim, 0, first), dim, widths, axis, i),
                                            share(
                                                    t.narrow(dim, first, extent - first),
                                                    dim,
                                                    widths,
                                                    axis,
                                                    i))));
        }
        if (kind == 1) {
            steps.add(new Step(axis.axis(), new Replicated()));
            return each(axis, held, (t, _) -> t);
        }
        if (kind == 2) {
            int index = random.nextInt(axis.degree());
            steps.add(new Step(axis.axis(), Placed.at(index)));
            Map<Coordinate, NaiveTensor> placed = new LinkedHashMap<>();
            held.forEach((at, t) -> placed.put(at.with(axis.axis(), index), t));
            return placed;
        }
        steps.add(new Step(axis.axis(), new Sharded(dim, widths)));
        return each(axis, held, (t, i) -> share(t, dim, widths, axis, i));
    }

    private interface Cut {
        NaiveTensor of(NaiveTensor tensor, int index);
    }

    private static Map<Coordinate, NaiveTensor> each(
            AxisDegree axis, Map<Coordinate, NaiveTensor> held, Cut cut) {
        Map<Coordinate, NaiveTensor> out = new LinkedHashMap<>();
        held.forEach(
                (at, t) -> {
                    for (int i = 0; i < axis.degree(); i++) {
                        out.put(at.with(axis.axis(), i), cut.of(t, i));
                    }
                });
        return out;
    }

    private static NaiveTensor share(
            NaiveTensor t, int dim, Widths widths, AxisDegree axis, int index) {
        Stretch s = widths.stretch(t.shape().dim(dim), axis.degree(), index);
        return t.narrow(dim, s.start(), s.extent());
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void everyRankHoldsWhatNarrowingAndConcatenatingGive(long seed) {
        Example e = example(seed);
        for (Coordinate at : e.mesh.coordinates(List.of("ep", "tp"))) {
            var held = e.chain.at(e.whole, e.mesh, at);
            NaiveTensor expected = e.held.get(at);
            assertThat(held.isPresent()).isEqualTo(expected != null);
            if (expected != null) {
                Region region = held.orElseThrow().region();
                assertThat(NaiveTensor.laid(region.pieces(), region.shape().count()))
                        .as("%s of %s at %s", e.chain, e.whole, at)
                        .isEqualTo(expected.values());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void theShapesOfTheShardsGiveTheShapeOfTheWhole(long seed) {
        Example e = example(seed);
        Map<Coordinate, Shape> local = new LinkedHashMap<>();
        for (Coordinate at : e.mesh.coordinates(List.of("ep", "tp"))) {
            Coordinate own = at;
            for (String axis : List.of("ep", "tp")) {
                own = e.chain.axes().contains(axis) ? own : own.without(axis);
            }
            Coordinate label = own;
            e.chain.at(e.whole, e.mesh, at).map(Held::shape).ifPresent(s -> local.put(label, s));
        }
        boolean empty = local.values().stream().anyMatch(s -> s.count() == 0);
        if (!empty) {
            assertThat(e.chain.whole(local, e.mesh)).isEqualTo(e.whole);
        }
    }

    @Test
    void aFusedDimensionGivesEveryRankItsPieceOfEachPart() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2));
        Chain swiglu =
                new Chain(
                        List.of(
                                new Step(
                                        "tp",
                                        new Fused(
                                                0,
                                                List.of(
                                                        Part.of("gate", 4, EVEN),
                                                        Part.of("up", 4, EVEN))))));
        Held held = swiglu.at(Shape.of(8), mesh, Coordinate.of("tp", 1)).orElseThrow();
        assertThat(held.shape()).isEqualTo(Shape.of(4));
        assertThat(NaiveTensor.laid(held.region().pieces(), 4)).containsExactly(2, 3, 6, 7);
    }

    /// Of parts 5 and 3 on 2 ranks by `balanced`: 3 and 2, then 2 and 1. Each of these once more,
    /// which differs from rank to rank.
    @Test
    void partsThatWereSplitUnevenlyAreEachSplitOnceMore() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2), new AxisDegree("cp", 2));
        Widths balanced = Widths.Rule.BALANCED;
        Chain chain =
                new Chain(
                        List.of(
                                new Step(
                                        "tp",
                                        new Fused(
                                                0,
                                                List.of(
                                                        Part.of("q", 5, balanced),
                                                        Part.of("k", 3, balanced)))),
                                new Step("cp", new FusedAgain(0, List.of(balanced, balanced)))));
        Shape whole = Shape.of(8, 3);
        Map<Coordinate, Shape> local = new LinkedHashMap<>();
        for (Coordinate at : mesh.coordinates(List.of("tp", "cp"))) {
            int tp = at.on("tp");
            int cp = at.on("cp");
            NaiveTensor t = NaiveTensor.numbered(whole);
            List<NaiveTensor> parts = new ArrayList<>();
            for (NaiveTensor part : List.of(t.narrow(0, 0, 5), t.narrow(0, 5, 3))) {
                NaiveTensor first = share(part, 0, balanced, new AxisDegree("tp", 2), tp);
                parts.add(share(first, 0, balanced, new AxisDegree("cp", 2), cp));
            }
            NaiveTensor expected = NaiveTensor.cat(0, parts);
            Held held = chain.at(whole, mesh, at).orElseThrow();
            assertThat(held.shape()).isEqualTo(expected.shape());
            assertThat(NaiveTensor.laid(held.region().pieces(), held.shape().count()))
                    .isEqualTo(expected.values());
            local.put(at, held.shape());
        }
        assertThat(chain.whole(local, mesh)).isEqualTo(whole);
    }

    @Test
    void aDimensionThatWasNotFusedHasNoPartsToSplit() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2));
        Chain chain = new Chain(List.of(new Step("tp", new FusedAgain(0, List.of(EVEN, EVEN)))));
        assertThatThrownBy(() -> chain.at(Shape.of(8), mesh, Coordinate.of("tp", 0)))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage("dimension 0 without parts; expected one that was fused and split");
    }

    @Test
    void aViewIsFoldedBackIntoTheDimensionsOnDisk() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2));
        Chain qkv =
                new Chain(
                        List.of(
                                Step.view(Shape.of(2, 4, 3, 5)),
                                new Step("tp", Sharded.evenly(0))));
        Shape whole = Shape.of(24, 5);
        Held held = qkv.at(whole, mesh, Coordinate.of("tp", 1)).orElseThrow();
        assertThat(held.shape()).isEqualTo(Shape.of(12, 5));
        Map<Coordinate, Shape> local =
                Map.of(Coordinate.of("tp", 0), held.shape(), Coordinate.of("tp", 1), held.shape());
        assertThat(qkv.whole(local, mesh)).isEqualTo(whole);
    }

    @Test
    void dimensionsThatAViewMergesAreCutAcrossAndUnfoldedWhereTheyCanBe() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2));
        Chain experts =
                new Chain(List.of(Step.view(Shape.of(8, 3)), new Step("tp", Sharded.evenly(0))));
        Held held = experts.at(Shape.of(4, 2, 3), mesh, Coordinate.of("tp", 1)).orElseThrow();
        assertThat(held.shape()).isEqualTo(Shape.of(2, 2, 3));
        assertThat(NaiveTensor.laid(held.region().pieces(), 12))
                .isEqualTo(LongStream.range(12, 24).toArray());
    }

    @Test
    void aPermutedViewLiesInTheOrderOfThePermutation() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2));
        Chain chain =
                new Chain(
                        List.of(
                                Step.view(Shape.of(4, 2, 3)),
                                new Step("", new Permuted(List.of(1, 0, 2))),
                                new Step("tp", Sharded.evenly(1))));
        for (int tp = 0; tp < 2; tp++) {
            Region region =
                    chain.at(Shape.of(8, 3), mesh, Coordinate.of("tp", tp)).orElseThrow().region();
            NaiveTensor expected =
                    NaiveTensor.numbered(Shape.of(4, 2, 3))
                            .permute(List.of(1, 0, 2))
                            .narrow(1, tp * 2L, 2);
            assertThat(NaiveTensor.laid(region.pieces(), 12)).isEqualTo(expected.values());
        }
    }

    @Test
    void ranksThatAreNotPlacedHoldNothing() {
        Mesh mesh = Mesh.of(new AxisDegree("pp", 3));
        Chain ends = new Chain(List.of(new Step("pp", new Placed(Set.of(0, 2)))));
        assertThat(ends.at(Shape.of(4), mesh, Coordinate.of("pp", 1))).isEmpty();
        assertThat(ends.at(Shape.of(4), mesh, Coordinate.of("pp", 2))).isPresent();
    }

    @Test
    void aViewAcrossAnEarlierCutIsImpossible() {
        Region cut = Region.whole(Shape.of(6, 4)).select(0, List.of(new Stretch(1, 4)));
        assertThatThrownBy(() -> cut.viewed(Shape.of(2, 2, 4)))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage(
                        "view [2, 2, 4] of [4, 4]; expected one whose inner 2 elements an earlier"
                                + " step left together");
        assertThatThrownBy(() -> cut.viewed(Shape.of(3, 5)))
                .hasMessage("view [3, 5] of 15 elements; expected the 16 of [4, 4]");
    }

    @Test
    void shardsThatDoNotGoTogetherAreNamed() {
        Mesh mesh = Mesh.of(new AxisDegree("tp", 2));
        Chain columns = new Chain(List.of(new Step("tp", Sharded.evenly(1))));
        Map<Coordinate, Shape> local =
                Map.of(
                        Coordinate.of("tp", 0), Shape.of(4, 2),
                        Coordinate.of("tp", 1), Shape.of(5, 2));
        assertThatThrownBy(() -> columns.whole(local, mesh))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageMatching(
                        "the ranks of tp hold \\[\\d, 2] and \\[\\d, 2]; expected shards that"
                                + " differ in dimension 1 only");
    }

    @Test
    void everyRuleOfWidthsCoversTheExtent() {
        assertThat(Widths.Rule.EVEN.of(12, 4)).containsExactly(3, 3, 3, 3);
        assertThat(Widths.Rule.CEIL.of(10, 4)).containsExactly(3, 3, 3, 1);
        assertThat(Widths.Rule.CEIL.of(5, 4)).containsExactly(2, 2, 1, 0);
        assertThat(Widths.Rule.BALANCED.of(10, 4)).containsExactly(3, 3, 2, 2);
        assertThat(new Widths.Listed(List.of(1L, 9L)).of(10, 2)).containsExactly(1, 9);
        assertThatThrownBy(() -> Widths.Rule.EVEN.of(10, 4))
                .hasMessage(
                        "10 does not divide by 4; expected equal widths, or 'widths [..]', 'ceil'"
                                + " or 'balanced'");
        assertThatThrownBy(() -> new Widths.Listed(List.of(1L, 8L)).of(10, 2))
                .hasMessage("widths [1, 8], 9 in all; expected 2 widths that sum to 10");
    }
}
