package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.SavedPipeline;
import io.ucp.formats.TargetJob;
import io.ucp.layout.ImpossibleLayoutException;

import org.junit.jupiter.api.Test;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// Llama's modules are 1 the embedding, 2 to 6 the layers, 7 the norm and 8 the head; GPT's 1 and 8
/// are one tied module.
class PipelineCutTest {
    /// One rank of each stage.
    private static final TargetRequest SAME_STAGES = TargetRequest.SAME.withTp(1).withDp(1);

    /// A source whose stages begin at these modules.
    private static TargetBinder.Source source(
            TargetModel model, Optional<String> method, Integer... first) {
        TargetBinder.Source plain = model.source(new AxisDegree("pp", first.length));
        Map<String, Set<Integer>> stages = new LinkedHashMap<>();
        for (ParameterFacts p : plain.parameters()) {
            boolean tied = p.name().startsWith("tied_modules.");
            stages.put(
                    p.name(),
                    tied
                            ? Set.of(0, first.length - 1)
                            : Set.of(stage(Integer.parseInt(p.name().split("\\.", -1)[0]), first)));
        }
        return saved(plain, new SavedPipeline(stages, method));
    }

    private static TargetBinder.Source saved(TargetBinder.Source plain, SavedPipeline pipeline) {
        return new TargetBinder.Source(
                plain.parameters(), plain.hints(), plain.mesh(), plain.stage(), false, pipeline);
    }

    private static int stage(int module, Integer... first) {
        int stage = 0;
        while (stage + 1 < first.length && first[stage + 1] <= module) {
            stage++;
        }
        return stage;
    }

    private static TargetBinder.Bound bound(TargetBinder.Source source, TargetRequest to) {
        return TargetModel.bind(source, Optional.empty(), to, Map.of());
    }

    /// The numbered modules of each stage.
    private static List<Set<Integer>> modules(TargetJob job) {
        Map<Integer, Set<Integer>> stages = new java.util.TreeMap<>();
        job.shards()
                .forEach(
                        (name, shards) -> {
                            if (!name.startsWith("tied_modules.")) {
                                stages.computeIfAbsent(
                                                shards.getFirst().at().on("pp"),
                                                _ -> new TreeSet<>())
                                        .add(Integer.parseInt(name.split("\\.", -1)[0]));
                            }
                        });
        return List.copyOf(stages.values());
    }

    @Test
    void stagesThatStayAsManyStayAsTheyAre() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.empty(), 0, 6);
        for (TargetRequest to : List.of(SAME_STAGES, SAME_STAGES.withPp(2))) {
            TargetBinder.Bound bound = bound(source, to);
            assertThat(modules(bound.job()))
                    .containsExactly(Set.of(1, 2, 3, 4, 5), Set.of(6, 7, 8));
            assertThat(bound.notes())
                    .containsExactly(
                            "pipeline stages stay as they are in the source, 4,1 layers from"
                                    + " modules 0,6 on, which is not how type:transformer cuts (3,2"
                                    + " layers from modules 0,5 on); --partition or --stages cut"
                                    + " them otherwise");
        }
    }

    @Test
    void aStageOfTheTiedHeadAloneStays() {
        TargetBinder.Source source = source(TargetModel.gpt(1), Optional.empty(), 0, 4, 8);
        assertThat(modules(bound(source, SAME_STAGES).job()))
                .containsExactly(Set.of(2, 3), Set.of(4, 5, 6, 7));
        assertThat(
                        bound(source, SAME_STAGES)
                                .job()
                                .shards()
                                .get("tied_modules.embed.word_embeddings.weight"))
                .extracting(s -> s.at().on("pp"))
                .containsExactly(0, 2);
    }

    @Test
    void aStageWithoutLayersThatASpecRepeatsStays() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.empty(), 0, 2);
        assertThat(cut(source, Optional.of(List.of(0, 5))).parts()).startsWith(0, 2);
    }

    @Test
    void stagesOfASpecThatCannotBeAreSaidToBeTheSpecs() {
        TargetBinder.Source unknown = TargetModel.llama(1).source(new AxisDegree("pp", 2));
        assertThatThrownBy(() -> cut(unknown, Optional.of(List.of(0, 5))))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("the spec's stages 0,5, 5 layers on 2 stages");
    }

    private static PipelineCut cut(TargetBinder.Source source, Optional<List<Integer>> said) {
        return PipelineCut.of(
                PipelineModules.of(source.parameters()),
                source.saved(),
                2,
                2,
                TargetRequest.SAME,
                said);
    }

    @Test
    void theUsualCutNeedsNoWord() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.empty(), 0, 5);
        assertThat(bound(source, SAME_STAGES).notes()).isEmpty();
        assertThat(bound(source, SAME_STAGES.withPp(3)).notes()).isEmpty();
        TargetBinder.Source elsewhere = source(TargetModel.llama(1), Optional.empty(), 0, 6);
        assertThat(bound(elsewhere, SAME_STAGES.withPp(1)).notes()).isEmpty();
    }

    @Test
    void otherStagesAreCutTheUsualWayAndItIsSaidThatTheSourceWasNot() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.empty(), 0, 4, 7);
        TargetBinder.Bound bound = bound(source, SAME_STAGES.withPp(2));
        assertThat(modules(bound.job())).containsExactly(Set.of(1, 2, 3, 4), Set.of(5, 6, 7, 8));
        assertThat(bound.notes())
                .containsExactly(
                        "pipeline stages are cut by type:transformer, 3,2 layers from modules 0,5"
                            + " on; the source's own, 2,3,0 layers from modules 0,4,7 on, were not"
                            + " cut so, but as uniform cuts; --partition or --stages cut them"
                            + " otherwise");
    }

    @Test
    void theMethodOfTheSourcesJobIsFollowedAndNamed() {
        Optional<String> method = Optional.of("type:transformer|embedding");
        TargetBinder.Source source = source(TargetModel.gpt(1), method, 0, 5);
        TargetBinder.Bound bound = bound(source, SAME_STAGES.withPp(3));
        assertThat(modules(bound.job()))
                .as("the embedding and the head count as layers")
                .containsExactly(Set.of(2, 3), Set.of(4, 5), Set.of(6, 7));
        assertThat(bound.notes())
                .contains(
                        "pipeline stages are cut by type:transformer|embedding, as the arguments of"
                                + " the source's job say, 2,2,1 layers from modules 0,4,6 on;"
                                + " --partition or --stages cut them otherwise");
    }

    @Test
    void whatIsAskedForIsDoneWithoutAWord() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.of("uniform"), 0, 6);
        TargetBinder.Bound bound = bound(source, SAME_STAGES.withPartition("type:transformer"));
        assertThat(modules(bound.job())).containsExactly(Set.of(1, 2, 3, 4), Set.of(5, 6, 7, 8));
        assertThat(bound.notes()).isEmpty();
    }

    @Test
    void stagesThatTheSourceDoesNotTellAreCutAnewAndThatIsSaid() {
        TargetBinder.Source unknown = TargetModel.llama(1).source(new AxisDegree("pp", 2));
        assertThat(bound(unknown, SAME_STAGES).notes())
                .containsExactly(
                        "the source does not say which of its 2 pipeline stages held what: they are"
                                + " cut by type:transformer, 3,2 layers from modules 0,5 on;"
                                + " --partition or --stages cut them otherwise");
    }

    @Test
    void aTypeOfModulesThatNamesDoNotTellIsRefused() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.empty(), 0, 5);
        assertThatThrownBy(
                        () ->
                                bound(
                                        source,
                                        SAME_STAGES
                                                .withPp(2)
                                                .withPartition("type:transformer|RMSNorm")))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("a pipeline cut by type:transformer|RMSNorm, where module 7")
                .hasMessageContaining("--stages N,N,..");
    }

    @Test
    void aMethodOfTheSourcesJobThatIsNoneIsRefused() {
        TargetBinder.Source source = source(TargetModel.llama(1), Optional.of("manual:0,4"), 0, 5);
        assertThatThrownBy(() -> bound(source, SAME_STAGES.withPp(3)))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("a pipeline cut by manual:0,4")
                .hasMessageContaining("as --partition");
    }

    @Test
    void aNumberThatNoModuleHasIsNotBalanced() {
        TargetBinder.Source source =
                TargetModel.of("0.attention.w", "1.attention.w", "999999.w")
                        .source(new AxisDegree("pp", 1));
        TargetRequest two = SAME_STAGES.withPp(2);
        assertThatThrownBy(() -> bound(source, two))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining(
                        "a pipeline of 1000001 modules, as '999999.w' counts, cut by"
                                + " type:transformer; expected at most 2048");
        assertThat(bound(source, two.withStages(List.of(1, 1))).job().shards()).hasSize(3);
    }
}
