package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/// What could be dropped, or picked, without a word is refused or told.
class UnspokenDeepSpeedTest {
    private static final String MODEL = "mp_rank_00_model_states.pt";
    private static final String[] OPTIMIZER = {"optimizer_state_dict", "base_optimizer_state"};

    private final DeepSpeedFormat format = new DeepSpeedFormat();

    @TempDir Path root;

    private Path tag() {
        return root.resolve("global_step3");
    }

    private CheckpointIndex index() throws IOException {
        return format.index(format.find(root).getFirst());
    }

    private AbstractThrowableAssert<?, ? extends Throwable> refused() throws IOException {
        Candidate candidate = format.find(root).getFirst();
        return assertThatThrownBy(() -> format.index(candidate));
    }

    private static GeneratedCheckpoint small() {
        return GeneratedCheckpoint.of(
                        List.of(GeneratedParameter.of("a", 4, 4), GeneratedParameter.of("b", 4, 4)))
                .degrees(1, 1, 2)
                .stage(2);
    }

    private void edited(GeneratedCheckpoint checkpoint, String file, UnaryOperator<PyDict> change)
            throws IOException {
        checkpoint
                .editing((name, dict) -> name.equals(file) ? change.apply(dict) : dict)
                .writeTo(root);
    }

    private static PickleValue held(PyDict root, String name) {
        return root.find("module", name).orElseThrow();
    }

    @Test
    void aListedParameterThatNoFileHoldsIsMissed() throws IOException {
        edited(
                small(),
                MODEL,
                dict ->
                        dict.with(
                                "frozen_param_shapes", TorchTree.of(Map.of("gone", Shape.of(3)))));

        refused()
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(MODEL)
                .hasMessageContaining("gone");
    }

    @Test
    void twoTensorsOfOneNameAreRefused() throws IOException {
        edited(
                small(),
                MODEL,
                dict ->
                        GeneratedFiles.with(
                                GeneratedFiles.with(dict, held(dict, "b"), "module", "n.c"),
                                TorchTree.of(Map.of("c", held(dict, "a"))),
                                "module",
                                "n"));

        refused()
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("two tensors are `n.c`");
    }

    @Test
    void aTensorOfAKindThatIsNotReadIsRefused() throws IOException {
        edited(
                small(),
                MODEL,
                dict ->
                        GeneratedFiles.with(
                                dict,
                                PyObject.call(
                                        new PyGlobal("torch._utils", "_rebuild_sparse_tensor"),
                                        PyTuple.of(List.of(held(dict, "a")))),
                                "module",
                                "a"));

        refused()
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(MODEL + ": `a`")
                .hasMessageContaining("a tensor of a kind that is not read")
                .hasMessageContaining("_rebuild_sparse_tensor");
    }

    /// Sixty levels of two would be more names than there are atoms to write them with.
    @Test
    void dictsThatShareDictsAreNotGoneIntoWithoutEnd() throws IOException {
        PickleValue twice = TorchTree.of(Map.of());
        for (int level = 0; level < 60; level++) {
            twice = TorchTree.of(Map.of("l", twice, "r", twice));
        }
        PickleValue shared = twice;
        edited(small(), MODEL, dict -> GeneratedFiles.with(dict, shared, "module", "bomb"));

        refused()
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("in more than 16 places");
    }

    /// Both begin at one byte and have one shape.
    @Test
    void aTensorAndItsTransposeAreTwo() throws IOException {
        edited(
                small().inFp32().withoutZero(Wrapper.ZERO),
                MODEL,
                dict -> {
                    TorchTensor a = TensorPickles.read(held(dict, "a")).orElseThrow();
                    TorchTensor turned =
                            TorchTensor.view(
                                    a.dtype(),
                                    a.shape(),
                                    new long[] {1, 4},
                                    a.storageKey(),
                                    a.storageOffset(),
                                    a.storageSize());
                    return GeneratedFiles.with(dict, TensorPickles.write(turned), "module", "b");
                });

        assertThat(index().hints().aliases()).isEmpty();
        assertThat(index().tensors()).extracting(HeldTensor::name).contains("a", "b");
    }

    @Test
    void expertsWithoutAnyFileAreMissed() throws IOException {
        GeneratedCheckpoint.of(GeneratedCheckpoint.mixture(Cut.ROWS))
                .degrees(1, 1, 2)
                .expertRanks(2)
                .writeTo(root);
        try (var files = Files.list(tag())) {
            for (Path file : files.filter(f -> f.toString().contains("expert_")).toList()) {
                Files.delete(file);
            }
        }

        refused()
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("layer_0_expert_0_mp_rank_00_model_states.pt");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void statesThatNoGroupNamesAreRefused(int stage) throws IOException {
        String file = "zero_pp_rank_1_mp_rank_00_optim_states.pt";
        String[] path =
                stage == 3
                        ? new String[] {"optimizer_state_dict", "optimizer_state_dict", "state"}
                        : new String[] {OPTIMIZER[0], OPTIMIZER[1], "state"};
        edited(
                small().stage(stage),
                file,
                dict -> {
                    PyDict states = dict.find(path).flatMap(PickleValue::asDict).orElseThrow();
                    return GeneratedFiles.with(
                            dict, states.with(TorchTree.of(7), states.find(0).orElseThrow()), path);
                });

        refused()
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(file)
                .hasMessageContaining("under 7");
    }

    /// The weights are the truth then, and a line says so.
    @Test
    void anOptimizerWithAStateThatIsNotReadStaysInItsFile() throws IOException {
        edited(
                small().withoutZero(Wrapper.ZERO),
                MODEL,
                dict -> {
                    String[] path = {"optimizer", "state"};
                    PyDict states = dict.find(path).flatMap(PickleValue::asDict).orElseThrow();
                    PyDict first = states.find(0).flatMap(PickleValue::asDict).orElseThrow();
                    return GeneratedFiles.with(
                            dict,
                            states.with(
                                    TorchTree.of(0),
                                    first.with("odd", TorchTree.of(List.of(1, 2)))),
                            path);
                });

        assertThat(index().tensors()).extracting(HeldTensor::state).containsOnly("weight");
        assertThat(index().findings())
                .anyMatch(f -> f.message().contains("it stays in the file as it is"));
    }

    @Test
    void everyRankOfZeroThreeHoldsItsBuffers() throws IOException {
        GeneratedCheckpoint.of(
                        List.of(
                                GeneratedParameter.of("a", 5),
                                GeneratedParameter.of("mean", 3).role(Role.BUFFER)))
                .degrees(1, 1, 2)
                .stage(3)
                .writeTo(root);

        Coordinate first = Coordinate.of("pp", 0).with("tp", 0);
        assertThat(index().tensors().stream().filter(t -> t.name().equals("mean")))
                .extracting(HeldTensor::at)
                .containsExactly(first.with("dp", 0), first.with("dp", 1));
    }

    @Test
    void frozenParametersThatOneRankAloneListsAreRefused() throws IOException {
        edited(
                small().stage(3),
                "zero_pp_rank_1_mp_rank_00_model_states.pt",
                dict -> dict.with("frozen_param_shapes", TorchTree.of(Map.of("own", Shape.of(3)))));

        refused()
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("zero_pp_rank_1_mp_rank_00_model_states.pt")
                .hasMessageContaining("other frozen parameters");
    }

    @Test
    void aFolderAmongTheFilesIsTold() throws IOException {
        small().writeTo(root);
        Files.createDirectory(tag().resolve("rng"));

        assertThat(index().findings()).anyMatch(f -> f.place().endsWith("rng"));
    }

    @ParameterizedTest
    @CsvSource({"dp_world_size,0", "dp_world_size,-3", "mp_world_size,0"})
    void aDegreeThatIsNoneIsRefused(String key, int degree) throws IOException {
        edited(small(), MODEL, dict -> dict.with(key, TorchTree.of(degree)));

        refused()
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("%s is %d; expected 1 to".formatted(key, degree));
    }

    /// Their product is none in 64 bits.
    @Test
    void degreesPastAllCountingAreRefused() throws IOException {
        edited(
                small(),
                MODEL,
                dict ->
                        dict.with(
                                "checkpoint_parallel_dimensions",
                                TorchTree.of(
                                        Map.of("pp_degree", 1L << 32, "tp_degree", 1L << 32))));

        refused().isInstanceOf(MalformedFileException.class).hasMessageContaining("4294967296");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "mp_rank_99999999990_model_states.pt",
                "zero_pp_rank_10000000000_mp_rank_00_optim_states.pt"
            })
    void aRankPastAllCountingIsNoRanksFile(String name) {
        assertThat(FileName.of(name)).isInstanceOf(FileName.Side.class);
    }
}
