package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;
import io.ucp.tensor.Transfer;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/// Every element of these parameters is its own index, so that a rename is judged element by
/// element.
class RenamesTest {
    /// Told apart: element `k` of parameter `p` of a side.
    private static final long SIDE = 1_000_000;

    private static IndexBuilder index() {
        return new IndexBuilder();
    }

    private static List<Renamed> bind(String text, CheckpointIndex index) {
        Spec spec =
                Ucl.parse(
                        SourceText.of(
                                "a.ucl", "ucl 1 mesh (pp, dp, tp)\ndefault param \"**\"\n" + text),
                        SpecLibrary.imports());
        return Binder.bind(spec, index, Map.of()).renames();
    }

    private static String errors(String text, CheckpointIndex index) {
        try {
            bind(text, index);
        } catch (SpecException e) {
            return String.valueOf(e.getMessage());
        }
        return "";
    }

    /// For each parameter on the right, which element of the left each of its elements is.
    private static long[][] elements(Renamed renamed) {
        long[][] out = new long[renamed.right().size()][];
        for (int j = 0; j < out.length; j++) {
            Shape shape = renamed.right().get(j).shape();
            out[j] = new long[(int) shape.count()];
            Arrays.fill(out[j], -1);
            for (int i = 0; i < renamed.left().size(); i++) {
                Piece whole = Piece.whole(renamed.left().get(i).shape());
                put(renamed.carry(i, j, whole), shape, i * SIDE, out[j]);
            }
        }
        return out;
    }

    private static void put(List<Piece> pieces, Shape shape, long base, long[] into) {
        for (Piece piece : pieces) {
            for (Transfer moves : Piece.whole(shape).intersect(piece)) {
                moves.lines(
                        0,
                        Long.MAX_VALUE / 2,
                        (from, fromStride, to, toStride, count) -> {
                            for (long k = 0; k < count; k++) {
                                int at = (int) (from + k * fromStride);
                                assertThat(into[at]).isEqualTo(-1);
                                into[at] = base + to + k * toStride;
                            }
                        });
            }
        }
    }

    private static void comesBack(Renamed renamed) {
        long[][] there = elements(renamed);
        long[][] back = elements(renamed.inverse());
        for (int i = 0; i < back.length; i++) {
            for (int k = 0; k < back[i].length; k++) {
                long right = back[i][k];
                assertThat(there[(int) (right / SIDE)][(int) (right % SIDE)])
                        .isEqualTo(i * SIDE + k);
            }
        }
        long left = renamed.left().stream().mapToLong(s -> s.shape().count()).sum();
        assertThat(renamed.right().stream().mapToLong(s -> s.shape().count()).sum())
                .isEqualTo(left);
    }

    @Test
    void fusedQueriesKeysAndValuesOfGroupsBecomeThree() {
        int groups = 2;
        int queries = 3;
        int dim = 4;
        int hidden = 5;
        Renamed renamed =
                bind(
                                """
                                rename "{l}.qkv" <-> "m.{l}.q", "m.{l}.k", "m.{l}.v" {
                                    view [2, 3 + 2, 4, 5]
                                    split dim 1 (q: 3, k: 1, v: 1)
                                }
                                """,
                                index().weight("7.qkv", IndexBuilder.at(), 40, 5).build())
                        .getFirst();
        assertThat(renamed.right())
                .extracting(Renamed.Side::name)
                .containsExactly("m.7.q", "m.7.k", "m.7.v");
        assertThat(renamed.right())
                .extracting(Renamed.Side::shape)
                .containsExactly(Shape.of(24, 5), Shape.of(8, 5), Shape.of(8, 5));
        long[][] got = elements(renamed);
        int[] first = {0, queries, queries + 1};
        int[] width = {queries, 1, 1};
        for (int j = 0; j < 3; j++) {
            int at = 0;
            for (int g = 0; g < groups; g++) {
                for (int h = 0; h < width[j]; h++) {
                    for (int d = 0; d < dim; d++) {
                        for (int x = 0; x < hidden; x++) {
                            long row = ((long) g * (queries + 2) + first[j] + h) * dim + d;
                            assertThat(got[j][at++]).isEqualTo(row * hidden + x);
                        }
                    }
                }
            }
        }
        comesBack(renamed);
    }

    @Test
    void rotaryHalvesAndPairsChangePlaces() {
        Renamed renamed =
                bind(
                                """
                                rename "q" <-> "p" { view [3, 2, 4, 5]; permute (0, 2, 1, 3) }
                                """,
                                index().weight("q", IndexBuilder.at(), 24, 5).build())
                        .getFirst();
        assertThat(renamed.right().getFirst().shape()).isEqualTo(Shape.of(24, 5));
        long[] got = elements(renamed)[0];
        for (int row = 0; row < 24; row++) {
            int head = row / 8;
            int pair = row % 8 / 2;
            int half = row % 2;
            for (int x = 0; x < 5; x++) {
                assertThat(got[row * 5 + x]).isEqualTo((head * 8 + half * 4 + pair) * 5L + x);
            }
        }
        comesBack(renamed);
    }

    @Test
    void gateAndUpPartAndAConvolutionIsTransposed() {
        List<Renamed> renames =
                bind(
                        """
                        rename "{l}.up" <-> "a.{l}.gate", "a.{l}.up" { split dim 0 (gate: 2, up: 4) }
                        rename "fc" <-> "linear" { transpose }
                        """,
                        index().weight("3.up", IndexBuilder.at(), 6, 2)
                                .weight("fc", IndexBuilder.at(), 3, 4)
                                .build());
        assertThat(elements(renames.get(0))[0]).containsExactly(0, 1, 2, 3);
        assertThat(elements(renames.get(0))[1]).containsExactly(4, 5, 6, 7, 8, 9, 10, 11);
        assertThat(renames.get(1).right().getFirst().shape()).isEqualTo(Shape.of(4, 3));
        assertThat(elements(renames.get(1))[0])
                .containsExactly(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11);
        renames.forEach(RenamesTest::comesBack);
    }

    @Test
    void partsAreJoinedAfterTheirOwnSteps() {
        Renamed renamed =
                bind(
                                """
                                rename "h.{l}.q", "h.{l}.k" <-> "h.{l}.qk" {
                                    for q { view [2, 2, 2, 3]; permute (0, 2, 1, 3) }
                                    for k { view [1, 2, 2, 3] }
                                    join dim 0 (q, k: 1)
                                }
                                """
                                        .replace("q, k: 1", "q: 2, k: 1"),
                                index().weight("h.0.q", IndexBuilder.at(), 8, 3)
                                        .weight("h.0.k", IndexBuilder.at(), 4, 3)
                                        .build())
                        .getFirst();
        assertThat(renamed.right().getFirst().shape()).isEqualTo(Shape.of(12, 3));
        long[] got = elements(renamed)[0];
        int[] rows = {0, 2, 1, 3, 4, 6, 5, 7};
        for (int row = 0; row < 12; row++) {
            for (int x = 0; x < 3; x++) {
                long expected = row < 8 ? rows[row] * 3L + x : SIDE + (row - 8) * 3L + x;
                assertThat(got[row * 3 + x]).isEqualTo(expected);
            }
        }
        comesBack(renamed);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
    void whateverTheStepsThereIsAWayBackAndPartsLandWhereTheWholeDoes(int seed) {
        Random random = new Random(seed);
        long[] view = new long[4];
        Arrays.setAll(view, _ -> 1 + random.nextInt(4));
        view[1] += 2;
        List<Integer> order = new ArrayList<>(List.of(0, 1, 2, 3));
        Collections.shuffle(order, random);
        long cut = view[order.get(2)];
        long first = random.nextInt((int) cut + 1);
        Renamed renamed =
                bind(
                                """
                                rename "w" <-> "a", "b" {
                                    view %s
                                    permute (%s)
                                    split dim 2 (a: %d, b: %d)
                                    for b { transpose (0, 3) }
                                }
                                """
                                        .formatted(
                                                Arrays.toString(view),
                                                order.toString().replaceAll("[\\[\\]]", ""),
                                                first,
                                                cut - first),
                                index().weight(
                                                "w",
                                                IndexBuilder.at(),
                                                view[0] * view[1],
                                                view[2] * view[3])
                                        .build())
                        .getFirst();
        comesBack(renamed);
        long[][] whole = elements(renamed);
        Shape shape = renamed.left().getFirst().shape();
        long middle = shape.count() / 3;
        for (int j = 0; j < 2; j++) {
            long[] parts = new long[whole[j].length];
            Arrays.fill(parts, -1);
            for (long[] range : new long[][] {{0, middle}, {middle, shape.count()}}) {
                for (Piece part : Piece.whole(shape).cut(range[0], range[1])) {
                    put(renamed.carry(0, j, part), renamed.right().get(j).shape(), range[0], parts);
                }
            }
            assertThat(parts).isEqualTo(whole[j]);
        }
    }

    @Test
    void aCutThatFallsInsideFactorsOfARanksPartTakesThemApart() {
        Renamed renamed =
                bind(
                                """
                                rename "w" <-> "a", "b" { split dim 0 (a: 5, b: 7) }
                                """,
                                index().weight("w", IndexBuilder.at(), 12, 2).build())
                        .getFirst();
        // As a view [3, 4, 2] has it, the last dimensions laid first.
        Piece factored =
                Piece.of(
                        new long[] {3, 4, 2},
                        new long[3],
                        new long[] {3, 4, 2},
                        0,
                        new long[] {8, 1, 4});
        for (int j = 0; j < 2; j++) {
            int rows = j == 0 ? 5 : 7;
            long[] got = new long[rows * 2];
            Arrays.fill(got, -1);
            put(renamed.carry(0, j, factored), Shape.of(rows, 2), 0, got);
            for (int row = 0; row < rows; row++) {
                int held = row + (j == 0 ? 0 : 5);
                for (int x = 0; x < 2; x++) {
                    assertThat(got[row * 2 + x]).isEqualTo(held / 4 * 8 + held % 4 + x * 4);
                }
            }
        }
    }

    @Test
    void whatIsKnownOfTheCutFollowsTheDimension() {
        IndexBuilder index = new IndexBuilder().axis("tp", 2);
        for (int tp = 0; tp < 2; tp++) {
            index.weight("row", IndexBuilder.at("tp", tp), 4, 3)
                    .weight("up", IndexBuilder.at("tp", tp), 4, 3);
        }
        List<Renamed> renames =
                bind(
                        """
                        param "row" { shard dim 1 over tp }
                        param "up" { fuse dim 0 (gate: 4, up: 4) shard each over tp }
                        rename "row" <-> "turned" { transpose }
                        rename "up" <-> "a", "b" { split dim 0 (a: 4, b: 4) }
                        """,
                        index.build());
        assertThat(renames.get(0).right().getFirst().split())
                .matches(s -> s.kind() == SplitKind.SHARDED && s.dim() == 0);
        assertThat(renames.get(1).right().getFirst().split())
                .matches(s -> s.kind() == SplitKind.SHARDED && s.dim() == 0);
    }

    private static IndexBuilder experts(int count) {
        IndexBuilder index = index().weight("0.norm", IndexBuilder.at(), 3);
        for (int e = 0; e < count; e++) {
            index.weight("0.experts.%d.up".formatted(e), IndexBuilder.at(), 2, 3);
        }
        return index;
    }

    private static final String STACK =
            "rename \"{l}.experts.{e}.up\" <-> \"m.{l}.ups\" { stack e [%s] }\n";

    @Test
    void expertsOfALayerAreStackedInTheOrderOfTheirNumbers() {
        Renamed renamed = bind(STACK.formatted(11), experts(11).build()).getFirst();
        assertThat(renamed.left())
                .extracting(Renamed.Side::name)
                .startsWith("0.experts.0.up", "0.experts.1.up", "0.experts.2.up")
                .endsWith("0.experts.10.up");
        assertThat(renamed.right())
                .singleElement()
                .returns("m.0.ups", Renamed.Side::name)
                .returns(Shape.of(11, 2, 3), Renamed.Side::shape);
        long[] got = elements(renamed)[0];
        for (int k = 0; k < got.length; k++) {
            assertThat(got[k]).isEqualTo(k / 6 * SIDE + k % 6);
        }
        comesBack(renamed);
    }

    @Test
    void stepsBeforeAndBehindAStackAreOfEachAndOfAll() {
        Renamed renamed =
                bind(
                                STACK.formatted(2)
                                        .replace("{ stack", "{ transpose; stack")
                                        .replace(" }", "; permute (2, 0, 1) }"),
                                experts(2).build())
                        .getFirst();
        assertThat(renamed.right().getFirst().shape()).isEqualTo(Shape.of(2, 2, 3));
        // Row r, expert e, column c of what is [row, column] in each.
        assertThat(elements(renamed)[0])
                .containsExactly(
                        0, 1, 2, SIDE, SIDE + 1, SIDE + 2, 3, 4, 5, SIDE + 3, SIDE + 4, SIDE + 5);
        comesBack(renamed);
    }

    @Test
    void aStackThatIsNotWholeIsRefused() {
        assertThat(errors(STACK.formatted(3), experts(2).build()))
                .contains(
                        "'0.experts.2.up' is not in the checkpoint, and others of its rename are;"
                                + " expected all names on the left");
        assertThat(errors(STACK.formatted(2), experts(3).build()))
                .contains(
                        "'0.experts.2.up' is none of the 2 that are stacked; expected numbers from"
                                + " 0");
        assertThat(
                        errors(
                                STACK.formatted(2),
                                experts(2)
                                        .weight("0.experts.00.up", IndexBuilder.at(), 2, 3)
                                        .build()))
                .contains("'0.experts.00.up' is none of the 2 that are stacked");
        assertThat(
                        errors(
                                STACK.formatted(3),
                                experts(2)
                                        .weight("0.experts.2.up", IndexBuilder.at(), 2, 4)
                                        .build()))
                .contains(
                        "'0.experts.0.up' cannot be renamed so: a stack of [2, 3] and [2, 4];"
                                + " expected tensors of one shape");
        assertThat(errors(STACK.formatted("experts"), experts(2).build()))
                .contains("'experts' is not known");
        assertThat(errors(STACK.formatted(0), experts(2).build()))
                .contains("a stack of 0; expected 1 to 65536");
    }

    private static final String UNSTACK =
            "rename \"{l}.w1\" <-> \"m.{l}.{e}.gate\", \"m.{l}.{e}.up\""
                    + " { split dim 2 (gate, up); transpose (1, 2); unstack e [%s] }\n";

    @Test
    void oneTensorOfAllExpertsBecomesThoseOfEach() {
        IndexBuilder index =
                index().weight("0.norm", IndexBuilder.at(), 3)
                        .weight("0.w1", IndexBuilder.at(), 3, 2, 8);
        Renamed renamed = bind(UNSTACK.formatted(3), index.build()).getFirst();
        assertThat(renamed.right())
                .extracting(Renamed.Side::name)
                .containsExactly(
                        "m.0.0.gate",
                        "m.0.1.gate",
                        "m.0.2.gate",
                        "m.0.0.up",
                        "m.0.1.up",
                        "m.0.2.up");
        assertThat(renamed.right()).allMatch(side -> side.shape().equals(Shape.of(4, 2)));
        // Of expert 2 the second half of each row, the other way round.
        assertThat(elements(renamed)[5]).containsExactly(36, 44, 37, 45, 38, 46, 39, 47);
        comesBack(renamed);
    }

    @Test
    void whatHasOtherExpertsThanThoseThatAreTakenApartIsRefused() {
        IndexBuilder index = index().weight("0.w1", IndexBuilder.at(), 3, 2, 8);
        assertThat(errors(UNSTACK.formatted(4), index.build()))
                .contains(
                        "'0.w1' cannot be renamed so: 4 tensors of one [3, 4, 2]; expected a first"
                                + " dimension of as many");
        assertThat(errors(UNSTACK.formatted("experts"), index.build()))
                .contains("'experts' is not known");
        assertThat(errors(UNSTACK.formatted(0), index.build()))
                .contains("a stack of 0; expected 1 to 65536");
    }

    @Test
    void aPaddedParameterIsSplitJoinedAndViewedInItsOtherDimensions() {
        IndexBuilder index =
                index().weight("e", IndexBuilder.at(), 8, 6).weight("f", IndexBuilder.at(), 8, 2);
        String padded =
                """
                param "e" : [5, 6] { pad dim 0 to multiple 8 }
                param "f" : [5, 2] { pad dim 0 to multiple 8 }
                """;
        Renamed split =
                bind(
                                padded
                                        + "rename \"e\" <-> \"a\", \"b\" { split dim 1 (a: 4, b: 2)"
                                        + " }",
                                index.build())
                        .getFirst();
        assertThat(split.right())
                .extracting(Renamed.Side::shape)
                .containsExactly(Shape.of(8, 4), Shape.of(8, 2));
        assertThat(split.right())
                .extracting(Renamed.Side::realShape)
                .containsExactly(Shape.of(5, 4), Shape.of(5, 2));
        comesBack(split);

        Renamed join =
                bind(padded + "rename \"e\", \"f\" <-> \"g\" { join dim 1 (e, f) }", index.build())
                        .getFirst();
        assertThat(join.right().getFirst().realShape()).isEqualTo(Shape.of(5, 8));
        comesBack(join);

        Renamed viewed =
                bind(
                                padded
                                        + "rename \"e\" <-> \"g\" { view [8, 2, 3]; permute (0, 2,"
                                        + " 1) }",
                                index.build())
                        .getFirst();
        assertThat(viewed.right().getFirst().realShape()).isEqualTo(Shape.of(5, 6));
        assertThat(elements(viewed)[0]).startsWith(0, 3, 1, 4, 2, 5, 6);
        comesBack(viewed);
    }

    @Test
    void aPaddedDimensionIsNoneThatPartsOrViewsAreOf() {
        IndexBuilder index =
                index().weight("e", IndexBuilder.at(), 8, 6).weight("f", IndexBuilder.at(), 8, 6);
        String padded =
                """
                param "e" : [5, 6] { pad dim 0 to multiple 8 }
                param "f" : [7, 6] { pad dim 0 to multiple 8 }
                """;
        assertThat(
                        errors(
                                padded
                                        + "rename \"e\" <-> \"a\", \"b\" { split dim 0 (a: 4, b: 4)"
                                        + " }",
                                index.build()))
                .contains(
                        "'e' cannot be renamed so: a split of dimension 0 of a tensor [8, 6] that"
                                + " is padded from [5, 6]; expected one of a dimension without"
                                + " padding");
        assertThat(errors(padded + "rename \"e\" <-> \"a\" { view [2, 4, 6] }", index.build()))
                .contains("a view of dimension 0 of a tensor [8, 6] that is padded from [5, 6]");
        assertThat(
                        errors(
                                padded + "rename \"e\", \"f\" <-> \"a\" { join dim 0 (e, f) }",
                                index.build()))
                .contains("a join of dimension 0 of a tensor [8, 6] that is padded from [5, 6]");
        assertThat(
                        errors(
                                padded + "rename \"e\", \"f\" <-> \"a\" { join dim 1 (e, f) }",
                                index.build()))
                .contains("parts padded from [[5, 6], [7, 6]]");
    }

    @Test
    void aRuleThatCannotHoldIsShownWhereItStands() {
        CheckpointIndex index =
                index().weight("a", IndexBuilder.at(), 6, 2)
                        .weight("b", IndexBuilder.at(), 3)
                        .weight("x.q", IndexBuilder.at(), 2, 2)
                        .build();
        assertThat(errors("rename \"aa\" <-> \"c\"", index))
                .contains(
                        "a.ucl:3:8: error: \"aa\" matches nothing in the checkpoint; expected a"
                                + " parameter");
        assertThat(errors("optional rename \"aa\" <-> \"c\"", index)).isEmpty();
        assertThat(errors("rename \"a\" <-> \"b\"", index))
                .contains(
                        "a.ucl:3:16: error: 'a' becomes 'b', and so does the checkpoint's parameter"
                                + " of that name; expected a name for each");
        assertThat(errors("rename \"a\" <-> \"m.x\" rename \"{n}.q\" <-> \"m.{n}\"", index))
                .contains("'x.q' becomes 'm.x', and so does 'a'");
        assertThat(errors("rename \"a\" <-> \"c\" rename \"{n}\" <-> \"m.{n}\"", index))
                .contains("'a' is renamed by line 3: rename \"a\" too; expected one rename");
        assertThat(errors("rename \"a\" <-> \"c\", \"d\" { split dim 0 (c: 4, d: 1) }", index))
                .contains("a.ucl:3:27")
                .contains(
                        "'a' cannot be renamed so: parts [4, 1] that come to 5; expected the 6 of"
                                + " the dimension");
        assertThat(errors("rename \"a\" <-> \"c\", \"d\" { split dim 3 (c, d) }", index))
                .contains("dimension 3 of a tensor [6, 2]; expected 0 to 1");
        assertThat(errors("rename \"a\" <-> \"c\" { view [5, 2] }", index))
                .contains("view [5, 2] of 10 elements; expected the 12 of [6, 2]");
        assertThat(errors("rename \"b\" <-> \"c\" { transpose }", index))
                .contains("transpose of a tensor [3]; expected a matrix");
        assertThat(errors("rename \"a\" <-> \"c\" { permute (0, 1, 2) }", index))
                .contains(
                        "order [0, 1, 2] of a tensor [6, 2]; expected each of its 2 dimensions"
                                + " once");
        assertThat(errors("rename \"a\", \"b\" <-> \"c\" { join dim 0 (q, k) }", index))
                .contains("parts [[6, 2], [3]]; expected shapes that differ in dimension 0 alone");
        assertThat(
                        errors(
                                "rename \"{n}.q\", \"{n}.k\" <-> \"{n}.qk\" { join dim 0 (q, k) }",
                                index))
                .contains("\"{n}.k\" matches nothing");
        assertThat(
                        errors(
                                "rename \"a\" <-> \"c\", \"d\" { for c { transpose } split dim 0"
                                        + " (c, d) }",
                                index))
                .contains("part 'c' is not there at this step");
        assertThat(errors("rename \"a\" <-> \"c\" { view [rows, 2] }", index))
                .contains("'rows' is not known");
    }

    @Test
    void aNameFromWhichTheOtherCouldNotBeReadAgainIsNone() {
        CheckpointIndex index =
                index().weight("x.q", IndexBuilder.at(), 2)
                        .weight("1.k", IndexBuilder.at(), 2)
                        .weight("02.v", IndexBuilder.at(), 2)
                        .weight("a.b.c", IndexBuilder.at(), 2)
                        .build();
        assertThat(errors("rename \"{n}.q\" <-> \"m.{n + 2}\"", index))
                .contains(
                        "a.ucl:3:8: error: 'x.q' gives {n} = 'x', which \"m.{n + 2}\" would not"
                                + " give back; expected captures that both names give");
        assertThat(errors("rename \"{n}.k\" <-> \"m.{n - 2}\"", index))
                .contains("'1.k' gives {n} = '1', which \"m.{n - 2}\" would not give back");
        assertThat(errors("rename \"{n}.v\" <-> \"m.{n + 2}\"", index))
                .contains("'02.v' gives {n} = '02', which \"m.{n + 2}\" would not give back");
        assertThat(errors("rename \"{a**}.{b**}\" <-> \"{b**}.{a**}\"", index))
                .contains(
                        "'a.b.c' gives {a} = 'a.b', {b} = 'c', which \"{b**}.{a**}\" would not give"
                                + " back");
        assertThat(errors("rename \"{a}.{b}.c\" <-> \"{a}.{b}\"", index)).isEmpty();
    }

    @Test
    void aParameterIsNotJoinedToItself() {
        CheckpointIndex index = index().weight("q.q", IndexBuilder.at(), 2).build();
        assertThat(
                        errors(
                                "rename \"{n}.q\", \"q.{n}\" <-> \"{n}.qq\" { join dim 0 (a, b) }",
                                index))
                .contains("'q.q' is renamed by line 3: rename \"{n}.q\" too");
    }

    @Test
    void whatIsStackedAndWhatAViewMergedStayDimensionsOfTheirOwn() {
        Renamed stacked =
                bind(
                                "rename \"{e}.w\" <-> \"all\" { stack e [2]; view [2, 12] }",
                                index().weight("0.w", IndexBuilder.at(), 3, 4)
                                        .weight("1.w", IndexBuilder.at(), 3, 4)
                                        .build())
                        .getFirst();
        assertThat(stacked.right().getFirst().shape()).isEqualTo(Shape.of(2, 12));
        comesBack(stacked);
        Renamed viewed =
                bind(
                                """
                                rename "w" <-> "v" {
                                    view [6, 20, 6, 7]
                                    permute (1, 0, 2, 3)
                                    view [20, 36, 7]
                                }
                                """,
                                index().weight("w", IndexBuilder.at(), 2, 3, 4, 5, 6, 7).build())
                        .getFirst();
        assertThat(viewed.right().getFirst().shape()).isEqualTo(Shape.of(20, 36, 7));
        comesBack(viewed);
    }

    @Test
    void whatIsLeftOutOfAllRulesKeepsItsName() {
        List<Renamed> renames =
                bind(
                        "rename \"a\" <-> \"b\" rename \"b\" <-> \"a\"",
                        index().weight("a", IndexBuilder.at(), 2)
                                .weight("b", IndexBuilder.at(), 3)
                                .weight("c", IndexBuilder.at(), 4)
                                .build());
        assertThat(renames).allMatch(Renamed::isPlain);
        assertThat(
                        IntStream.range(0, 2)
                                .mapToObj(
                                        k ->
                                                renames.get(k).left().getFirst().name()
                                                        + renames.get(k).right().getFirst().name()))
                .containsExactly("ab", "ba");
    }
}
