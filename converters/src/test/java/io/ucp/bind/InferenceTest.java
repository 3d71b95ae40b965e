package io.ucp.bind;

import static io.ucp.bind.IndexBuilder.at;
import static io.ucp.bind.IndexBuilder.member;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.RefusedException;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Map;

class InferenceTest {
    private static CheckpointIndex described() {
        IndexBuilder index =
                new IndexBuilder()
                        .axis("pp", 2)
                        .axis("dp", 2)
                        .axis("tp", 2)
                        .described("0.4")
                        .vocabularyRows(250)
                        .pattern(Kind.REPLICATED_OVER_TP, "\\d+.norm.weight")
                        .pattern(Kind.AVERAGED_OVER_TP, "tied.scale")
                        .pattern(Kind.TWO_SUB_PARAMS, "\\d+.up.weight")
                        .subParams("\\d+.qkv.weight", 0, List.of(List.of(8L, 4L, 4L), List.of(4L)))
                        .pattern(Kind.ROW_PARALLEL, "\\d+.down.weight")
                        .pattern(Kind.VOCABULARY, "tied.embed.weight")
                        .pattern(Kind.REPLICATED_OVER_PP, "tied.embed.weight")
                        .pattern(Kind.REPLICATED_OVER_PP, "tied.scale");
        for (int pp = 0; pp < 2; pp++) {
            for (int tp = 0; tp < 2; tp++) {
                String l = Integer.toString(2 + pp);
                index.zero(
                        0,
                        at("pp", pp, "tp", tp),
                        member("tied.embed.weight", 128, 4),
                        member("tied.scale", 4),
                        member(l + ".norm.weight", 4),
                        member(l + ".up.weight", 8, 4),
                        member(l + ".qkv.weight", 8, 4),
                        member(l + ".down.weight", 4, 8),
                        member(l + ".gate.weight", 3, 4));
            }
        }
        return index.build();
    }

    @Test
    void patternsBecomeRulesInUpstreamsOrder() {
        assertThat(Ucl.format(Inference.infer(described())))
                .isEqualTo(
                        """
                        ucl 1

                        // Inferred from global_step3 (deepspeed).
                        // Rules of tensor parallelism rest on universal_checkpoint_info 0.4.
                        spec inferred
                        first match wins

                        mesh (pp, dp, tp)  // written over pp 2, dp 2, tp 2
                        let vocab = 250  // original_vocab_size

                        states adam { fp32, exp_avg, exp_avg_sq: flatten over dp; step: scalar }

                        // tp_replicated_parameter_patterns
                        param re"(?<l>\\d+).norm.weight.*" { replicate over tp; stage l over pp }

                        // parameter_to_average_patterns
                        param re"tied.scale.*" { average over tp; replicate over pp at (first, last) take first }

                        // parameter_with_2_sub_params_cat_dim_0
                        param re"(?<l>\\d+).up.weight.*" { fuse dim 0 (p0, p1); shard each over tp; stage l over pp }

                        // parameter_with_sub_params
                        param re"(?<l>\\d+).qkv.weight.*" {
                            fuse dim 0 (p0: 8, p1: 4, p2: 4)
                            shard each over tp
                            stage l over pp
                        }

                        // parameter_with_row_parallelism_patterns
                        param re"(?<l>\\d+).down.weight.*" { shard dim 1 over tp; stage l over pp }

                        // In no list: concatenated in dim 0
                        param "tied.embed.weight" {
                            pad dim 0 from vocab to multiple 128 * tp
                            shard dim 0 over tp
                            replicate over pp at (first, last) take first
                        }
                        param "{l}.gate.weight" { shard dim 0 over tp; stage l over pp }
                        """);
    }

    @Test
    void expertsOfALayerInOneParameterAreCutOverTheirRanks() {
        IndexBuilder index =
                new IndexBuilder()
                        .axis("pp", 1)
                        .axis("dp", 4)
                        .axis("tp", 1)
                        .axis("ep", 2)
                        .axis("edp", 2);
        index.zero(0, at("pp", 0, "tp", 0), member("norm.weight", 4));
        for (int ep = 0; ep < 2; ep++) {
            index.group(
                    1,
                    at("pp", 0, "tp", 0, "ep", ep),
                    "edp",
                    false,
                    member("0.mlp.experts.w1", 3, 2, 2));
        }
        CheckpointIndex built = index.build();

        Spec inferred = Inference.infer(built);

        assertThat(Ucl.format(inferred))
                .contains("mesh (pp, dp = (edp, ep), tp)")
                .contains("flatten over dp")
                .contains("param \"0.mlp.experts.w1\" { shard dim 0 over ep }");
        assertThat(Binder.bind(inferred, built, Map.of()).parameters())
                .filteredOn(p -> p.name().equals("0.mlp.experts.w1"))
                .singleElement()
                .satisfies(p -> assertThat(p.shape()).isEqualTo(Shape.of(6, 2, 2)));
    }

    @Test
    void whatIsPrintedBindsToTheSameSharding() {
        Spec inferred = Inference.infer(described());
        Spec again = Ucl.parse(SourceText.of("again.ucl", Ucl.format(inferred)));
        Sharding first = Binder.bind(inferred, described(), Map.of());
        Sharding second = Binder.bind(again, described(), Map.of());
        assertThat(second)
                .usingRecursiveComparison()
                .ignoringFieldsMatchingRegexes(".*\\.rule")
                .isEqualTo(first);
        assertThat(first.parameters()).hasSize(12);
    }

    @Test
    void oneTensorParallelRankSaysNothingOfMore() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("pp", 1)
                        .axis("dp", 2)
                        .axis("tp", 1)
                        .group(
                                0,
                                at("pp", 0, "tp", 0),
                                "dp",
                                true,
                                member("h.0.w", 3),
                                member("h.1.w", 3))
                        .alias("head", "h.0.w")
                        .build();
        assertThat(Ucl.format(Inference.infer(index)))
                .isEqualTo(
                        """
                        ucl 1

                        // Inferred from global_step3 (deepspeed).
                        // One tensor-parallel rank: nothing says how more would share a parameter.
                        spec inferred

                        mesh (pp, dp, tp)  // written over pp 1, dp 2, tp 1

                        states adam { fp32, exp_avg, exp_avg_sq: flatten each over dp; step: scalar }

                        // Other names of one parameter (shared_params).
                        param "head" { tied to "h.0.w" }

                        // By the names in the files
                        param "h.{l}.w" { unique }
                        """);
    }

    @Test
    void severalRanksWithoutAWordAreRefusedWithTheLinesToAdd() {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("tp", 2)
                        .zero(0, at("tp", 0), member("h.0.w", 3), member("h.1.w", 3))
                        .zero(0, at("tp", 1), member("h.0.w", 3), member("h.1.w", 3))
                        .build();
        assertThatThrownBy(() -> Inference.infer(index))
                .isInstanceOf(RefusedException.class)
                .hasMessage(
                        """
                        global_step3: tensors over 2 tensor-parallel ranks and nothing that says how; expected \
                        universal_checkpoint_info in the checkpoint, a bundled spec that fits, or --spec
                        hint: write a spec, start from `ucp spec list`, with a rule for
                            param "h.{l}.w" { .. over tp }\
                        """);
    }

    @ParameterizedTest
    @CsvSource({
        "h.(0.w, Unclosed group near index 8",
        "(?P<l.w, no '>' behind '(?P<l.w'",
        "h(?#why, no ')' behind '(?#why'"
    })
    void aPatternThatIsNoRegularExpressionIsRefused(String regex, String why) {
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("tp", 2)
                        .described("0.2")
                        .pattern(LayoutHints.Kind.ROW_PARALLEL, regex)
                        .zero(0, at("tp", 0), member("h.0.w", 3))
                        .zero(0, at("tp", 1), member("h.0.w", 3))
                        .build();
        assertThatThrownBy(() -> Inference.infer(index))
                .isInstanceOf(RefusedException.class)
                .hasMessage(
                        """
                        global_step3: universal_checkpoint_info has the pattern '%s': %s; expected a regular \
                        expression of Python that java.util.regex can follow
                        hint: describe the layout in a spec, --spec FILE; `ucp spec list` has some to start from\
                        """
                                .formatted(regex, why));
    }

    @Test
    void pythonsRegularExpressionsKeepTheirMeaning() {
        assertThat(PythonRegex.fullMatch("a|b")).isEqualTo("(?:a|b).*");
        assertThat(PythonRegex.fullMatch("(?P<my_l>\\d+)\\.w\\Z"))
                .isEqualTo("(?<myl>\\d+)\\.w\\z.*");
        assertThat(PythonRegex.fullMatch("[[a&&b]x{,3}")).isEqualTo("[\\[a\\&\\&b]x{0,3}.*");
        assertThat(PythonRegex.fullMatch("[]a]w(?#why)")).isEqualTo("[\\]a]w.*");
        assertThatThrownBy(() -> PythonRegex.fullMatch("(a)?(?(1)b|c)"))
                .hasMessageContaining("conditional group");
    }
}
