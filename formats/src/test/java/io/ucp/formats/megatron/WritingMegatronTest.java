package io.ucp.formats.megatron;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Origin;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetTree;
import io.ucp.formats.deepspeed.TorchTree;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.megatron.GeneratedMegatron.Kind;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;

/// What is written is what the framework itself would have written: the same files, the same keys
/// in the same order, the same bytes.
class WritingMegatronTest {
    @TempDir Path folder;

    private record Pair(GeneratedMegatron source, GeneratedMegatron target) {}

    /// Layouts of one model.
    private static List<Supplier<GeneratedMegatron>> dense() {
        return List.of(
                () -> GeneratedMegatron.of(1, 1),
                () -> GeneratedMegatron.of(2, 2),
                () -> GeneratedMegatron.of(4, 1),
                () -> GeneratedMegatron.of(1, 2).layers(2, 1, 1, 1, 1));
    }

    private static List<Supplier<GeneratedMegatron>> experts() {
        return List.of(
                () -> GeneratedMegatron.of(1, 1).experts(4, 2, 1),
                () -> GeneratedMegatron.of(2, 1).experts(4, 2, 2),
                () -> GeneratedMegatron.of(2, 2).experts(4, 4, 1),
                () -> GeneratedMegatron.of(4, 1).experts(4, 2, 1));
    }

    private static Map<String, Pair> pairs() {
        Map<String, Pair> pairs = new TreeMap<>();
        Map<String, List<Supplier<GeneratedMegatron>>> models = new LinkedHashMap<>();
        models.put("dense", dense());
        models.put("experts", experts());
        List<Supplier<GeneratedMegatron>> together = new ArrayList<>();
        experts().forEach(e -> together.add(() -> e.get().together()));
        models.put("experts in one matrix", together);
        List<Supplier<GeneratedMegatron>> tied = new ArrayList<>();
        dense().forEach(d -> tied.add(() -> d.get().tied()));
        models.put("tied", tied);
        List<Supplier<GeneratedMegatron>> buckets = new ArrayList<>();
        dense().forEach(d -> buckets.add(() -> d.get().buckets(130)));
        models.put("buckets", buckets);
        models.forEach(
                (name, layouts) -> {
                    for (Kind kind : Kind.values()) {
                        for (int a = 0; a < layouts.size(); a++) {
                            for (int b = 0; b < layouts.size(); b++) {
                                pairs.put(
                                        "%s %s %d to %d".formatted(name, kind, a, b),
                                        new Pair(
                                                layouts.get(a).get().kind(kind),
                                                layouts.get(b).get().kind(kind)));
                            }
                        }
                    }
                });
        return pairs;
    }

    static Set<String> names() {
        return pairs().keySet();
    }

    private TargetTree tree(GeneratedMegatron source, GeneratedMegatron target) throws IOException {
        return tree(source, target, Map.of());
    }

    private TargetTree tree(
            GeneratedMegatron source, GeneratedMegatron target, Map<String, String> options)
            throws IOException {
        source.writeTo(folder.resolve("source"));
        return new RelayoutMegatron(source, folder.resolve("source"), target).tree(options);
    }

    private void judge(GeneratedMegatron source, GeneratedMegatron target) throws IOException {
        Path from = Files.createDirectories(folder.resolve("source"));
        Path golden = Files.createDirectories(folder.resolve("golden"));
        Path out = folder.resolve("out");
        source.writeTo(from);
        target.writeTo(golden);

        new RelayoutMegatron(source, from, target).write(out);

        Map<String, String> written = MegatronLeaves.of(out);
        Map<String, String> expected = MegatronLeaves.of(golden);
        Map<String, String> differing = new TreeMap<>();
        Set<String> all = new TreeSet<>(written.keySet());
        all.addAll(expected.keySet());
        for (String leaf : all) {
            String is = written.getOrDefault(leaf, "nothing");
            String should = expected.getOrDefault(leaf, "nothing");
            if (!is.equals(should)) {
                differing.put(leaf, "%s instead of %s".formatted(is, should));
            }
        }
        assertThat(differing).isEmpty();
        assertThat(Files.readString(out.resolve(IterationFolder.TRACKER))).isEqualTo("7");
    }

    @ParameterizedTest
    @MethodSource("names")
    void everyLayoutIsMadeOfEveryOther(String name) throws IOException {
        Pair pair = Objects.requireNonNull(pairs().get(name));
        judge(pair.source(), pair.target());
    }

    @Test
    void expertsGetAnOptimizerOfTheirOwn() throws IOException {
        judge(
                GeneratedMegatron.of(1, 1).experts(4, 1, 1),
                GeneratedMegatron.of(1, 1).experts(4, 2, 1));
    }

    @Test
    void expertsLoseTheirOwnOptimizer() throws IOException {
        judge(
                GeneratedMegatron.of(2, 1).experts(4, 2, 1).kind(Kind.PLAIN),
                GeneratedMegatron.of(1, 1).experts(4, 1, 1).kind(Kind.PLAIN));
    }

    @Test
    void stepsThatAreCountedForEachParameterStaySo() throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1).kind(Kind.PLAIN);
        GeneratedMegatron target = GeneratedMegatron.of(2, 2).kind(Kind.PLAIN);
        source.stepInState = true;
        target.stepInState = true;
        judge(source, target);
    }

    @Test
    void groupsOfAnOldReleaseAreInTheOrderOfTheRanksParameters() throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1).kind(Kind.PLAIN);
        GeneratedMegatron target = GeneratedMegatron.of(2, 2).kind(Kind.PLAIN);
        source.firstSeen = true;
        target.firstSeen = true;
        judge(source, target);
    }

    @Test
    void whatIsNoParameterComesAlong() throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1);
        Path from = Files.createDirectories(folder.resolve("source"));
        source.writeTo(from);
        Files.writeString(source.iteration(from).resolve("tokenizer.json"), "{}");

        TargetTree tree =
                new RelayoutMegatron(source, from, GeneratedMegatron.of(2, 1)).tree(Map.of());

        assertThat(tree.files()).extracting(f -> f.path()).contains("iter_0000007/tokenizer.json");
        assertThat(tree.losses()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"NONE,0", "DISTRIBUTED,1"})
    void aStateOfAnotherFrameworkGetsArgumentsByItsNames(Kind kind, int losses) throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1).experts(4, 1, 1).kind(kind);
        Path from = Files.createDirectories(folder.resolve("source"));
        Path out = folder.resolve("out");
        source.writeTo(from);
        GeneratedMegatron target = GeneratedMegatron.of(2, 2).experts(4, 2, 1).kind(Kind.NONE);

        RelayoutMegatron relayout = new RelayoutMegatron(source, from, target);
        TargetTree tree =
                relayout.tree(
                        Map.of(), new Origin("safetensors", "hf", -1, List.of(), Optional.empty()));
        relayout.write(tree, out);

        // `args` are of the job that it is taken not to be of.
        assertThat(tree.losses())
                .first()
                .isEqualTo("of the job, for which Megatron-LM has no place: args");
        assertThat(tree.losses()).hasSize(1 + losses);
        MegatronFormat format = new MegatronFormat();
        CheckpointIndex index = format.index(format.find(out).getFirst());
        assertThat(HeldElements.check(target, index)).hasSameSizeAs(target.parameters());
        assertThat(index.hints().family()).contains("megatron_core_moe");
        assertThat(index.hints().numbers()).containsAllEntriesOf(Map.of("layers", 4L, "heads", 2L));
    }

    @Test
    void stagesThatAreNotEqualAreSaidInTheArguments() throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1).layers(1, 6);
        source.more.put("decoder_first_pipeline_num_layers", null);
        source.more.put("decoder_last_pipeline_num_layers", null);
        GeneratedMegatron target = GeneratedMegatron.of(1, 3).layers(1, 1, 2, 3);
        target.more.put("decoder_first_pipeline_num_layers", 1);
        target.more.put("decoder_last_pipeline_num_layers", 3);
        judge(source, target);
    }

    @Test
    void refusesStagesThatTheArgumentsCannotSay() {
        assertThatThrownBy(
                        () ->
                                tree(
                                        GeneratedMegatron.of(1, 1).layers(1, 9),
                                        GeneratedMegatron.of(1, 4).layers(1, 2, 1, 3, 3)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("--stages [2, 1, 3, 3]");
    }

    @Test
    void aFirstParameterWithoutStatesDoesNotTakeTheOthersAlong() throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1);
        source.writeTo(folder);
        RelayoutMegatron relayout =
                new RelayoutMegatron(source, folder, GeneratedMegatron.of(1, 1));
        relayout.unstepped.add(Names.EMBEDDING);

        assertThatThrownBy(() -> relayout.tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(Names.EMBEDDING)
                .hasMessageContaining("there is no state `exp_avg`");
    }

    @Test
    void generatorsThatAreDroppedAreALoss() throws IOException {
        GeneratedMegatron source = GeneratedMegatron.of(1, 1);
        source.editing(
                (name, dict) ->
                        name.endsWith("model_optim_rng.pt")
                                ? dict.with("rng_state", TorchTree.of(List.of(1)))
                                : dict);

        assertThat(tree(source, GeneratedMegatron.of(2, 1), Map.of("rng", "drop")).losses())
                .singleElement()
                .asString()
                .contains("--no-load-rng");
    }
}
