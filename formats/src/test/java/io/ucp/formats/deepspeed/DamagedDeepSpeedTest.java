package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/// What is not as DeepSpeed writes it: each kind of damage has one error, which names the file.
class DamagedDeepSpeedTest {
    private final DeepSpeedFormat format = new DeepSpeedFormat();

    @TempDir Path root;

    private Path tag() {
        return root.resolve("global_step3");
    }

    private AbstractThrowableAssert<?, ? extends Throwable> thrown() throws IOException {
        Candidate candidate = format.find(root).getFirst();
        return assertThatThrownBy(() -> format.index(candidate));
    }

    private static GeneratedCheckpoint small() {
        return GeneratedCheckpoint.of(
                        List.of(
                                GeneratedParameter.of("a", 5, 3),
                                GeneratedParameter.of("b", 7),
                                GeneratedParameter.of("c", 2, 2).group(1)))
                .degrees(1, 1, 3)
                .stage(2);
    }

    private static GeneratedCheckpoint tensorParallel(int stage) {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(1, 2))
                .degrees(1, 2, 2)
                .stage(stage);
    }

    private void edited(GeneratedCheckpoint checkpoint, String file, UnaryOperator<PyDict> change)
            throws IOException {
        checkpoint
                .editing((name, dict) -> name.equals(file) ? change.apply(dict) : dict)
                .writeTo(root);
    }

    private static UnaryOperator<PyDict> setting(Object value, String... path) {
        return dict -> GeneratedFiles.with(dict, TorchTree.of(value), path);
    }

    // ---- files that are not there ----

    @ParameterizedTest
    @ValueSource(
            strings = {
                "zero_pp_rank_0_mp_rank_00_optim_states.pt",
                "zero_pp_rank_1_mp_rank_00_optim_states.pt",
                "zero_pp_rank_1_mp_rank_01_optim_states.pt",
                "mp_rank_00_model_states.pt",
                "mp_rank_01_model_states.pt"
            })
    void namesTheMissingFile(String file) throws IOException {
        tensorParallel(2).writeTo(root);
        Files.delete(tag().resolve(file));

        thrown().isInstanceOf(IncompleteCheckpointException.class).hasMessageContaining(file);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "zero_pp_rank_0_mp_rank_00_model_states.pt",
                "zero_pp_rank_1_mp_rank_01_model_states.pt",
                "zero_pp_rank_1_mp_rank_00_optim_states.pt"
            })
    void namesTheMissingFileOfStageThree(String file) throws IOException {
        tensorParallel(3).writeTo(root);
        Files.delete(tag().resolve(file));

        thrown().isInstanceOf(IncompleteCheckpointException.class).hasMessageContaining(file);
    }

    @Test
    void namesTheMissingFileWithThePrefixOfTheOthers() throws IOException {
        small().wrapper(GeneratedCheckpoint.Wrapper.BF16).writeTo(root);
        Files.delete(tag().resolve("bf16_zero_pp_rank_2_mp_rank_00_optim_states.pt"));

        thrown().hasMessageContaining("bf16_zero_pp_rank_2_mp_rank_00_optim_states.pt");
    }

    @Test
    void missesTheOptimizerOfAModelThatHasOne() throws IOException {
        small().writeTo(root);
        for (int dp = 0; dp < 3; dp++) {
            Files.delete(tag().resolve("zero_pp_rank_%d_mp_rank_00_optim_states.pt".formatted(dp)));
        }

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("optim_states.pt");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void namesTheMissingLayer(int ranks) throws IOException {
        GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(2, 2, 2))
                .degrees(2, 2, 1)
                .writeTo(root);
        for (int tp = 0; tp < ranks; tp++) {
            Files.delete(tag().resolve("layer_03-model_%02d-model_states.pt".formatted(tp)));
        }

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("layer_03-model_00-model_states.pt");
    }

    @Test
    void saysThatLatestNamesAFolderThatIsNotThere() throws IOException {
        small().writeTo(root);
        Files.writeString(root.resolve("latest"), "global_step9");

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("global_step9")
                .hasMessageContaining("`latest`");
        assertThat(format.find(root)).extracting(Candidate::tag).contains("global_step3");
    }

    @Test
    void neverFollowsLatestOutOfTheRoot() throws IOException {
        small().writeTo(root.resolve("inside"));
        small().writeTo(root.resolve("outside"));
        Files.writeString(root.resolve("inside/latest"), "../outside/global_step3");

        List<Candidate> found = format.find(root.resolve("inside"));
        assertThat(found)
                .extracting(Candidate::folder)
                .containsExactly(
                        root.resolve("inside/latest"), root.resolve("inside/global_step3"));
        assertThatThrownBy(() -> format.index(found.getFirst()))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("it says '../outside/global_step3'");
    }

    // ---- files of several saves ----

    @Test
    void refusesModelStatesOfAnotherStep() throws IOException {
        edited(tensorParallel(2), "mp_rank_01_model_states.pt", setting(4, "iteration"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("mp_rank_01_model_states.pt")
                .hasMessageContaining("iteration is 4");
    }

    @Test
    void refusesModelStatesOfAnotherWorldSize() throws IOException {
        edited(tensorParallel(2), "mp_rank_01_model_states.pt", setting(8, "dp_world_size"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("dp_world_size is 8");
    }

    @Test
    void refusesARankThatTookAnotherStep() throws IOException {
        edited(
                small().step(GeneratedCheckpoint.Step.NUMBER),
                "zero_pp_rank_1_mp_rank_00_optim_states.pt",
                dict -> GeneratedFiles.with(dict, stepped(dict, 0, 4), STATE));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("zero_pp_rank_1_mp_rank_00_optim_states.pt")
                .hasMessageContaining("step");
    }

    private static final String[] STATE = {"optimizer_state_dict", "base_optimizer_state", "state"};

    private static PyDict stateOf(PyDict root) {
        return root.find(STATE).flatMap(PickleValue::asDict).orElseThrow();
    }

    private static PyDict stepped(PyDict root, int group, int step) {
        PyDict state = stateOf(root);
        PyDict own = state.find(group).flatMap(PickleValue::asDict).orElseThrow();
        return state.with(TorchTree.of(group), own.with("step", TorchTree.of(step)));
    }

    @Test
    void refusesARankFileTooMany() throws IOException {
        small().writeTo(root);
        Files.copy(
                tag().resolve("zero_pp_rank_2_mp_rank_00_optim_states.pt"),
                tag().resolve("zero_pp_rank_3_mp_rank_00_optim_states.pt"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("data-parallel rank 3");
    }

    @Test
    void refusesTwoFilesOfOneRank() throws IOException {
        small().writeTo(root);
        Files.copy(
                tag().resolve("zero_pp_rank_2_mp_rank_00_optim_states.pt"),
                tag().resolve("bf16_zero_pp_rank_2_mp_rank_00_optim_states.pt"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("saved into twice");
    }

    @Test
    void refusesRanksThatListOtherParameters() throws IOException {
        edited(
                tensorParallel(2),
                "mp_rank_01_model_states.pt",
                setting(List.of(Map.of("x", Shape.of(3))), "param_shapes"));

        thrown().isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("mp_rank_01_model_states.pt")
                .hasMessageContaining("other parameters");
    }

    // ---- files that are damaged ----

    @Test
    void namesATruncatedFile() throws IOException {
        small().writeTo(root);
        Path file = tag().resolve("zero_pp_rank_1_mp_rank_00_optim_states.pt");
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() / 2);
        }

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("zero_pp_rank_1_mp_rank_00_optim_states.pt");
    }

    @Test
    void namesAFileThatIsNoTorchFile() throws IOException {
        Files.createDirectories(tag());
        Files.writeString(tag().resolve("mp_rank_00_model_states.pt"), "not a checkpoint");

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("mp_rank_00_model_states.pt");
    }

    @Test
    void refusesAModelTensorOfAnotherShape() throws IOException {
        edited(
                small(),
                "mp_rank_00_model_states.pt",
                dict ->
                        GeneratedFiles.with(
                                dict, dict.find("module", "b").orElseThrow(), "module", "a"));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("a has the shape [7]; expected [5, 3]");
    }

    @Test
    void refusesShapesThatTheOptimizerDoesNotFill() throws IOException {
        Map<String, Object> shapes = new LinkedHashMap<>();
        shapes.put("a", Shape.of(50, 3));
        shapes.put("b", Shape.of(7));
        edited(
                small(),
                "mp_rank_00_model_states.pt",
                setting(List.of(shapes, Map.of("c", Shape.of(2, 2))), "param_shapes"));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("fp32 tensor of group 0 has 8 elements")
                .hasMessageContaining("157 elements of 2 parameters over 3 ranks");
    }

    @Test
    void refusesShapesThatNoNumberCounts() throws IOException {
        Map<String, Object> shapes = new LinkedHashMap<>();
        shapes.put("a", Shape.of(Long.MAX_VALUE));
        shapes.put("b", Shape.of(7));
        edited(
                small(),
                "mp_rank_00_model_states.pt",
                setting(List.of(shapes, Map.of("c", Shape.of(2, 2))), "param_shapes"));

        thrown().isInstanceOf(MalformedFileException.class).hasMessageContaining("64 bits");
    }

    private static final String SLICES = "param_slice_mappings";

    private void sliced(String file, Map<String, Object> ofGroup0) throws IOException {
        edited(
                small(),
                file,
                dict ->
                        GeneratedFiles.with(
                                dict,
                                TorchTree.of(
                                        List.of(
                                                ofGroup0,
                                                dict.find("optimizer_state_dict", SLICES)
                                                        .flatMap(PickleValue::asSequence)
                                                        .orElseThrow()
                                                        .get(1))),
                                "optimizer_state_dict",
                                SLICES));
    }

    private static Map<String, Object> slices(Object... nameStartCount) {
        Map<String, Object> slices = new LinkedHashMap<>();
        for (int i = 0; i < nameStartCount.length; i += 3) {
            slices.put(
                    (String) nameStartCount[i],
                    TorchTree.address(
                            (Integer) nameStartCount[i + 1], (Integer) nameStartCount[i + 2]));
        }
        return slices;
    }

    @Test
    void refusesSlicesWithAHole() throws IOException {
        sliced("zero_pp_rank_1_mp_rank_00_optim_states.pt", slices("a", 1, 6, "b", 7, 1));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("a begins at element 9 of group 0; expected element 8");
    }

    @Test
    void refusesSlicesThatDoNotAddUpToTheShape() throws IOException {
        sliced("zero_pp_rank_1_mp_rank_00_optim_states.pt", slices("a", 0, 8));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("8 elements of a at element 8")
                .hasMessageContaining("7 elements of a");
    }

    @Test
    void refusesSlicesOfAnUnknownParameter() throws IOException {
        sliced("zero_pp_rank_1_mp_rank_00_optim_states.pt", slices("a", 0, 7, "z", 7, 1));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("z lies at element 15");
    }

    @Test
    void refusesSlicesOutsideThePart() throws IOException {
        sliced("zero_pp_rank_1_mp_rank_00_optim_states.pt", slices("a", 0, 7, "b", 7, 6));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("an end at 8 at most");
    }

    @Test
    void refusesPaddingsThatDoNotFit() throws IOException {
        edited(
                small(),
                "zero_pp_rank_2_mp_rank_00_optim_states.pt",
                setting(List.of(1, 2), "optimizer_state_dict", "group_paddings"));

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("`group_paddings` says 1 for group 0");
    }

    @Test
    void refusesAStateThatOneRankLacks() throws IOException {
        edited(
                small(),
                "zero_pp_rank_1_mp_rank_00_optim_states.pt",
                dict -> {
                    PyDict state = stateOf(dict);
                    PyDict own = state.find(0).flatMap(PickleValue::asDict).orElseThrow();
                    return GeneratedFiles.with(
                            dict, state.with(TorchTree.of(0), own.without("exp_avg")), STATE);
                });

        thrown().isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("group 0 has no `exp_avg`");
    }

    @Test
    void refusesOptimizerStatesOfAKindThatIsNotRead() throws IOException {
        edited(
                small(),
                "zero_pp_rank_1_mp_rank_00_optim_states.pt",
                setting(
                        Map.of("local_sub_partitions_of_fp32_groups", List.of()),
                        "optimizer_state_dict"));

        thrown().isInstanceOf(RefusedException.class)
                .hasMessageContaining("local_sub_partitions_of_fp32_groups");
    }

    @Test
    void refusesAnOptimizerWithoutShapes() throws IOException {
        edited(small(), "mp_rank_00_model_states.pt", setting(PyNone.NONE, "param_shapes"));

        thrown().isInstanceOf(MalformedFileException.class).hasMessageContaining("param_shapes");
    }

    @Test
    void keepsObjectsOfUnknownClasses() throws IOException {
        PyObject unknown = PyObject.instance(new PyGlobal("my.training.code", "Curriculum"));
        edited(small(), "mp_rank_00_model_states.pt", setting(unknown, "curriculum"));

        CarriedFile model =
                format.index(format.find(root).getFirst()).carried().stream()
                        .filter(f -> f.path().equals("mp_rank_00_model_states.pt"))
                        .findFirst()
                        .orElseThrow();

        assertThat(model.root().flatMap(r -> r.find("curriculum")))
                .hasValueSatisfying(
                        v ->
                                assertThat(v)
                                        .isInstanceOfSatisfying(
                                                PyObject.class,
                                                o ->
                                                        assertThat(
                                                                        o.isInstanceOf(
                                                                                "my.training.code",
                                                                                "Curriculum"))
                                                                .isTrue()));
    }
}
