package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.SavedPipeline;
import io.ucp.formats.TargetJob;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Stream;

class TargetBinderTest {
    private static final AxisDegree[] ONE_RANK = {
        new AxisDegree("pp", 1), new AxisDegree("dp", 1), new AxisDegree("tp", 1)
    };

    /// Of the local tensor: an element of new padding.
    private static final long PADDING = -1;

    record Case(String family, int from, int tp, int pp, TargetRequest.VocabularyPadding padding) {}

    static Stream<Case> grid() {
        return Stream.of("llama", "gpt")
                .flatMap(
                        family ->
                                Stream.of(1, 2, 4)
                                        .flatMap(
                                                from ->
                                                        Stream.of(1, 2, 4)
                                                                .flatMap(
                                                                        tp ->
                                                                                cases(
                                                                                        family,
                                                                                        from,
                                                                                        tp))));
    }

    private static Stream<Case> cases(String family, int from, int tp) {
        return Stream.of(1, 2, 3, 5)
                .flatMap(
                        pp ->
                                Arrays.stream(TargetRequest.VocabularyPadding.values())
                                        .map(p -> new Case(family, from, tp, pp, p)));
    }

    private static TargetModel model(String family, int tp) {
        return family.equals("llama") ? TargetModel.llama(tp) : TargetModel.gpt(tp);
    }

    private static final Map<String, Spec> BUNDLED =
            Map.of(
                    "llama", SpecLibrary.find("megatron_deepspeed_llama").orElseThrow(),
                    "gpt", SpecLibrary.find("megatron_deepspeed_gpt").orElseThrow());

    private static Optional<Spec> bundled(String family) {
        return Optional.ofNullable(BUNDLED.get(family));
    }

    @ParameterizedTest
    @MethodSource("grid")
    void everyRankHoldsTheElementsThatTheFrameworkGivesIt(Case c) {
        TargetModel model = model(c.family, c.from);
        TargetBinder.Source source =
                model.source(
                        new AxisDegree("pp", 1),
                        new AxisDegree("dp", 1),
                        new AxisDegree("tp", c.from));
        TargetRequest request = TargetModel.to(c.pp, c.tp).withVocabulary(c.padding);
        TargetJob job = TargetModel.bind(source, bundled(c.family), request, Map.of()).job();

        assertThat(job.shards().keySet())
                .containsExactlyElementsOf(
                        source.parameters().stream().map(ParameterFacts::name).toList());
        for (ParameterFacts p : source.parameters()) {
            Shape whole =
                    p.padded() ? p.shape().with(0, TargetModel.paddedVocabulary(c.tp)) : p.shape();
            boolean kept =
                    whole.equals(p.shape()) && c.padding == TargetRequest.VocabularyPadding.KEEP;
            long rows = kept ? p.shape().dim(0) : p.realShape().dim(0);
            assertThat(job.padded()).containsEntry(p.name(), whole);
            for (RankShard shard : shards(job, p.name())) {
                assertThat(elements(shard, p.shape()))
                        .as("%s at %s", p.name(), shard.at())
                        .isEqualTo(
                                expected(
                                        Objects.requireNonNull(model.cuts.get(p.name())),
                                        whole,
                                        rows,
                                        c.tp,
                                        shard.at().on("tp")));
            }
            int stages = p.name().startsWith("tied_modules") && c.pp > 1 ? 2 : 1;
            assertThat(shards(job, p.name())).hasSize(stages * c.tp);
            assertThat(shards(job, p.name()).stream().map(RankShard::at)).doesNotHaveDuplicates();
        }
    }

    /// The row-major index in the source of each local element.
    private static long[] elements(RankShard shard, Shape source) {
        long[] held = new long[Math.toIntExact(shard.shape().count())];
        Arrays.fill(held, PADDING);
        long placed = 0;
        boolean twice = false;
        for (Piece piece : shard.pieces()) {
            assertThat(Shape.of(piece.grid()).count()).isEqualTo(source.count());
            long[] extent = piece.extent();
            for (long n = 0; n < piece.count(); n++) {
                long rest = n;
                long local = piece.localOffset();
                long index = 0;
                long stride = 1;
                for (int d = extent.length - 1; d >= 0; d--) {
                    long i = rest % extent[d];
                    rest /= extent[d];
                    local += i * piece.localStride()[d];
                    index += (piece.start()[d] + i) * stride;
                    stride *= piece.grid()[d];
                }
                twice |= held[Math.toIntExact(local)] != PADDING || local >= shard.real();
                held[Math.toIntExact(local)] = index;
                placed++;
            }
        }
        assertThat(twice).isFalse();
        assertThat(placed).isEqualTo(shard.real());
        return held;
    }

    /// By the framework's rules, one element at a time.
    ///
    /// @param rows of the source that are taken
    private static long[] expected(TargetModel.Cut cut, Shape whole, long rows, int tp, int rank) {
        long columns = whole.rank() == 1 ? 1 : whole.dim(1);
        List<Long> mine = new java.util.ArrayList<>();
        for (long r = 0; r < whole.dim(0); r++) {
            for (long c = 0; c < columns; c++) {
                long half = whole.dim(0) / 2;
                long owner =
                        switch (cut) {
                            case WHOLE -> rank;
                            case ROWS -> r / (whole.dim(0) / tp);
                            case COLUMNS -> c / (columns / tp);
                            case HALVES -> r % half / (half / tp);
                        };
                if (owner == rank) {
                    mine.add(r < rows ? r * columns + c : PADDING);
                }
            }
        }
        return mine.stream().mapToLong(Long::longValue).toArray();
    }

    @ParameterizedTest
    @CsvSource({"2, 3, 2", "3, 2, 2", "5, 1, 1"})
    void layersAreCutAsDeepSpeedDoes(int pp, int first, int second) {
        TargetJob job =
                TargetModel.bind(
                                TargetModel.gpt(1).source(ONE_RANK),
                                bundled("gpt"),
                                TargetModel.to(pp, 1),
                                Map.of())
                        .job();
        List<Integer> ofLayers =
                Stream.iterate(2, l -> l + 1)
                        .limit(TargetModel.LAYERS)
                        .map(l -> stages(job, l + ".mlp.dense_h_to_4h.weight").getFirst())
                        .toList();
        assertThat(java.util.Collections.frequency(ofLayers, 0)).isEqualTo(first);
        assertThat(java.util.Collections.frequency(ofLayers, 1)).isEqualTo(second);
        assertThat(ofLayers).isSorted();
        assertThat(stages(job, "7.weight")).containsExactly(pp - 1);
        assertThat(stages(job, "tied_modules.embed.word_embeddings.weight"))
                .containsExactly(0, pp - 1);
    }

    private static List<RankShard> shards(TargetJob job, String name) {
        return Objects.requireNonNull(job.shards().get(name));
    }

    private static List<Integer> stages(TargetJob job, String name) {
        return List.copyOf(
                new TreeSet<>(shards(job, name).stream().map(s -> s.at().on("pp")).toList()));
    }

    @Test
    void stagesMayBeGiven() {
        TargetJob job =
                TargetModel.bind(
                                TargetModel.llama(1).source(ONE_RANK),
                                bundled("llama"),
                                withStages(2, List.of(1, 4)),
                                Map.of())
                        .job();
        assertThat(stages(job, "1.word_embeddings.weight")).containsExactly(0);
        assertThat(stages(job, "2.input_layernorm.weight")).containsExactly(0);
        assertThat(stages(job, "3.input_layernorm.weight")).containsExactly(1);
        assertThat(stages(job, "8.lm_head.weight")).containsExactly(1);
    }

    private static TargetRequest withStages(int pp, List<Integer> stages) {
        return TargetModel.to(pp, 1).withStages(stages);
    }

    @Test
    void aPipelineNeedsNoSpecForItsStagesAndOneTensorParallelRank() {
        TargetBinder.Bound bound =
                TargetModel.bind(
                        TargetModel.llama(1).source(ONE_RANK),
                        Optional.empty(),
                        TargetModel.to(2, 1),
                        Map.of());
        assertThat(stages(bound.job(), "6.mlp.dense_4h_to_h.weight")).containsExactly(1);
        assertThat(bound.notes()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"llama", "gpt"})
    void theOneBundledSpecThatFitsGivesTheRulesOfSeveralRanksThatOneRankDoesNotSay(String family) {
        TargetBinder.Source source = model(family, 1).source(ONE_RANK);
        TargetBinder.Bound bound =
                TargetModel.bind(source, Optional.empty(), TargetModel.to(1, 2), Map.of());
        assertThat(bound.notes())
                .containsExactly(
                        "cut over ranks by the bundled spec megatron_deepspeed_%s, which fits every"
                                        .formatted(family)
                                + " name and shape");
        assertThat(bound.job().shards())
                .isEqualTo(
                        TargetModel.bind(source, bundled(family), TargetModel.to(1, 2), Map.of())
                                .job()
                                .shards());
    }

    @Test
    void patternsOfSeveralRanksAreMadeOfTheRulesInMegatronsOrder() {
        Pattern fused =
                new Pattern(
                        Kind.TWO_SUB_PARAMS,
                        "\\d+.mlp.dense_h_to_4h.weight",
                        0,
                        List.of(),
                        List.of());
        Pattern vocabulary =
                new Pattern(Kind.VOCABULARY, "\\d+.lm_head.weight", 0, List.of(), List.of());
        List<Pattern> patterns =
                TargetModel.bind(
                                TargetModel.llama(1).source(List.of(fused, vocabulary), ONE_RANK),
                                Optional.empty(),
                                TargetModel.to(1, 2),
                                Map.of())
                        .job()
                        .patterns();
        assertThat(patterns.stream().map(p -> p.kind() + " " + p.regex()))
                .containsExactly(
                        "REPLICATED_OVER_TP \\d+.input_layernorm.weight",
                        "REPLICATED_OVER_TP \\d+.post_attention_layernorm.weight",
                        "REPLICATED_OVER_TP \\d+.weight",
                        "TWO_SUB_PARAMS \\d+.mlp.dense_h_to_4h.weight",
                        "ROW_PARALLEL \\d+.mlp.dense_4h_to_h.weight",
                        "ROW_PARALLEL \\d+.self_attention.dense.weight",
                        "VOCABULARY \\d+.lm_head.weight");
    }

    @Test
    void oneRankHasNoPatternsOfSeveral() {
        Pattern row = new Pattern(Kind.ROW_PARALLEL, "x", 1, List.of(), List.of());
        Pattern vocabulary = new Pattern(Kind.VOCABULARY, "y", 0, List.of(), List.of());
        TargetBinder.Source source =
                TargetModel.llama(2)
                        .source(
                                List.of(row, vocabulary),
                                new AxisDegree("dp", 1),
                                new AxisDegree("tp", 2));
        assertThat(patterns(source, 1)).containsExactly(vocabulary);
        assertThat(patterns(source, 2)).containsExactly(row, vocabulary);
    }

    private static List<Pattern> patterns(TargetBinder.Source source, int tp) {
        return TargetModel.bind(source, bundled("llama"), TargetModel.to(1, tp), Map.of())
                .job()
                .patterns();
    }

    @Test
    void whatIsNotAskedForStays() {
        TargetBinder.Source source =
                TargetModel.llama(2)
                        .source(
                                new AxisDegree("pp", 2),
                                new AxisDegree("dp", 3),
                                new AxisDegree("tp", 2));
        TargetJob job =
                TargetModel.bind(source, bundled("llama"), TargetRequest.SAME, Map.of()).job();
        assertThat(job.mesh()).isEqualTo(source.mesh());
        assertThat(job.stage()).isEqualTo(1);
    }

    @Test
    void unevenWidthsHoldForAsManyRanksAsTheyList() {
        String text =
                """
                ucl 1
                spec uneven
                mesh (pp, dp, tp)
                param "**.query_key_value.weight" { shard dim 0 over tp widths [10, 22] }
                default param "**" { replicate over tp }
                """;
        Optional<Spec> spec = Optional.of(Ucl.parse(SourceText.of("uneven.ucl", text)));
        TargetBinder.Source source = TargetModel.llama(1).source(ONE_RANK);
        String name = "3.self_attention.query_key_value.weight";
        assertThat(rows(TargetModel.bind(source, spec, TargetModel.to(1, 2), Map.of()), name))
                .containsExactly(10L, 22L);
        assertThat(rows(TargetModel.bind(source, spec, TargetModel.to(1, 4), Map.of()), name))
                .containsExactly(8L, 8L, 8L, 8L);
    }

    @Test
    void aStateIsLaidOutAsItsParameterAndNeverCutOnItsOwn() {
        String text =
                """
                ucl 1
                mesh (pp, dp, tp)
                states adam { fp32: flatten over dp; exp_avg: %s; step: scalar }
                default param "**" { replicate over tp }
                """;
        TargetBinder.Source source = TargetModel.llama(1).source(ONE_RANK);
        TargetBinder.Bound averaged = bound(text.formatted("average over tp"), source);
        assertThat(rows(averaged, "3.self_attention.query_key_value.weight"))
                .containsExactly(32L, 32L);
        assertThatThrownBy(() -> bound(text.formatted("shard dim 0 over tp"), source))
                .hasMessageStartingWith(
                        "a.ucl:3:47: error: a state that is cut on its own, in a target; expected"
                                + " states that are cut as their parameter");
    }

    private static TargetBinder.Bound bound(String text, TargetBinder.Source source) {
        return bound(text, source, TargetModel.to(1, 2));
    }

    private static List<Long> rows(TargetBinder.Bound bound, String name) {
        return shards(bound.job(), name).stream().map(s -> s.shape().dim(0)).toList();
    }

    @Test
    void aMemberThatIsNoNumberHasNoStage() {
        TargetBinder.Source source = TargetModel.of("m.0.w", "m.1.w", "m.last.w").source(ONE_RANK);
        assertThatThrownBy(() -> bound(STAGED.formatted(""), source, TargetModel.to(2, 1)))
                .isInstanceOf(SpecException.class)
                .hasMessageContaining("{l} is 'last'; expected a number to place it by");
    }

    @Test
    void twoParametersDoNotComeToOneNameInTheFilesOfARank() {
        TargetBinder.Source source = TargetModel.of("m.0.w", "m.1.w", "m.01.w").source(ONE_RANK);
        assertThatThrownBy(
                        () -> bound(STAGED.formatted("renumbered"), source, TargetModel.to(2, 1)))
                .hasMessageContaining(
                        "'m.1.w' and 'm.01.w' under the name 'm.0.w' at pp 1, tp 0; expected a name"
                                + " for each parameter of a rank");
        assertThat(bound(STAGED.formatted(""), source, TargetModel.to(2, 1)).job().shards())
                .hasSize(3);
    }

    private static final String STAGED =
            "ucl 1 mesh (pp, dp, tp) param \"m.{l}.w\" { replicate over tp; stage l over pp %s }";

    private static TargetBinder.Bound bound(
            String text, TargetBinder.Source source, TargetRequest request) {
        Optional<Spec> spec = Optional.of(Ucl.parse(SourceText.of("a.ucl", text)));
        return TargetModel.bind(source, spec, request, Map.of());
    }

    @Test
    void expertsAreDividedInBlocksAndNumberedPerRank() {
        TargetJob job = experts(2, 4);
        assertThat(job.mesh())
                .containsExactly(
                        new AxisDegree("dp", 4),
                        new AxisDegree("tp", 1),
                        new AxisDegree("ep", 2),
                        new AxisDegree("edp", 2),
                        new AxisDegree("pp", 1));
        assertThat(shards(job, "experts.2.weight"))
                .singleElement()
                .satisfies(
                        s -> {
                            assertThat(s.localName()).isEqualTo("experts.0.weight");
                            assertThat(s.at().on("ep")).isEqualTo(1);
                        });
        assertThat(shards(experts(1, 1), "experts.3.weight").getFirst().localName())
                .isEqualTo("experts.3.weight");
    }

    @Test
    void expertsThatNoTensorRankCutsDivideTensorRanksToo() {
        TargetJob job = experts(2, 4, 2);
        assertThat(job.degree("ep") * job.degree("edp")).isEqualTo(8);
        assertThat(shards(job, "experts.2.weight"))
                .hasSize(2)
                .allMatch(s -> s.at().on("ep") == 1 && s.localName().equals("experts.0.weight"));
        assertThat(experts(4, 2, 2).degree("edp")).isEqualTo(1);
        assertThatThrownBy(() -> experts(4, 1, 3))
                .hasMessageContaining(
                        "ep 4 over dp 1 and tp 3; expected an ep that divides them, whose ranks the"
                                + " experts share: ep 1 or 3");
    }

    private static TargetJob experts(int ep, int dp) {
        return experts(ep, dp, 1);
    }

    private static final String NUMBERED =
            "param \"experts.{e}.weight\" { expert e over ep local; replicate over tp }";

    private static TargetJob experts(int ep, int dp, int tp) {
        return experts(NUMBERED, ep, dp, tp, 1);
    }

    private static TargetJob experts(String rule, int ep, int dp, int tp, int stage) {
        String text =
                """
                ucl 1
                spec experts
                mesh (dp = (edp, ep), tp)
                %s
                """
                        .formatted(rule);
        List<ParameterFacts> parameters =
                Stream.of(0, 1, 2, 3)
                        .map(
                                e ->
                                        parameter(
                                                "experts.%d.weight".formatted(e),
                                                Shape.of(3, 5),
                                                Map.of()))
                        .toList();
        TargetBinder.Source source =
                new TargetBinder.Source(
                        parameters,
                        io.ucp.formats.LayoutHints.NONE,
                        List.of(
                                new AxisDegree("dp", 2),
                                new AxisDegree("tp", 1),
                                new AxisDegree("ep", 2),
                                new AxisDegree("edp", 1)),
                        1);
        TargetRequest to = TargetRequest.SAME.withTp(tp).withDp(dp).withEp(ep).withStage(stage);
        return TargetModel.bind(
                        source,
                        Optional.of(Ucl.parse(SourceText.of("experts.ucl", text))),
                        to,
                        Map.of())
                .job();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "1|3|tp 3 over 8 attention heads with 4 key-value heads; expected equally many on"
                        + " every rank: tp 1, 2 or 4",
                "1|8|tp 8 over 8 attention heads with 4 key-value heads; expected equally many on"
                        + " every rank: tp 1, 2 or 4",
                "6|1|pp 6 over 5 layers; expected a layer or more for every stage: pp 1 to 5",
            })
    void aModelHasOnlyTheDegreesThatItsSizesAllow(int pp, int tp, String message) {
        TargetBinder.Source source = TargetModel.llama(1).source(ONE_RANK);
        assertThatThrownBy(
                        () ->
                                TargetModel.bind(
                                        source, bundled("llama"), TargetModel.to(pp, tp), Map.of()))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage(message);
    }

    @Test
    void stagesThatAreNoStagesOfTheModelAreRefused() {
        TargetBinder.Source source = TargetModel.llama(1).source(ONE_RANK);
        assertThatThrownBy(
                        () ->
                                TargetModel.bind(
                                        source,
                                        Optional.empty(),
                                        withStages(2, List.of(3, 3)),
                                        Map.of()))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage(
                        "--stages 3,3, 6 layers on 2 stages; expected 2 stages of a layer or more,"
                                + " 5 layers in all");
    }

    @Test
    void expertsThatDoNotDivideAreRefused() {
        assertThatThrownBy(() -> experts(3, 3))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage(
                        "ep 3 over 4 experts; expected equally many experts on every rank: ep 1, 2"
                                + " or 4");
        assertThatThrownBy(() -> experts(4, 6))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage(
                        "ep 4 over dp 6; expected an ep that divides dp, whose ranks the experts"
                                + " share: ep 1, 2, 3 or 6");
    }

    @Test
    void numberedExpertsHaveNoStageThree() {
        assertThatThrownBy(() -> experts(NUMBERED, 2, 2, 1, 3))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("ZeRO stage 3 of a model with experts")
                .hasMessageContaining("--zero 2");
    }

    @Test
    void expertsOfALayerInOneParameterAreCutAtAnyStage() {
        String fused = "param \"experts.{l}.weight\" { shard dim 0 over ep }";

        TargetJob job = experts(fused, 3, 6, 1, 3);

        assertThat(job.degree("edp")).isEqualTo(2);
        assertThat(shards(job, "experts.2.weight"))
                .extracting(s -> s.at().on("ep"))
                .containsExactly(0, 1, 2);
        assertThat(shards(job, "experts.2.weight"))
                .allMatch(
                        s ->
                                s.localName().equals("experts.2.weight")
                                        && s.shape().equals(Shape.of(1, 5)));
        assertThatThrownBy(() -> experts(fused, 2, 4, 1, 1))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessage(
                        "ep 2 over 3 experts; expected equally many experts on every rank: ep 1 or"
                                + " 3");
    }

    @Test
    void ranksThatNothingSaysHowToShareOverAreRefusedWithTheLinesToAdd() {
        TargetModel model = TargetModel.llama(1);
        model.numbers.put("ffn", 7L);
        assertThatThrownBy(
                        () ->
                                TargetModel.bind(
                                        model.source(ONE_RANK),
                                        Optional.empty(),
                                        TargetModel.to(1, 2),
                                        Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessage(
                        """
                        tp 2: nothing says how ranks share '1.word_embeddings.weight', \
                        '2.input_layernorm.weight', '2.self_attention.query_key_value.weight', .. (33); \
                        expected a rule over tp for each parameter, in the checkpoint's metadata, in a \
                        bundled spec that fits, or in --spec
                        hint: write a spec with these rules and name it, --spec FILE (`ucp infer` prints \
                        what is known, `ucp spec list` what is bundled):
                            param "{l}.word_embeddings.weight" { .. over tp }
                            param "{l}.input_layernorm.weight" { .. over tp }
                            param "{l}.self_attention.query_key_value.weight" { .. over tp }
                            param "{l}.self_attention.dense.weight" { .. over tp }
                            param "{l}.post_attention_layernorm.weight" { .. over tp }
                            param "{l}.mlp.dense_h_to_4h.weight" { .. over tp }
                            param "{l}.mlp.dense_4h_to_h.weight" { .. over tp }
                            param "{l}.weight" { .. over tp }
                            param "{l}.lm_head.weight" { .. over tp }\
                        """);
    }

    @Test
    void noBundledSpecTakesThePlaceOfOneThatTheUserNamed() {
        Spec named =
                Ucl.parse(
                        SourceText.of(
                                "mine.ucl",
                                """
                                ucl 1
                                mesh (pp, dp, tp)
                                param "**.word_embeddings.weight" { shard dim 1 over tp }
                                default param "**" { stage first over pp }
                                """));
        TargetBinder.Source source = TargetModel.llama(1).source(ONE_RANK);
        assertThatThrownBy(
                        () ->
                                TargetBinder.bind(
                                        source,
                                        Optional.of(named),
                                        true,
                                        TargetModel.to(1, 2),
                                        Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageStartingWith(
                        "tp 2: no rule of the spec that is named says how ranks share"
                                + " '2.input_layernorm.weight'")
                .hasMessageContaining(
                        "hint: name one that fits every name and shape, --target-spec"
                                + " megatron_deepspeed_llama, or write a spec");

        assertThat(
                        TargetModel.bind(source, Optional.of(named), TargetModel.to(1, 2), Map.of())
                                .notes())
                .containsExactly(
                        "cut over ranks by the bundled spec megatron_deepspeed_llama, which fits"
                                + " every name and shape; so are those that the source has rules"
                                + " for, '1.word_embeddings.weight'");
    }

    /// The one that was named may be for the source's names alone.
    @Test
    void aBundledSpecTakesThePlaceOfNone() {
        TargetBinder.Source source = TargetModel.llama(1).source(ONE_RANK);
        assertThat(
                        TargetBinder.bind(
                                        source,
                                        Optional.empty(),
                                        true,
                                        TargetModel.to(1, 2),
                                        Map.of())
                                .notes())
                .containsExactly(
                        "cut over ranks by the bundled spec megatron_deepspeed_llama, which fits"
                                + " every name and shape");
    }

    @Test
    void aScalarOfAnotherFrameworkHasNoRowsToPad() {
        ParameterFacts scalar = parameter("scale", Shape.of(), Map.of("fp32", DType.FLOAT32));
        TargetBinder.Source of = TargetModel.of("a").source(ONE_RANK);
        TargetBinder.Source foreign =
                new TargetBinder.Source(
                        List.of(scalar),
                        of.hints(),
                        of.mesh(),
                        of.stage(),
                        true,
                        SavedPipeline.NONE);
        TargetJob job =
                TargetModel.bind(foreign, Optional.empty(), TargetModel.to(1, 1), Map.of()).job();
        assertThat(job.padded()).containsEntry("scale", Shape.of());
    }

    private static ParameterFacts parameter(String name, Shape shape, Map<String, DType> states) {
        return TargetModel.parameter(name, shape, shape, states);
    }
}
