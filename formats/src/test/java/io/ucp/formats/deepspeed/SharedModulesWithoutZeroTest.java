package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/// Pipelines without ZeRO whose layers share a module: stages that have no file of it train a copy
/// of it, first of their parameters.
class SharedModulesWithoutZeroTest {
    private static final String EMBEDDING = "tied_modules.embed.word_embeddings.weight";

    @TempDir Path temporary;

    private Path from() {
        return temporary.resolve("from");
    }

    private static GeneratedCheckpoint tied(Wrapper wrapper, int pp, int tp, int dp) {
        GeneratedCheckpoint made =
                GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 4, pp))
                        .degrees(pp, tp, dp)
                        .patterns()
                        .withoutZero(wrapper);
        return wrapper == Wrapper.ZERO ? made.configured() : made;
    }

    /// Named after its layer, for nothing says its key.
    private static GeneratedCheckpoint unnamed(int pp, int tp, int dp) {
        List<GeneratedParameter> parameters =
                GeneratedCheckpoint.pipeline(4, 4, pp).stream()
                        .map(p -> p.name().equals(EMBEDDING) ? renamed(p) : p)
                        .toList();
        return GeneratedCheckpoint.of(parameters)
                .degrees(pp, tp, dp)
                .withoutZero(Wrapper.ZERO)
                .configured();
    }

    private static GeneratedParameter renamed(GeneratedParameter p) {
        return new GeneratedParameter(
                "tied_modules.1.word_embeddings.weight",
                p.shape(),
                p.cut(),
                p.stages(),
                p.group(),
                p.role(),
                p.layer(),
                p.experts());
    }

    private static GeneratedCheckpoint inFp32(int pp, GeneratedParameter... parameters) {
        return GeneratedCheckpoint.of(List.of(parameters))
                .inFp32()
                .degrees(pp, 1, 1)
                .stage(0)
                .configured();
    }

    private static GeneratedParameter at(int stage, String name, long... shape) {
        return GeneratedParameter.of(name, shape).stages(stage);
    }

    private static void assertHoldsEveryState(GeneratedCheckpoint of, CheckpointIndex index)
            throws IOException {
        Set<String> seen = HeldValues.check(of, index);
        for (GeneratedParameter p : of.parameters) {
            assertThat(seen)
                    .contains(
                            p.name() + "/weight", p.name() + "/exp_avg", p.name() + "/exp_avg_sq");
        }
    }

    private static void assertTellsNothing(GeneratedCheckpoint of, CheckpointIndex index)
            throws IOException {
        assertThat(HeldValues.check(of, index)).noneMatch(s -> s.endsWith("exp_avg"));
        assertThat(index.members()).isEmpty();
        assertThat(index.findings())
                .anyMatch(f -> f.message().contains("which stage"))
                .anyMatch(f -> f.message().contains("does not name its parameters"));
    }

    private static List<Coordinate> places(CheckpointIndex index, String name, String state) {
        return index.tensors().stream()
                .filter(t -> t.name().equals(name) && t.state().equals(state))
                .map(HeldTensor::at)
                .toList();
    }

    @ParameterizedTest
    @EnumSource(names = {"ZERO", "FUSED", "UNFUSED"})
    void holdsBothCopiesOfItsStates(Wrapper wrapper) throws IOException {
        GeneratedCheckpoint source = tied(wrapper, 2, 2, 2).writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(places(index, EMBEDDING, "exp_avg"))
                .containsExactlyInAnyOrder(
                        Coordinate.of("pp", 0).with("tp", 0),
                        Coordinate.of("pp", 0).with("tp", 1),
                        Coordinate.of("pp", 1).with("tp", 0),
                        Coordinate.of("pp", 1).with("tp", 1));
        assertThat(places(index, EMBEDDING, "weight")).allMatch(c -> c.on("pp") == 0).hasSize(2);
        assertThat(index.findings())
                .anyMatch(
                        f ->
                                f.place().equals("layer_01")
                                        && f.message().contains("`tied_modules.embed.*`"));
    }

    @Test
    void isFirstOfEveryStageThatTrainsIt() throws IOException {
        tied(Wrapper.ZERO, 4, 1, 1).writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        for (int stage : new int[] {0, 3}) {
            assertThat(index.members())
                    .filteredOn(m -> m.at().on("pp") == stage)
                    .extracting(OptimizerMember::name)
                    .startsWith(EMBEDDING);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "2, 1, 1, 2, 3",
        "1, 2, 4, 1, 1",
        "4, 1, 2, 2, 2",
        "2, 2, 2, 2, 1",
        "2, 1, 4, 1, 2"
    })
    void movesBetweenStages(int pp, int tp, int newPp, int newTp, int newDp) throws IOException {
        GeneratedCheckpoint target = unnamed(newPp, newTp, newDp);
        GeneratedCheckpoint source = unnamed(pp, tp, 2);
        if (pp == 1) {
            // The files of one stage do not say that layers share a module.
            source.stage(1);
        }
        CheckpointIndex index = Relayout.assertWrittenAsSaved(source, target, temporary);

        if (newPp > 1) {
            assertHoldsEveryState(target, index);
        }
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 4", "UNFUSED, 2"})
    void entersZero(Wrapper wrapper, int pp) throws IOException {
        Relayout.assertWrittenAsSaved(
                tied(wrapper, 2, 1, 2),
                tied(wrapper, pp, 2, 3).stage(1).wrapper(Wrapper.ZERO),
                temporary);
    }

    @Test
    void isNamedAfterItsLayerWhereNoFileSaysItsKey() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                2,
                                at(0, "tied_modules.3.word.weight", 7, 3).stages(0, 1).layer(3),
                                at(0, "4.weight", 3, 3),
                                at(1, "5.weight", 3, 3))
                        .writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(index.findings())
                .anyMatch(f -> f.message().contains("for no file says its key"));
    }

    @Test
    void isNamedAsTheOptimizerNamesIt() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                2,
                                at(0, "tied_modules.word.weight", 7, 3).stages(0, 1).layer(0),
                                at(0, "1.weight", 3, 3),
                                at(1, "2.weight", 3, 3))
                        .editing(
                                (file, root) ->
                                        file.equals("mp_rank_00_model_states.pt")
                                                ? named(
                                                        root,
                                                        "tied_modules.word.weight",
                                                        "1.weight")
                                                : file.equals("mp_rank_01_model_states.pt")
                                                        ? named(
                                                                root,
                                                                "tied_modules.word.weight",
                                                                "2.weight")
                                                        : root)
                        .writeTo(from());

        assertHoldsEveryState(source, Relayout.read(from()));
    }

    private static PyDict named(PyDict root, String... names) {
        PyDict group =
                root.find("optimizer", "param_groups")
                        .flatMap(PickleValue::asSequence)
                        .orElseThrow()
                        .getFirst()
                        .asDict()
                        .orElseThrow();
        PyList list = PyList.of(Arrays.stream(names).<PickleValue>map(PyText::of).toList());
        return GeneratedFiles.with(
                root,
                PyList.of(List.of(group.with("param_names", list))),
                "optimizer",
                "param_groups");
    }

    @Test
    void comesBeforeLayersThatAreBuiltBeforeIt() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                2,
                                at(0, "tied_modules.1.weight", 7, 3).stages(0, 1).layer(1),
                                at(0, "0.weight", 2, 3),
                                at(0, "2.weight", 3, 3),
                                at(1, "3.weight", 3, 3))
                        .writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        Path again = temporary.resolve("again");
        new Relayout(source, from(), source).write(again);
        assertThat(Leaves.of(again)).isEqualTo(Leaves.of(from()));
    }

    @Test
    void isToldByTheOrderAloneWhereOneStageHasAll() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                1,
                                at(0, "tied_modules.1.weight", 7, 3).layer(1),
                                at(0, "0.weight", 2, 3),
                                at(0, "2.weight", 3, 3))
                        .writeTo(from());

        assertHoldsEveryState(source, Relayout.read(from()));
    }

    @Test
    void isWhatThePatternsOfOneStageSay() throws IOException {
        PyDict said =
                PyDict.empty()
                        .with("universal_checkpoint_version", PyText.of("0.2"))
                        .with(
                                "pipeline_replicated_parameter_patterns",
                                PyList.of(List.of(PyText.of("tied_modules.embed.word.weight"))));
        GeneratedCheckpoint source =
                inFp32(
                                1,
                                at(0, "tied_modules.embed.word.weight", 7, 3).layer(0),
                                at(0, "1.weight", 3, 3))
                        .editing(
                                (file, root) ->
                                        file.startsWith("mp_rank")
                                                ? root.with("universal_checkpoint_info", said)
                                                : root)
                        .writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(index.findings())
                .noneMatch(f -> f.message().contains("whether layers share a module"));
    }

    @Test
    void mayBeOnOneStageWhoseFilesDoNotSay() throws IOException {
        inFp32(1, at(0, "0.weight", 7, 3), at(0, "1.weight", 3, 3)).writeTo(from());

        assertThat(Relayout.read(from()).findings())
                .anyMatch(f -> f.message().contains("whether layers share a module"));
    }

    @Test
    void isHeldByAStageInTheMiddle() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                4,
                                at(0, "tied_modules.0.weight", 7, 3).stages(0, 1, 3).layer(0),
                                at(0, "1.weight", 3, 3),
                                at(1, "2.weight", 3, 3),
                                at(2, "3.weight", 3, 3),
                                at(3, "4.weight", 3))
                        .writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(places(index, "tied_modules.0.weight", "exp_avg"))
                .extracting(c -> c.on("pp"))
                .containsExactly(0, 1, 3);
    }

    @Test
    void isAloneOnAStage() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                2,
                                at(0, "tied_modules.0.weight", 7, 3).stages(0, 1).layer(0),
                                at(0, "1.weight", 3, 3))
                        .writeTo(from());

        assertHoldsEveryState(source, Relayout.read(from()));
    }

    /// Without a function of its own, a layer that shares a module has a file too.
    @Test
    void mayHaveAFileOfEveryLayer() throws IOException {
        GeneratedCheckpoint source =
                inFp32(
                                2,
                                at(0, "tied_modules.0.weight", 7, 3).stages(0, 1).layer(0),
                                at(0, "1.weight", 3, 3),
                                at(1, "2.weight", 4, 3))
                        .writeTo(from());
        Path tag = from().resolve("global_step3");
        Files.copy(
                tag.resolve("layer_00-model_00-model_states.pt"),
                tag.resolve("layer_03-model_00-model_states.pt"));

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(places(index, "tied_modules.0.weight", "weight"))
                .extracting(c -> c.on("pp"))
                .containsExactly(0, 1);
    }

    @Test
    void isNotGuessedWhereTwoLayersMayBeIt() throws IOException {
        GeneratedCheckpoint source =
                shared(
                                at(0, "0.weight", 7, 3),
                                at(0, "1.weight", 7, 3).stages(0, 1),
                                at(0, "2.weight", 4, 3),
                                at(1, "3.weight", 3, 3))
                        .writeTo(from());

        assertTellsNothing(source, Relayout.read(from()));
    }

    @Test
    void isNotGuessedWhereNoLayerHasItsShapes() throws IOException {
        GeneratedCheckpoint source =
                shared(
                                at(0, "0.weight", 7, 3),
                                at(0, "1.weight", 3, 3),
                                at(1, "9.weight", 5, 5),
                                at(1, "2.weight", 3, 3))
                        .writeTo(from());
        Files.delete(from().resolve("global_step3/layer_09-model_00-model_states.pt"));

        assertTellsNothing(source, Relayout.read(from()));
    }

    /// Two modules, each with a copy on the last stage, are more than is told.
    @Test
    void isNotGuessedWhereItIsNotOne() throws IOException {
        GeneratedCheckpoint source =
                shared(
                                at(0, "0.weight", 7, 3).stages(0, 1),
                                at(0, "1.weight", 5, 3).stages(0, 1),
                                at(0, "2.weight", 4, 3),
                                at(1, "3.weight", 3, 3))
                        .writeTo(from());

        assertTellsNothing(source, Relayout.read(from()));
    }

    /// Under the names that layers without a stage have.
    private static GeneratedCheckpoint shared(GeneratedParameter... parameters) {
        List<GeneratedParameter> ordered = new ArrayList<>(List.of(parameters));
        return inFp32(2, ordered.toArray(GeneratedParameter[]::new));
    }
}
