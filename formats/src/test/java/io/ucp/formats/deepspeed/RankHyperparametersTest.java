package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.universal.DeepSpeedUniversalFormat;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.UnaryOperator;

/// The hyperparameters of optimizer groups, which every rank's file has: a target has one for all.
class RankHyperparametersTest {
    private static final String SECOND = "zero_pp_rank_1_mp_rank_00_optim_states.pt";

    @TempDir Path folder;

    private Path from() {
        return folder.resolve("from");
    }

    private static GeneratedCheckpoint small(int stage) {
        return GeneratedCheckpoint.of(
                        List.of(GeneratedParameter.of("a", 4, 4), GeneratedParameter.of("b", 4, 4)))
                .degrees(1, 1, 2)
                .stage(stage);
    }

    private static String[] groups(int stage) {
        String inner = stage == 3 ? "optimizer_state_dict" : "base_optimizer_state";
        return new String[] {"optimizer_state_dict", inner, "param_groups"};
    }

    private static PyDict changed(PyDict root, int stage, UnaryOperator<PyDict> first) {
        List<PickleValue> groups =
                new ArrayList<>(root.find(groups(stage)).orElseThrow().asSequence().orElseThrow());
        groups.set(0, first.apply(groups.getFirst().asDict().orElseThrow()));
        return GeneratedFiles.with(root, PyList.of(groups), groups(stage));
    }

    private GeneratedCheckpoint written(int stage, UnaryOperator<PyDict> ofSecond)
            throws IOException {
        return small(stage)
                .editing(
                        (name, root) -> name.equals(SECOND) ? changed(root, stage, ofSecond) : root)
                .writeTo(from());
    }

    private TargetTree universal(GeneratedCheckpoint source) throws IOException {
        CheckpointIndex index = Relayout.read(from());
        return new DeepSpeedUniversalFormat()
                .layout(
                        new WriteRequest(
                                index.tag(),
                                index.iteration(),
                                index.origin(),
                                new Relayout(source, from(), source).facts(),
                                index.hints(),
                                index.carried(),
                                Map.of()));
    }

    private TargetTree ranked(GeneratedCheckpoint source) throws IOException {
        return new Relayout(source, from(), small(source.stage).degrees(1, 1, 1)).tree(Map.of());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void thoseOfARankThatDifferAreRefusedForAJobAndToldByTheUniversalForm(int stage)
            throws IOException {
        GeneratedCheckpoint source = written(stage, g -> g.with("lr", new PyFloat(0.5)));

        assertThatThrownBy(() -> ranked(source))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(SECOND)
                .hasMessageContaining("`lr` of optimizer group 0 is 0.5")
                .hasMessageContaining("--to deepspeed-universal keeps the first rank's");
        assertThat(universal(source).losses())
                .singleElement()
                .asString()
                .contains(SECOND + " has `lr` of optimizer group 0 is 0.5")
                .contains("the first's are kept");
    }

    @Test
    void oneThatOneRankAloneHasIsOneThatDiffers() throws IOException {
        GeneratedCheckpoint source = written(2, g -> g.with("betas", PyList.of()));

        assertThatThrownBy(() -> ranked(source))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("`betas` of optimizer group 0")
                .hasMessageContaining("not there");
        assertThat(universal(source).losses()).hasSize(1);
    }

    @Test
    void ranksWithTheSameAreNotSpokenOf() throws IOException {
        GeneratedCheckpoint source = small(2).writeTo(from());

        assertThat(universal(source).losses()).isEmpty();
        assertThat(ranked(source).losses()).isEmpty();
    }

    /// `lr` of every rank's group as a tensor; a storage of each file is named otherwise.
    private GeneratedCheckpoint withTensors(float first, float second) throws IOException {
        GeneratedCheckpoint source = small(2).writeTo(from());
        for (int rank = 0; rank < 2; rank++) {
            Path file =
                    from().resolve(
                                    "global_step3/zero_pp_rank_%d_mp_rank_00_optim_states.pt"
                                            .formatted(rank));
            CheckpointFile read = CheckpointFile.open(file);
            CarriedFile held = read.carried("x", "x", io.ucp.formats.Coordinate.NONE);
            SequencedMap<String, byte[]> storages = new LinkedHashMap<>();
            for (Map.Entry<String, CarriedFile.Storage> e : held.storages().entrySet()) {
                storages.put(e.getKey(), bytes(e.getValue()));
            }
            String key = "9" + rank;
            float value = rank == 0 ? first : second;
            storages.put(
                    key,
                    ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array());
            PickleValue lr =
                    TensorPickles.write(TorchTensor.contiguous(DType.FLOAT32, Shape.of(), key));
            PyDict root = changed(read.root().asDict().orElseThrow(), 2, g -> g.with("lr", lr));
            Path again = file.resolveSibling("again");
            TorchWriter.write(again, root, storages);
            Files.move(again, file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        }
        return source;
    }

    private static byte[] bytes(CarriedFile.Storage storage) throws IOException {
        byte[] all = new byte[Math.toIntExact(storage.size())];
        for (CarriedFile.Content content : storage.content()) {
            if (content instanceof CarriedFile.Content.Raw raw) {
                try (var reader = raw.source().open()) {
                    reader.read(
                            raw.sourceOffset(),
                            ByteBuffer.wrap(all, (int) raw.offset(), (int) raw.size()));
                }
            }
        }
        return all;
    }

    @Test
    void tensorsAreTheSameByTheirBytesWhereverTheirFilesKeepThem() throws IOException {
        GeneratedCheckpoint source = withTensors(0.25f, 0.25f);

        assertThat(universal(source).losses()).isEmpty();
        assertThat(new Relayout(source, from(), source).write(folder.resolve("to")).stage())
                .isEqualTo(2);
        CheckpointFile written =
                CheckpointFile.open(
                        folder.resolve(
                                "to/global_step3/zero_pp_rank_1_mp_rank_00_optim_states.pt"));
        PickleValue lr =
                written.root()
                        .find(groups(2))
                        .orElseThrow()
                        .asSequence()
                        .orElseThrow()
                        .getFirst()
                        .find("lr")
                        .orElseThrow();
        assertThat(
                        ByteBuffer.wrap(written.scalar(lr).orElseThrow().bytes())
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .getFloat())
                .isEqualTo(0.25f);
    }

    @Test
    void tensorsOfOtherBytesDiffer() throws IOException {
        GeneratedCheckpoint source = withTensors(0.25f, 0.5f);

        assertThatThrownBy(() -> ranked(source))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("`lr` of optimizer group 0");
        assertThat(universal(source).losses()).hasSize(1);
    }

    @Test
    void withoutZeroTheFirstRanksAreKeptToo() throws IOException {
        GeneratedCheckpoint source = small(0).degrees(1, 2, 1).withoutZero(Wrapper.UNFUSED);
        source.editing(
                        (name, root) -> {
                            if (!name.startsWith("mp_rank_01")) {
                                return root;
                            }
                            String[] path = {"optimizer", "optimizer_state_dict", "param_groups"};
                            List<PickleValue> groups =
                                    root.find(path).orElseThrow().asSequence().orElseThrow();
                            PyDict other =
                                    groups.getFirst()
                                            .asDict()
                                            .orElseThrow()
                                            .with("lr", new PyFloat(7));
                            return GeneratedFiles.with(root, PyList.of(other), path);
                        })
                .writeTo(from());

        assertThat(universal(source).losses())
                .anyMatch(l -> l.contains("mp_rank_01_model_states.pt has `lr`"));
    }
}
