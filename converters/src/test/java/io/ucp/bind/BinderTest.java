package io.ucp.bind;

import static io.ucp.bind.IndexBuilder.at;
import static io.ucp.bind.IndexBuilder.member;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;

class BinderTest {
    private static Spec spec(String text) {
        String head = text.contains("mesh (") ? "ucl 1\n" : "ucl 1 mesh (pp, dp, tp)\n";
        return Ucl.parse(SourceText.of("a.ucl", head + text), SpecLibrary.imports());
    }

    private static Sharding bind(String text, CheckpointIndex index) {
        return Binder.bind(spec(text), index, Map.of());
    }

    private static BoundParameter only(Sharding sharding, String name) {
        return sharding.parameters().stream()
                .filter(p -> p.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private static String errors(String text, CheckpointIndex index) {
        try {
            bind(text, index);
        } catch (SpecException e) {
            return String.valueOf(e.getMessage());
        }
        return "";
    }

    /// Two tensor-parallel ranks, two pipeline stages, layers 2 and 3, a tied embedding.
    private static IndexBuilder model() {
        IndexBuilder index =
                new IndexBuilder().axis("pp", 2).axis("dp", 2).axis("tp", 2).number("hidden", 4);
        for (int pp = 0; pp < 2; pp++) {
            for (int tp = 0; tp < 2; tp++) {
                int layer = 2 + pp;
                index.zero(
                        0,
                        at("pp", pp, "tp", tp),
                        member("embed.weight", 4, 4),
                        member(layer + ".fc.weight", 6, 4),
                        member(layer + ".norm.weight", 4));
            }
        }
        return index;
    }

    private static final String RULES =
            """
            param "embed.weight" : [7, hidden] {
                pad dim 0 to multiple 4 * tp
                shard dim 0 over tp
                replicate over pp take first
            }
            param "{l}.fc.weight" : [12, hidden] { fuse dim 0 (gate: 4, up: 8) shard each over tp; stage l over pp }
            param "{l}.norm.weight" : [hidden] { replicate over tp; stage l over pp }
            """;

    @Test
    void aSpecOfAnotherModelIsOneError() {
        String errors =
                errors(
                        """
                        param "wte" { replicate over tp }
                        param "h.{l}.a" { replicate over tp; stage l over pp }
                        param "embed.weight" { shard dim 0 over tp; replicate over pp }
                        """,
                        model().build());

        assertThat(errors)
                .isEqualTo(
                        """
                        a.ucl:2:7: error: the spec does not fit the checkpoint: 2 of its 3 patterns match \
                        nothing ('wte', 'h.{l}.a'), 4 of the 5 names have no rule ('{l}.fc.weight', \
                        '{l}.norm.weight'); expected a rule for every name
                            param "wte" { replicate over tp }
                                  ^^^^^
                            hint: no bundled spec fits it (`ucp spec list`); `ucp infer` prints what the \
                        checkpoint itself says\
                        """);
    }

    @Test
    void aSpecWithSomeSlipsIsToldEachAndTheSum() {
        String errors =
                errors(
                        RULES
                                + """
                                param "wte" { replicate over tp }
                                param "h.a" { replicate over tp }
                                param "h.b" { replicate over tp }
                                """,
                        model().build());

        assertThat(errors)
                .contains(
                        "error: \"wte\" matches nothing",
                        "error: \"h.a\" matches nothing",
                        "error: \"h.b\" matches nothing",
                        "error: the spec does not fit the checkpoint: 3 of its 6 patterns");
    }

    @Test
    void aTensorOfAllRanksIsNoRanksBlockOrVersion() {
        for (String clause : List.of("shard dim 0", "average")) {
            IndexBuilder index = new IndexBuilder().axis("tp", 2).weight("a", at(), 4, 4);
            assertThat(errors("param \"a\" { %s over tp }".formatted(clause), index.build()))
                    .contains(
                            "'a' is held once for all ranks of tp; the clause means a tensor of"
                                    + " each");
        }
    }

    @Test
    void whichOfSeveralBlocksOrGroupsIsAParametersIsNotGuessed() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("tp", 1)
                        .axis("dp", 2)
                        .zero(0, at(), member("x.a", 4, 4))
                        .zero(1, at(), member("y.a", 4))
                        .build();
        String adam = "states %s { fp32, exp_avg, exp_avg_sq: flatten over dp; step: scalar }\n";
        String blocks = adam.formatted("adam") + adam.formatted("other");
        assertThat(errors(blocks + "param \"**\"", index))
                .contains(
                        "'x.a' has the states of one of 2 blocks, and its rule does not say which;"
                                + " expected 'with states NAME'");
        assertThat(errors(blocks + "param \"**\" { with states adam }", index)).isEmpty();
        String groups = "param \"**\" group a { \"x.*\" } group b { \"**\" }";
        assertThat(errors(groups, index))
                .contains("'x.a' is in two groups, 'a' and 'b'; expected one");
        assertThat(errors("first match wins " + groups, index)).isEmpty();
    }

    @Test
    void numbersThatNoModelOrJobHasAreErrorsOfTheSpec() {
        CheckpointIndex index = model().build();
        assertThat(errors("mesh (pp, dp, tp 2000000000)" + RULES, index))
                .contains("error: degree 2000000000; expected 1 to 1048576");
        assertThat(errors("mesh (pp, dp, tp 1000000)" + RULES, index))
                .contains("the mesh says tp 1000000; the checkpoint was written over tp 2");
        assertThat(errors("mesh (pp, dp = (a 65536, b 65536, c), tp)" + RULES, index))
                .contains("a mesh of more than 1048576 ranks");
        assertThat(
                        errors(
                                RULES.replace(
                                        "stage l over pp", "stage l over pp virtual 3000000000"),
                                index))
                .contains("virtual 3000000000 of 2 members; expected a member or more for every");
        assertThat(errors(RULES.replace("[12, hidden]", "[4000000000, 4000000000]"), index))
                .contains("the shape [4000000000, 4000000000]; expected fewer than 2^63 elements");
        assertThat(errors(RULES.replace("4 * tp", "9223372036854775807"), index))
                .contains("the shape [9223372036854775807, 4]; expected fewer than 2^63 elements");
        assertThat(
                        errors(
                                RULES.replace("fuse dim", "view [4000000000, 4000000000] fuse dim"),
                                index))
                .contains("the shape [4000000000, 4000000000]; expected fewer than 2^63 elements");
    }

    @Test
    void widthsWhoseSumIsMoreThanANumberHoldsAreNoWidths() {
        IndexBuilder index = new IndexBuilder().axis("tp", 5).axis("dp", 1);
        for (int tp = 0; tp < 5; tp++) {
            index.weight("w", at("tp", tp), tp == 0 || tp == 4 ? 4 : 0);
        }
        String quarter = "4611686018427387904";
        assertThat(
                        errors(
                                "mesh (tp, dp) param \"w\" { shard dim 0 over tp widths [%s, %s, %s, %s, 8] }"
                                        .formatted(quarter, quarter, quarter, quarter),
                                index.build()))
                .contains("9223372036854775807 in all; expected 5 widths that sum to 8");
    }

    @Test
    void partsAreSplitOverASecondAxisByWhatTheFirstLeavesOfEach() {
        IndexBuilder index = new IndexBuilder().axis("tp", 2).axis("cp", 2).axis("dp", 1);
        int[][] rows = {{3, 2}, {2, 1}};
        for (int tp = 0; tp < 2; tp++) {
            for (int cp = 0; cp < 2; cp++) {
                index.weight("fc", at("tp", tp, "cp", cp), rows[tp][cp], 2);
            }
        }
        Sharding sharding =
                bind(
                        """
                        mesh (tp, cp, dp)
                        param "fc" : [8, 2] {
                            fuse dim 0 (q: 5, k: 3)
                            shard each over tp balanced
                            shard each over cp balanced
                        }
                        """,
                        index.build());

        assertThat(only(sharding, "fc").shape()).isEqualTo(Shape.of(8, 2));
        assertThat(only(sharding, "fc").shards())
                .extracting(Shard::shape)
                .containsExactly(Shape.of(3, 2), Shape.of(2, 2), Shape.of(2, 2), Shape.of(1, 2));
    }

    @Test
    void aParameterIsStagedWithAnotherOverAnAxisOfAnyName() {
        IndexBuilder index = new IndexBuilder().axis("pipe", 2).axis("dp", 1);
        index.zero(0, at("pipe", 0), member("0.fc", 4));
        index.zero(0, at("pipe", 1), member("1.fc", 4), member("norm", 4), member("head", 4));

        Sharding sharding =
                bind(
                        """
                        mesh (pipe, dp)
                        param "{l}.fc" { stage l over pipe }
                        param "norm" { stage with "1.fc" }
                        param "head" { stage with "norm" }
                        """,
                        index.build());

        assertThat(only(sharding, "head").shards())
                .extracting(Shard::at)
                .containsExactly(at("pipe", 1));
    }

    @Test
    void aSettingThatAnAxisHidesIsSaid() {
        assertThatThrownBy(() -> Binder.bind(spec(RULES), model().build(), Map.of("tp", 4L)))
                .hasMessageContaining("--set tp: the axis tp has 2 ranks in the checkpoint");
    }

    @Test
    void everyParameterIsLaidOutAsItsRuleSays() {
        Sharding sharding = bind(RULES, model().build());
        assertThat(sharding.parameters())
                .extracting(BoundParameter::name)
                .containsExactly(
                        "embed.weight",
                        "2.fc.weight",
                        "2.norm.weight",
                        "3.fc.weight",
                        "3.norm.weight");
        BoundParameter embed = only(sharding, "embed.weight");
        assertThat(embed.shape()).isEqualTo(Shape.of(8, 4));
        assertThat(embed.realShape()).isEqualTo(Shape.of(7, 4));
        assertThat(embed.copies())
                .containsExactly(new Replica("pp 0", 0, 0), new Replica("pp 1", 1, 0));
        assertThat(embed.split().vocabulary()).isTrue();
        assertThat(embed.shards()).extracting(Shard::copy).containsExactly(0, 0, 1, 1);
        BoundParameter fc = only(sharding, "3.fc.weight");
        assertThat(fc.shape()).isEqualTo(Shape.of(12, 4));
        assertThat(fc.split().kind()).isEqualTo(SplitKind.FUSED);
        assertThat(fc.split().subShape()).isEqualTo(List.of(List.of(4L, 8L), List.of(4L)));
        assertThat(fc.shards())
                .extracting(Shard::at)
                .containsExactly(at("pp", 1, "tp", 0), at("pp", 1, "tp", 1));
        assertThat(fc.rule()).isEqualTo("line 7: param \"{l}.fc.weight\"");
        assertThat(only(sharding, "2.norm.weight").copies())
                .containsExactly(new Replica("pp 0, tp 0", 0, 0), new Replica("pp 0, tp 1", 0, 0));
        assertThat(sharding.flatten()).containsEntry("exp_avg", new Sharding.Flatten("dp", false));
    }

    @Test
    void everyAxisSaysForItselfWhetherItsCopiesAreEqual() {
        IndexBuilder index = new IndexBuilder().axis("tp", 2).axis("pp", 2);
        for (int tp = 0; tp < 2; tp++) {
            for (int pp = 0; pp < 2; pp++) {
                index.zero(0, at("tp", tp, "pp", pp), member("first", 4), member("mean", 4));
            }
        }
        Sharding sharding =
                bind(
                        """
                        param "first" { replicate over tp; replicate over pp at (first, last) take first }
                        param "mean" { average over tp; replicate over pp take first }
                        """,
                        index.build());
        assertThat(only(sharding, "first").copies())
                .containsExactly(
                        new Replica("pp 0, tp 0", 0, 0),
                        new Replica("pp 0, tp 1", 0, 0),
                        new Replica("pp 1, tp 0", 1, 0),
                        new Replica("pp 1, tp 1", 1, 0));
        assertThat(only(sharding, "mean").copies())
                .containsExactly(
                        new Replica("pp 0, tp 0", 0, 0),
                        new Replica("pp 0, tp 1", 0, 1),
                        new Replica("pp 1, tp 0", 1, 0),
                        new Replica("pp 1, tp 1", 1, 1));
    }

    @Test
    void twoEqualPartsAndAViewAreSummedUpAsUpstreamNamesThem() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("tp", 2)
                        .zero(0, at("tp", 0), member("up", 4, 3), member("qkv", 6, 3))
                        .zero(0, at("tp", 1), member("up", 4, 3), member("qkv", 6, 3))
                        .build();
        Sharding sharding =
                bind(
                        """
                        param "up" { fuse dim 0 (gate, up) shard each over tp }
                        param "qkv" { view [3, 2, 2, 3] shard dim 1 over tp }
                        """,
                        index);
        assertThat(only(sharding, "up").split().parts()).containsExactly(4L, 4L);
        assertThat(only(sharding, "up").split().subShape()).isEmpty();
        assertThat(only(sharding, "qkv").shape()).isEqualTo(Shape.of(12, 3));
        assertThat(only(sharding, "qkv").split().parts()).containsExactly(4L, 4L, 4L);
    }

    @Test
    void aPlainCheckpointSaysNothingOfTensorParallelism() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("pp", 1)
                        .axis("dp", 2)
                        .axis("tp", 1)
                        .weight("a", at("pp", 0, "tp", 0), 3)
                        .weight("head", at("pp", 0, "tp", 0), 3)
                        .weight("b", at("pp", 0, "tp", 0), 5)
                        .group(0, at("pp", 0, "tp", 0), "dp", true, member("a", 3))
                        .alias("head", "a")
                        .frozen("b")
                        .build();
        Sharding sharding =
                Binder.bind(SpecLibrary.find("deepspeed_plain").orElseThrow(), index, Map.of());
        assertThat(sharding.parameters())
                .extracting(BoundParameter::name)
                .containsExactly("a", "b");
        assertThat(only(sharding, "a").split().kind()).isEqualTo(SplitKind.UNKNOWN);
        assertThat(only(sharding, "a").aliases()).containsExactly("head");
        assertThat(only(sharding, "b").frozen()).isTrue();
        assertThat(sharding.flatten()).containsEntry("fp32", new Sharding.Flatten("dp", true));
    }

    @Test
    void localExpertsAndRenumberedLayersGetGlobalNames() {
        IndexBuilder index =
                new IndexBuilder()
                        .axis("pp", 2)
                        .axis("dp", 2)
                        .axis("tp", 1)
                        .axis("ep", 2)
                        .axis("edp", 1);
        for (int pp = 0; pp < 2; pp++) {
            for (int ep = 0; ep < 2; ep++) {
                index.group(
                        1,
                        at("pp", pp, "tp", 0, "ep", ep),
                        "edp",
                        false,
                        member("layers.0.experts.0.w", 3),
                        member("layers.0.experts.1.w", 3));
            }
            for (int e = 0; e < 4; e++) {
                index.weight("layers.0.experts." + e + ".w", at("pp", pp, "tp", 0), 3);
            }
        }
        Sharding sharding =
                bind(
                        """
                        mesh (pp, dp = (edp, ep), tp)
                        states adam { fp32, exp_avg, exp_avg_sq: flatten over dp; step: scalar }
                        param "layers.{l}.experts.{e}.w" { stage l over pp renumbered; expert e over ep local }
                        """,
                        index.build());
        assertThat(sharding.parameters()).hasSize(8);
        Shard shard = only(sharding, "layers.1.experts.3.w").shards().getFirst();
        assertThat(shard.localName()).isEqualTo("layers.0.experts.1.w");
        assertThat(shard.at()).isEqualTo(at("pp", 1, "tp", 0, "ep", 1));
    }

    @Test
    void unevenStagesInterleavedStagesAndUnevenWidthsAreReadAsWritten() {
        IndexBuilder stages = new IndexBuilder().axis("pp", 2);
        stages.zero(0, at("pp", 0), member("h.0.w", 2), member("h.2.w", 2));
        stages.zero(0, at("pp", 1), member("h.1.w", 2), member("h.3.w", 2));
        Sharding interleaved =
                bind("param \"h.{l}.w\" { stage l over pp virtual 2 }", stages.build());
        assertThat(only(interleaved, "h.2.w").shards().getFirst().at())
                .isEqualTo(at("pp", 0, "tp", 0));

        CheckpointIndex widths =
                new IndexBuilder()
                        .axis("tp", 2)
                        .zero(0, at("tp", 0), member("w", 2, 3))
                        .zero(0, at("tp", 1), member("w", 2, 5))
                        .build();
        Sharding uneven = bind("param \"w\" { shard dim 1 over tp widths [3, 5] }", widths);
        assertThat(only(uneven, "w").shape()).isEqualTo(Shape.of(2, 8));
    }

    @Test
    void castsTiesDropsAndSettingsAreKept() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("tp", 1)
                        .zero(0, at("tp", 0), member("a", 6))
                        .weight("rope.inv_freq", at("tp", 0), 4)
                        .weight("head", at("tp", 0), 6)
                        .build();
        Sharding sharding =
                Binder.bind(
                        spec(
                                """
                                cast weight to bf16
                                param "a" : [rows * 2] { unique }
                                param "head" { tied to "a" }
                                drop "**.inv_freq"
                                """),
                        index,
                        Map.of("rows", 3L));
        BoundParameter a = only(sharding, "a");
        assertThat(a.casts()).containsExactly(Map.entry("weight", DType.BFLOAT16));
        assertThat(a.aliases()).containsExactly("head");
        assertThat(a.copies()).extracting(Replica::label).containsExactly("tp 0", "tp 0 as 'head'");
        assertThat(sharding.dropped())
                .containsEntry("rope.inv_freq", "line 5: drop \"**.inv_freq\"");
    }

    @Test
    void everythingThatDoesNotFitIsSaidInOneRun() {
        String text =
                """
                param "embed.wieght" : [7, hidden] { shard dim 0 over tp; replicate over pp }
                param "{l}.fc.weight" : [12, hiden] { shard dim 0 over tp; stage l over pp }
                param "{l}.norm.weight" : [hidden] { shard dim 0 over tp; stage l over pp }
                """;
        assertThat(errors(text, model().build()))
                .isEqualTo(
                        """
                        a.ucl:2:7: error: "embed.wieght" matches nothing in the checkpoint; expected a parameter
                            param "embed.wieght" : [7, hidden] { shard dim 0 over tp; replicate over pp }
                                  ^^^^^^^^^^^^^^
                            hint: did you mean 'embed.weight'?
                        a.ucl:2:7: error: no rule matches 'embed.weight', held at pp 0, tp 0; pp 0, tp 1; pp 1, tp 0; pp 1, tp 1; expected one
                            param "embed.wieght" : [7, hidden] { shard dim 0 over tp; replicate over pp }
                                  ^^^^^^^^^^^^^^
                            hint: the nearest is "embed.wieght"; add: param "embed.weight" { .. }
                        a.ucl:3:30: error: 'hiden' is not known; expected a let, an axis, a number of the checkpoint, or --set hiden=..
                            param "{l}.fc.weight" : [12, hiden] { shard dim 0 over tp; stage l over pp }
                                                         ^^^^^
                            hint: did you mean 'hidden'?
                        a.ucl:4:7: error: '2.norm.weight' is [8] over all ranks; the rule gives [4]
                            param "{l}.norm.weight" : [hidden] { shard dim 0 over tp; stage l over pp }
                                  ^^^^^^^^^^^^^^^^^
                            hint: the same of 1 more: '3.norm.weight'\
                        """);
    }

    @Test
    void oneNameOfTwoRulesIsAnErrorUnlessTheSpecSaysWhichWins() {
        String twice = "param \"*.norm.weight\" { replicate over tp }\n" + RULES;
        assertThat(errors(twice, model().build()))
                .contains(
                        "'2.norm.weight' is matched by two rules, line 2: param \"*.norm.weight\""
                                + " and line 9: param \"{l}.norm.weight\"; expected one");
        assertThat(errors("first match wins\n" + twice, model().build())).isEmpty();
    }

    @Test
    void placesThatARuleDoesNotGiveAreErrors() {
        IndexBuilder index = new IndexBuilder().axis("pp", 2).axis("tp", 2);
        for (int pp = 0; pp < 2; pp++) {
            for (int tp = 0; tp < 2; tp++) {
                index.zero(
                        0, at("pp", pp, "tp", tp), member("a", 4), member("b", 4), member("c", 4));
            }
        }
        String text =
                """
                param "a" { replicate over tp }
                param "b" { replicate over pp }
                param "c" { replicate over tp; stage last over pp }
                """;
        assertThat(errors(text, index.build()))
                .contains(
                        "'a' is held at pp 0, 1; the rule does not speak of pp",
                        "hint: add 'replicate over pp' where the stages hold one parameter",
                        "'b' is held at tp 0, 1; the rule does not speak of tp",
                        "hint: add 'replicate over tp' or 'shard dim D over tp'",
                        "'c' is held at pp 0, tp 0; the rule places it at pp 1, tp 0; pp 1, tp 1");
    }

    @Test
    void widthsStagesAndExpertsThatDisagreeAreShownAsTheyWouldBeWritten() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("pp", 2)
                        .axis("tp", 2)
                        .zero(
                                0,
                                at("pp", 0, "tp", 0),
                                member("0.w", 3),
                                member("1.w", 3),
                                member("2.w", 3))
                        .zero(
                                0,
                                at("pp", 0, "tp", 1),
                                member("0.w", 5),
                                member("1.w", 5),
                                member("2.w", 5))
                        .zero(0, at("pp", 1, "tp", 0), member("3.w", 3))
                        .zero(0, at("pp", 1, "tp", 1), member("3.w", 5))
                        .build();
        assertThat(errors("param \"{l}.w\" { shard dim 0 over tp; stage l over pp }", index))
                .contains(
                        "{l} 2 is held at pp 0; expected pp 1, by counts [2, 2]",
                        "hint: the checkpoint's own: stage l over pp stages [3, 1]");
        assertThat(
                        errors(
                                "param \"{l}.w\" { shard dim 0 over tp; stage l over pp stages [3,"
                                        + " 1] }",
                                index))
                .contains(
                        "'0.w' is [3] at pp 0, tp 0; the rule gives that rank [4] of [8]",
                        "hint: the ranks hold: shard dim 0 over tp widths [3, 5]");
    }

    @Test
    void aFlatOrderAStateOrACutThatIsNotTheCheckpointsIsAnError() {
        String text =
                """
                mesh (pp, dp, tp)
                states adam { fp32, exp_avg, exp_avg_sqq: flatten each over dp; step: scalar }
                group all { "**.norm.weight", "**" } order listed
                """
                        + RULES;
        assertThat(errors(text, model().build()))
                .contains(
                        "'embed.weight' has the state 'exp_avg_sq' in the checkpoint; states adam"
                                + " lists",
                        "hint: did you mean 'exp_avg_sqq'?",
                        "'flatten each over dp'; the checkpoint holds group 0 by 'flatten over dp'",
                        "'2.norm.weight' follows '2.fc.weight' in optimizer group 0 at pp 0, tp 0;"
                                + " the list has it before");
    }

    @Test
    void aMeshThatIsNotTheCheckpointsIsAnError() {
        assertThat(errors("mesh (pp, dp, tp 4)\n" + RULES, model().build()))
                .contains("the mesh says tp 4; the checkpoint was written over tp 2");
        assertThat(errors("mesh (dp, tp)\nparam \"**\" { replicate over tp }", model().build()))
                .contains(
                        "the checkpoint was written over pp of degree 2; expected it in the mesh");
    }

    @Test
    void aSettingThatNothingReadsIsAnError() {
        assertThatThrownBy(() -> Binder.bind(spec(RULES), model().build(), Map.of("hiden", 3L)))
                .isInstanceOf(SpecException.class)
                .hasMessage(
                        "error: --set hiden: nothing in the spec reads 'hiden'; expected one of"
                                + " hidden, tp\n"
                                + "    hint: did you mean 'hidden'?");
    }
}
