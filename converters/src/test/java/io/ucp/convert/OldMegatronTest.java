package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;

/// GPT-2 as Megatron-LM saved it before 2021: one model, whose fused queries, keys and values have
/// the rows of each version in its own order.
class OldMegatronTest {
    private static final int HEADS = 4;
    private static final int SIZE = 4;
    private static final int HIDDEN = HEADS * SIZE;
    private static final int FFN = 20;
    private static final int LAYERS = 2;
    private static final int TP = 2;
    private static final double TODAY = 2.0;

    @TempDir Path folder;

    /// Rank files of a version.
    private static final class Old {
        final double version;
        final PyDict model;
        final SequencedMap<String, byte[]> storages = new LinkedHashMap<>();

        /// Name in the optimizer's order -> the rank's tensor of a state.
        final List<String> decayed = new ArrayList<>();

        final List<String> others = new ArrayList<>();
        final int rank;

        Old(double version, int rank) {
            this.version = version;
            this.rank = rank;
            this.model = model();
        }

        private PyDict model() {
            PyDict transformer = PyDict.empty();
            PyDict embedding =
                    PyDict.empty()
                            .with("word_embeddings", weight("wte", rows(256, HIDDEN)))
                            .with("position_embeddings", weight("wpe", whole(12, HIDDEN)));
            for (int l = 0; l < LAYERS; l++) {
                String layer = "layers.%d.".formatted(l);
                transformer = norm(transformer, layer + "input_layernorm");
                transformer =
                        put(transformer, layer + "attention.query_key_value.weight", fused(HIDDEN));
                transformer = put(transformer, layer + "attention.query_key_value.bias", fused(1));
                transformer =
                        put(transformer, layer + "attention.dense.weight", columns(HIDDEN, HIDDEN));
                transformer = put(transformer, layer + "attention.dense.bias", whole(HIDDEN, 1));
                transformer = norm(transformer, layer + "post_attention_layernorm");
                transformer =
                        put(transformer, layer + "mlp.dense_h_to_4h.weight", rows(FFN, HIDDEN));
                transformer = put(transformer, layer + "mlp.dense_h_to_4h.bias", rows(FFN, 1));
                transformer =
                        put(transformer, layer + "mlp.dense_4h_to_h.weight", columns(HIDDEN, FFN));
                transformer = put(transformer, layer + "mlp.dense_4h_to_h.bias", whole(HIDDEN, 1));
            }
            transformer = norm(transformer, "final_layernorm");
            return PyDict.empty()
                    .with(
                            "language_model",
                            PyDict.empty()
                                    .with("embedding", embedding)
                                    .with("transformer", transformer));
        }

        private PyDict norm(PyDict into, String name) {
            return put(
                    put(into, name + ".weight", whole(HIDDEN, 1)),
                    name + ".bias",
                    whole(HIDDEN, 1));
        }

        private PyDict weight(String name, Cut cut) {
            return put(PyDict.empty(), "weight", name, cut);
        }

        private PyDict put(PyDict into, String name, Cut cut) {
            return put(into, name, name, cut);
        }

        private PyDict put(PyDict into, String key, String name, Cut cut) {
            boolean isDecayed = cut.columns > 1;
            (isDecayed ? decayed : others).add(name);
            cuts.put(name, cut);
            return into.with(key, tensor(cut, DType.FLOAT16, 0));
        }

        private final Map<String, Cut> cuts = new LinkedHashMap<>();

        private PickleValue tensor(Cut cut, DType dtype, int state) {
            String key = Integer.toString(storages.size());
            ByteBuffer bytes =
                    ByteBuffer.allocate(cut.rows.length * cut.own.length * dtype.width())
                            .order(ByteOrder.LITTLE_ENDIAN);
            for (int row : cut.rows) {
                for (int column : cut.own) {
                    int value = row * cut.columns + column;
                    if (dtype == DType.FLOAT16) {
                        bytes.putShort((short) value);
                    } else {
                        bytes.putInt(value + (state << 24));
                    }
                }
            }
            storages.put(key, bytes.array());
            Shape shape =
                    cut.columns == 1
                            ? Shape.of(cut.rows.length)
                            : Shape.of(cut.rows.length, cut.own.length);
            return TensorPickles.write(TorchTensor.contiguous(dtype, shape, key));
        }

        /// Which elements of the whole a rank has.
        private record Cut(int[] rows, int[] own, int columns) {}

        private static Cut whole(int rows, int columns) {
            return new Cut(range(0, rows), range(0, columns), columns);
        }

        private Cut rows(int rows, int columns) {
            int each = rows / TP;
            return new Cut(range(rank * each, (rank + 1) * each), range(0, columns), columns);
        }

        private Cut columns(int rows, int columns) {
            int each = columns / TP;
            return new Cut(range(0, rows), range(rank * each, (rank + 1) * each), columns);
        }

        /// The whole is all queries, all keys, all values, as transformers has them.
        private Cut fused(int columns) {
            int[] rows = new int[3 * HIDDEN / TP];
            int heads = HEADS / TP;
            for (int part = 0; part < 3; part++) {
                for (int head = 0; head < heads; head++) {
                    for (int d = 0; d < SIZE; d++) {
                        int at =
                                version == 0
                                        ? (part * heads + head) * SIZE + d
                                        : version == 1
                                                ? (head * SIZE + d) * 3 + part
                                                : (head * 3 + part) * SIZE + d;
                        rows[at] = part * HIDDEN + (rank * heads + head) * SIZE + d;
                    }
                }
            }
            return new Cut(rows, range(0, columns), columns);
        }

        private static int[] range(int from, int to) {
            int[] range = new int[to - from];
            Arrays.setAll(range, i -> from + i);
            return range;
        }

        /// As `FP16_Optimizer` saved it.
        private PyDict optimizer() {
            List<PickleValue> groups = new ArrayList<>();
            List<PyDict.Entry> state = new ArrayList<>();
            List<PickleValue> masters = new ArrayList<>();
            int number = 0;
            for (List<String> names : List.of(decayed, others)) {
                List<PickleValue> numbers = new ArrayList<>();
                List<PickleValue> own = new ArrayList<>();
                for (String name : names) {
                    Cut cut = Objects.requireNonNull(cuts.get(name));
                    state.add(
                            new PyDict.Entry(
                                    PyInt.of(number),
                                    PyDict.empty()
                                            .with("exp_avg", tensor(cut, DType.FLOAT32, 1))
                                            .with("exp_avg_sq", tensor(cut, DType.FLOAT32, 2))));
                    own.add(tensor(cut, DType.FLOAT32, 3));
                    numbers.add(PyInt.of(number++));
                }
                groups.add(
                        PyDict.empty()
                                .with("params", PyList.of(numbers))
                                .with("lr", new PyFloat(0.5))
                                .with("betas", PyList.of(new PyFloat(0.9), new PyFloat(0.99)))
                                .with("eps", new PyFloat(1e-8))
                                .with("weight_decay", new PyFloat(groups.isEmpty() ? 0.01 : 0))
                                .with("step", PyInt.of(7)));
                masters.add(PyList.of(own));
            }
            return PyDict.empty()
                    .with("dynamic_loss_scale", new PyBool(true))
                    .with(
                            "optimizer_state_dict",
                            PyDict.empty()
                                    .with("state", PyDict.of(state))
                                    .with("param_groups", PyList.of(groups)))
                    .with("fp32_from_fp16", PyList.of(masters));
        }

        private static PyDict arguments() {
            return PyDict.empty()
                    .with("model_parallel_size", PyInt.of(TP))
                    .with("num_layers", PyInt.of(LAYERS))
                    .with("hidden_size", PyInt.of(HIDDEN))
                    .with("num_attention_heads", PyInt.of(HEADS))
                    .with("max_position_embeddings", PyInt.of(12))
                    .with("padded_vocab_size", PyInt.of(256))
                    .with("make_vocab_size_divisible_by", PyInt.of(128));
        }

        void write(Path iteration, boolean arguments, boolean optimizer) throws IOException {
            PyDict root = PyDict.empty();
            root = arguments ? root.with("args", arguments()) : root;
            root = version == 0 ? root : root.with("checkpoint_version", new PyFloat(version));
            root = root.with("iteration", PyInt.of(7)).with("model", model);
            root = optimizer ? root.with("optimizer", optimizer()) : root;
            Path rank =
                    Files.createDirectories(iteration.resolve("mp_rank_%02d".formatted(this.rank)));
            TorchWriter.write(rank.resolve("model_optim_rng.pt"), root, storages);
        }
    }

    private Path old(double version, boolean arguments, boolean optimizer) throws IOException {
        Path root = folder.resolve("old" + version);
        for (int rank = 0; rank < TP; rank++) {
            new Old(version, rank).write(root.resolve("iter_0000007"), arguments, optimizer);
        }
        Files.writeString(root.resolve("latest_checkpointed_iteration.txt"), "7");
        return root;
    }

    private Path convert(
            Path source,
            String to,
            Map<String, Long> settings,
            Names names,
            Optional<String> targetSpec,
            Optional<TargetRequest> job)
            throws IOException {
        Path output = folder.resolve(source.getFileName() + "-" + to);
        Request request =
                new Request(
                        source,
                        Optional.empty(),
                        to,
                        Optional.empty(),
                        settings,
                        Map.of(),
                        targetSpec,
                        names,
                        job);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    private Path named(Path source, String to) throws IOException {
        return convert(source, to, Map.of(), Names.HF, Optional.empty(), Optional.empty());
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 1.0})
    void weightsOfEveryVersionAreTheSameModelOfTransformers(double version) throws IOException {
        Path today = named(old(TODAY, true, true), "safetensors");
        Path other = named(old(version, true, true), "safetensors");

        assertThat(other.resolve("model.safetensors"))
                .hasSameBinaryContentAs(today.resolve("model.safetensors"));
    }

    /// What Megatron-LM itself does not: it brings the weights into order, not their states.
    @ParameterizedTest
    @ValueSource(doubles = {0, 1.0})
    void statesOfTheOptimizerLieAsTheirWeightsDo(double version) throws IOException {
        Path today = named(old(TODAY, true, true), "universal");
        Path other = named(old(version, true, true), "universal");

        for (String state : List.of("weight", "fp32", "exp_avg", "exp_avg_sq")) {
            String file = "states/%s-00001.arrow".formatted(state);
            assertThat(other.resolve(file)).hasSameBinaryContentAs(today.resolve(file));
        }
    }

    @Test
    void anElementOfAFusedWeightIsWhereTransformersHasIt() throws IOException {
        Path model = named(old(0, true, false), "universal");

        // fp16 bits that count the elements of the whole with rows and columns the other way round.
        String text = Files.readString(model.resolve("manifest.json"));
        int at = text.indexOf("transformer.h.0.attn.c_attn.weight");
        long offset =
                Long.parseLong(text.substring(at).replaceAll("(?s).*?\"offset\":(\\d+).*", "$1"));
        ByteBuffer bytes =
                ByteBuffer.wrap(Files.readAllBytes(model.resolve("states/weight-00001.arrow")))
                        .order(ByteOrder.LITTLE_ENDIAN);
        for (int column = 0; column < HIDDEN; column++) {
            for (int row = 0; row < 3 * HIDDEN; row++) {
                int position = column * 3 * HIDDEN + row;
                assertThat(bytes.getShort(Math.toIntExact(offset) + 2 * position))
                        .isEqualTo((short) (row * HIDDEN + column));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 1.0})
    void filesWithoutArgumentsAreReadWithTheHeadsSaid(double version) throws IOException {
        Path today = named(old(TODAY, true, false), "safetensors");
        Path other =
                convert(
                        old(version, false, false),
                        "safetensors",
                        Map.of("heads", (long) HEADS),
                        Names.HF,
                        Optional.empty(),
                        Optional.empty());

        assertThat(other.resolve("model.safetensors"))
                .hasSameBinaryContentAs(today.resolve("model.safetensors"));
    }

    @Test
    void theModelOfTodayIsMadeByWayOfTransformers() throws IOException {
        Optional<String> core = Optional.of("megatron_core_gpt2_hf");
        Path today =
                convert(
                        old(TODAY, true, true),
                        "megatron",
                        Map.of(),
                        Names.AUTO,
                        core,
                        Optional.of(Jobs.megatron(1)));
        Path other =
                convert(
                        old(0, true, true),
                        "megatron",
                        Map.of(),
                        Names.AUTO,
                        core,
                        Optional.of(Jobs.megatron(1)));

        String file = "iter_0000007/mp_rank_00/model_optim_rng.pt";
        assertThat(other.resolve(file)).hasSameBinaryContentAs(today.resolve(file));
    }

    @Test
    void theNamesOfThenAreNotWrittenForAJobOfToday() throws IOException {
        Path source = old(1.0, true, true);

        assertThatThrownBy(
                        () ->
                                convert(
                                        source,
                                        "megatron",
                                        Map.of(),
                                        Names.AUTO,
                                        Optional.empty(),
                                        Optional.of(Jobs.megatron(1))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("--target-spec megatron_core_gpt2_hf");
    }

    @Test
    void withoutItsVersionTheOrderOfRowsIsNotGuessed() throws IOException {
        Path universal =
                convert(
                        old(1.0, true, true),
                        "universal",
                        Map.of(),
                        Names.KEEP,
                        Optional.empty(),
                        Optional.empty());

        assertThatThrownBy(() -> named(universal, "safetensors"))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("megatron_legacy_gpt_v0, megatron_legacy_gpt_v1");
    }

    @Test
    void aModelThatIsNoGpt2OfThenIsRefused() throws IOException {
        Path root = folder.resolve("bert");
        Old old = new Old(0, 0);
        PyDict model = old.model.with("lm_head", PyDict.empty().with("bias", text(old)));
        Path rank = Files.createDirectories(root.resolve("iter_0000007/mp_rank_00"));
        TorchWriter.write(
                rank.resolve("model_optim_rng.pt"),
                PyDict.empty().with("iteration", PyInt.of(7)).with("model", model),
                old.storages);
        Files.writeString(root.resolve("latest_checkpointed_iteration.txt"), "7");

        assertThatThrownBy(() -> named(root, "safetensors"))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("checkpoint_version")
                .hasMessageContaining("a GPT-2 of then");
    }

    private static PickleValue text(Old old) {
        return old.tensor(Old.whole(HIDDEN, 1), DType.FLOAT16, 0);
    }
}
