package io.ucp.bind;

import static io.ucp.bind.IndexBuilder.at;
import static io.ucp.bind.IndexBuilder.member;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.ucp.formats.Coordinate;
import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.Replica;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.Map;

/// States that a spec lays out by clauses of their own.
class StateLayoutTest {
    private static BoundParameter only(String text, IndexBuilder index) {
        return Binder.bind(
                        Ucl.parse(SourceText.of("a.ucl", "ucl 1 mesh (dp, tp)\n" + text)),
                        index.build(),
                        Map.of())
                .parameters()
                .getFirst();
    }

    private static String errors(String text, IndexBuilder index) {
        try {
            only(text, index);
        } catch (SpecException e) {
            return String.valueOf(e.getMessage());
        }
        return "";
    }

    /// A norm whose states every tensor-parallel rank has in its flat group.
    private static IndexBuilder norm() {
        IndexBuilder index = new IndexBuilder().axis("dp", 2).axis("tp", 2);
        for (int tp = 0; tp < 2; tp++) {
            index.weight("norm", at("tp", tp), 4).zero(0, at("tp", tp), member("norm", 4));
        }
        return index;
    }

    /// A weight that is whole on every rank, beside a state whose ranks hold `rows` of it.
    private static IndexBuilder blocks(long... rows) {
        IndexBuilder index = new IndexBuilder().axis("dp", 1).axis("tp", 2);
        for (int tp = 0; tp < 2; tp++) {
            index.weight("w", at("tp", tp), 4, 3).state("exp_avg", "w", at("tp", tp), rows[tp], 3);
        }
        return index;
    }

    private static final String NORM = "param \"norm\" : [4] { replicate over tp }\n";

    @Test
    void aStateIsAveragedWhereItsParameterIsReplicated() {
        BoundParameter norm =
                only(
                        NORM
                                + """
                                states adam {
                                    fp32, exp_avg_sq: flatten over dp
                                    exp_avg: average over tp flatten over dp
                                    step: scalar
                                }
                                """,
                        norm());

        assertThat(norm.copies())
                .containsExactly(new Replica("tp 0", 0, 0), new Replica("tp 1", 0, 0));
        assertThat(norm.own().keySet()).containsExactly("exp_avg");
        assertThat(norm.copies("exp_avg"))
                .containsExactly(new Replica("tp 0", 0, 0), new Replica("tp 1", 0, 1));
        assertThat(norm.copies("exp_avg_sq")).isEqualTo(norm.copies());
    }

    @Test
    void theFirstCopyOfAStateCountsWhereItsClauseSaysSo() {
        BoundParameter norm =
                only(
                        NORM
                                + """
                                states adam {
                                    fp32: flatten over dp
                                    exp_avg, exp_avg_sq: replicate over tp take first flatten over dp
                                    step: scalar
                                }
                                """,
                        norm());

        assertThat(norm.own().keySet()).containsExactlyInAnyOrder("exp_avg", "exp_avg_sq");
        assertThat(norm.copies("exp_avg"))
                .containsExactly(new Replica("tp 0", 0, 0), new Replica("tp 1", 1, 0));
    }

    @Test
    void whatAStateSaysAgainIsNoLayoutOfItsOwn() {
        assertThat(
                        only(
                                        NORM
                                                + """
                                                states adam {
                                                    fp32, exp_avg, exp_avg_sq: replicate over tp flatten over dp
                                                    step: scalar
                                                }
                                                """,
                                        norm())
                                .own())
                .isEmpty();
    }

    @Test
    void aStateIsCutWhereItsParameterIsReplicated() {
        String spec =
                """
                states sharded { exp_avg: shard dim 0 over tp ceil }
                param "w" : [4, 3] { replicate over tp }
                """;
        BoundParameter w = only(spec, blocks(2, 2));

        assertThat(w.shape()).isEqualTo(Shape.of(4, 3));
        assertThat(w.copies()).hasSize(2);
        assertThat(w.copies("exp_avg")).hasSize(1);
        assertThat(w.shards("exp_avg"))
                .extracting(Shard::at, Shard::shape)
                .containsExactly(tuple(tp(0), Shape.of(2, 3)), tuple(tp(1), Shape.of(2, 3)));
        assertThat(errors(spec.replace(" ceil", ""), blocks(3, 1)))
                .contains("'w: exp_avg' is [3, 3] at tp 0; the rule gives that rank [2, 3]")
                .contains("hint: the ranks hold: shard dim 0 over tp widths [3, 1]");
        assertThat(only(spec.replace("ceil", "widths [3, 1]"), blocks(3, 1)).shards("exp_avg"))
                .extracting(Shard::shape)
                .containsExactly(Shape.of(3, 3), Shape.of(1, 3));
    }

    private static Coordinate tp(int index) {
        return at("tp", index);
    }

    @Test
    void oneRankHoldsAUniqueState() {
        IndexBuilder index = new IndexBuilder().axis("dp", 1).axis("tp", 2);
        index.weight("w", at("tp", 0), 4).weight("w", at("tp", 1), 4);
        index.state("exp_avg", "w", at("tp", 1), 4);
        String spec =
                """
                states once { exp_avg: unique }
                param "w" : [4] { replicate over tp }
                """;
        assertThat(only(spec, index).shards("exp_avg"))
                .extracting(Shard::at)
                .containsExactly(at("tp", 1));

        index.state("exp_avg", "w", at("tp", 0), 4);
        assertThat(errors(spec, index))
                .contains(
                        "a.ucl:2:24: error: 'w: exp_avg' is held at tp 0, 1; the rule says"
                                + " 'unique'");
    }

    @Test
    void aClauseThatNoTensorBearsOutIsRefusedWhereItIsWritten() {
        String states =
                """
                states adam {
                    fp32, exp_avg_sq: flatten over dp
                    exp_avg: %s
                    step: scalar
                }
                """;
        assertThat(errors(NORM + states.formatted("shard dim 0 over tp flatten over dp"), norm()))
                .isEqualTo(
                        """
                        a.ucl:5:14: error: 'norm: exp_avg' is [8] over all ranks; the parameter is [4]
                                exp_avg: shard dim 0 over tp flatten over dp
                                         ^^^^^^^^^^^^^^^^^^^
                            hint: the ranks do not hold the blocks that the clause means: a state in the \
                        shape of its parameter's shard has none of its own\
                        """);
        assertThat(errors(NORM + states.formatted("average over dp"), norm()))
                .contains(
                        "a.ucl:5:5: error: not cut flat by the spec; the checkpoint holds them by"
                                + " 'flatten over dp'",
                        "a.ucl:5:14: error: 'norm: exp_avg' is held once for all ranks of dp; the"
                                + " clause means a tensor of each");
    }

    @Test
    void anAxisThatCutsTheParameterCutsItsStates() {
        assertThat(
                        errors(
                                """
                                states adam {
                                    fp32, exp_avg_sq: flatten over dp
                                    exp_avg: average over tp flatten over dp
                                    step: scalar
                                }
                                param "norm" : [8] { shard dim 0 over tp }
                                """,
                                norm()))
                .isEqualTo(
                        """
                        a.ucl:4:14: error: 'norm' is cut over tp by its rule, and so are its states; expected \
                        a clause over an axis that the rule replicates over or leaves out
                                exp_avg: average over tp flatten over dp
                                         ^^^^^^^^^^^^^^^
                            hint: write another states block for this parameter and name it in its rule, \
                        'with states NAME'\
                        """);
    }
}
