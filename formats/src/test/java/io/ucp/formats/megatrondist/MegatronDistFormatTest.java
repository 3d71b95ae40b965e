package io.ucp.formats.megatrondist;

import static io.ucp.formats.distcp.SmallCheckpoint.chunk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.SmallCheckpoint;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/// What is read of small checkpoints, and one that is refused for each rule. Byte i of every chunk
/// is i.
class MegatronDistFormatTest {
    private static final String NORM = "decoder.layers.self_attention.linear_qkv.layer_norm_weight";
    private static final String HEAD = "output_layer.weight";
    private static final String FIRST = "decoder.layers.mlp.experts.experts.linear_fc1.weight";
    private static final String BUCKET =
            "optimizer.distributed.dp_group_idx_0.gbuf_idx_0"
                    + ".dtype_(torch.float32, torch.float32).bucket_idx_0.";

    private static final String OPTIMIZER =
            "optimizer.distributed.dp_group_idx_%d.optimizer/shard_0_1";

    @TempDir Path root;
    private Path folder = Path.of("");
    private final Map<String, PickleValue> args = new LinkedHashMap<>();
    private final Map<String, PickleValue> common = new LinkedHashMap<>();

    @BeforeEach
    void aJobOfOneRank() throws IOException {
        folder = Files.createDirectory(root.resolve("iter_0000007"));
        config("{\"sharded_backend\": \"torch_dist\", \"sharded_backend_version\": 1}");
        for (String one : List.of("tensor_model_parallel_size", "pipeline_model_parallel_size")) {
            args.put(one, PyInt.of(1));
        }
        args.put("world_size", PyInt.of(1));
        args.put("num_layers", PyInt.of(2));
        common.put("iteration", PyInt.of(7));
    }

    private void config(String text) throws IOException {
        Files.writeString(folder.resolve("metadata.json"), text);
    }

    private SmallCheckpoint checkpoint() throws IOException {
        return new SmallCheckpoint(folder).whole(List.of(HEAD), 4, 4);
    }

    private SmallCheckpoint stacked() throws IOException {
        return checkpoint()
                .tensor(
                        List.of(NORM),
                        Shape.of(2, 3),
                        chunk(List.of(0L, 0L), 1, 3),
                        chunk(List.of(1L, 0L), 1, 3));
    }

    private PyDict commonState() {
        Map<String, PickleValue> all = new LinkedHashMap<>();
        all.put("args", PyObject.namespace(PyDict.of(args)));
        all.putAll(common);
        return PyDict.of(all);
    }

    private CheckpointIndex index(SmallCheckpoint checkpoint) throws IOException {
        checkpoint.object(List.of(DistFiles.COMMON_KEY), PyList.of(commonState())).write();
        return index();
    }

    private CheckpointIndex index() throws IOException {
        MegatronDistFormat format = new MegatronDistFormat();
        return format.index(format.find(root).getFirst());
    }

    private static List<String> names(CheckpointIndex index) {
        return index.wholes().stream().map(w -> w.facts().name()).toList();
    }

    private static List<Placed> state(CheckpointIndex index, String name, String state) {
        WholeParameter whole =
                index.wholes().stream()
                        .filter(w -> w.facts().name().equals(name))
                        .findFirst()
                        .orElseThrow();
        return Objects.requireNonNull(whole.states().get(state));
    }

    @Test
    void findsIterationsByTheTracker() throws IOException {
        index(stacked());
        Files.writeString(root.resolve("latest_checkpointed_iteration.txt"), "7");
        assertThat(new MegatronDistFormat().find(root))
                .containsExactly(
                        new Candidate(
                                "megatron-dist",
                                folder,
                                "iter_0000007",
                                "latest_checkpointed_iteration.txt"));
    }

    @Test
    void stackedLayersAreParametersOfTheirOwn() throws IOException {
        CheckpointIndex index = index(stacked());
        assertThat(names(index))
                .containsExactly(
                        "decoder.layers.0.self_attention.linear_qkv.layer_norm_weight",
                        "decoder.layers.1.self_attention.linear_qkv.layer_norm_weight",
                        HEAD);
        assertThat(index.iteration()).hasValue(7);
        assertThat(index.findings()).extracting(f -> f.message()).hasSize(1);
    }

    @Test
    void aModelWithoutTransformerEngineHasItsNormsApart() throws IOException {
        args.put("transformer_impl", PyText.of("local"));
        assertThat(names(index(stacked())))
                .contains(
                        "decoder.layers.0.input_layernorm.weight",
                        "decoder.layers.1.input_layernorm.weight");
    }

    @Test
    void expertsAreNamedOneByOneOrInOneGroup() throws IOException {
        String key = "decoder.layers.mlp.experts.experts.linear_fc1.weight";
        args.put("num_experts", PyInt.of(3));
        assertThat(names(index(checkpoint().whole(List.of(key), 2, 3, 2, 2))))
                .contains("decoder.layers.1.mlp.experts.local_experts.2.linear_fc1.weight");
        args.put("moe_grouped_gemm", new PyBool(true));
        assertThat(names(index(checkpoint().whole(List.of(key), 2, 3, 2, 2))))
                .contains("decoder.layers.1.mlp.experts.linear_fc1.weight2");
    }

    private SmallCheckpoint together() throws IOException {
        args.put("num_experts", PyInt.of(3));
        args.put("moe_grouped_gemm", new PyBool(true));
        args.put("moe_use_legacy_grouped_gemm", new PyBool(true));
        return checkpoint().whole(List.of(FIRST), 2, 3, 4, 2);
    }

    @Test
    void expertsInOneMatrixAreAParameterOfALayer() throws IOException {
        String none = "decoder.layers.mlp.experts.experts.linear_fc1._extra_state/shard_1.2_2.3";
        CheckpointIndex index = index(together().object(List.of(none), PyList.of(PyNone.NONE)));
        String name = "decoder.layers.1.mlp.experts.weight1";
        assertThat(names(index)).contains(name);
        Placed weight = state(index, name, "weight").getFirst();
        // Rows of two in the file, which are columns of the parameter.
        assertThat(weight.tensor().shape()).isEqualTo(Shape.of(3, 2, 4));
        assertThat(weight.tensor().strides()).containsExactly(8, 1, 2);
        assertThat(weight.piece()).isEqualTo(Piece.whole(Shape.of(3, 2, 4)));
        assertThat(index.carried()).extracting(CarriedFile::role).doesNotContain(Roles.LAYERS);
    }

    @Test
    void aGroupedLayerWithoutTransformerEngineIsOneMatrixWhereTheOptionIsKnown()
            throws IOException {
        SmallCheckpoint checkpoint = together();
        args.put("transformer_impl", PyText.of("local"));
        args.put("moe_use_legacy_grouped_gemm", new PyBool(false));
        assertThat(names(index(checkpoint))).contains("decoder.layers.1.mlp.experts.weight1");
    }

    /// They are of the parameter as it is, not turned as its key.
    @Test
    void flatStretchesOfExpertsInOneMatrixAreNotTurned() throws IOException {
        args.put("swiglu", new PyBool(true));
        String key = "optimizer.state.exp_avg." + FIRST;
        List<Chunk> chunks = new ArrayList<>();
        for (long i = 0; i < 2 * 3 * 2; i++) {
            chunks.add(chunk(List.of(i / 6, i / 2 % 3, 0L, i % 2, 0L), 1, 1, 1, 1, 4));
        }
        CheckpointIndex index =
                index(
                        together()
                                .tensor(
                                        List.of(key),
                                        Shape.of(2, 3, 1, 2, 4),
                                        chunks.toArray(Chunk[]::new))
                                .extra(shape(key, 2, 3, 2, 4)));
        List<Placed> held = state(index, "decoder.layers.1.mlp.experts.weight1", "exp_avg");
        assertThat(held).hasSize(6);
        // The values of the second expert: the right half of its two rows.
        assertThat(held.get(3).piece().firstIndex()).isEqualTo(8 + 2);
        assertThat(held.get(3).piece().localStride()).containsExactly(4, 2, 1);
    }

    @Test
    void flatStretchesThatLieSideBySideAreOfNoExpertOnItsOwn() throws IOException {
        args.put("swiglu", new PyBool(true));
        args.put("num_experts", PyInt.of(1));
        args.put("moe_grouped_gemm", new PyBool(true));
        String key = "optimizer.state.exp_avg." + FIRST;
        SmallCheckpoint checkpoint =
                checkpoint()
                        .whole(List.of(FIRST), 2, 1, 4, 4)
                        .whole(List.of(key), 2, 1, 1, 2, 8)
                        .extra(shape(key, 2, 1, 4, 4));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("[2, 1, 4, 4], cut along its columns")
                .hasMessageContaining("args.moe_use_legacy_grouped_gemm");
    }

    /// An MLP without a gate, whose matrices are square: the shape does not tell.
    private SmallCheckpoint square(boolean grouped, long... cuts) throws IOException {
        args.put("num_experts", PyInt.of(1));
        args.put("moe_grouped_gemm", new PyBool(grouped));
        args.put("moe_use_legacy_grouped_gemm", new PyBool(false));
        String key = "optimizer.state.exp_avg." + FIRST;
        return checkpoint()
                .whole(List.of(FIRST), 2, 1, 4, 4)
                .tensor(List.of(key), Shape.of(cuts), parts(cuts))
                .extra(shape(key, 2, 1, 4, 4));
    }

    private static Chunk[] parts(long... cuts) {
        List<Chunk> chunks = new ArrayList<>();
        for (long i = 0; i < 2 * cuts[2] * cuts[3]; i++) {
            List<Long> at =
                    List.of(i / (cuts[2] * cuts[3]), 0L, i / cuts[3] % cuts[2], i % cuts[3], 0L);
            chunks.add(chunk(at, 1, 1, 1, 1, cuts[4]));
        }
        return chunks.toArray(Chunk[]::new);
    }

    @Test
    void squareStretchesOfAGroupedLayerAreProvenByTheirCuts() throws IOException {
        SmallCheckpoint columns = square(true, 2, 1, 1, 2, 8);
        assertThatThrownBy(() -> index(columns))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("[2, 1, 4, 4], cut along its columns");
        String grouped = "decoder.layers.1.mlp.experts.linear_fc1.weight0";
        assertThat(state(index(square(true, 2, 1, 2, 1, 8)), grouped, "exp_avg")).hasSize(2);
    }

    @Test
    void squareStretchesOfAGroupedLayerThatIsNotCutAreRefused() throws IOException {
        SmallCheckpoint whole = square(true, 2, 1, 1, 1, 16);
        assertThatThrownBy(() -> index(whole))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("[2, 1, 4, 4], square and not cut");
        String single = "decoder.layers.1.mlp.experts.local_experts.0.linear_fc1.weight";
        assertThat(state(index(square(false, 2, 1, 1, 1, 16)), single, "exp_avg")).hasSize(1);
    }

    @Test
    void gradientBuffersOfExpertsInOneMatrixAreRefused() throws IOException {
        SmallCheckpoint checkpoint = together().whole(List.of(BUCKET + "param"), 68);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("all experts of a layer in one matrix")
                .hasMessageContaining("--dist-ckpt-optim-fully-reshardable");
    }

    @Test
    void expertsInOneMatrixHaveAMatrixEach() throws IOException {
        together();
        SmallCheckpoint checkpoint = checkpoint().whole(List.of(FIRST), 2, 3, 4);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a matrix of each expert of each layer");
    }

    @Test
    void theCommonStateMayBeAFile() throws IOException {
        stacked().write();
        TorchWriter.write(folder.resolve("common.pt"), commonState(), new LinkedHashMap<>());
        assertThat(names(index())).hasSize(3);
    }

    @Test
    void flatStretchesOfAPartLieWhereTheirNumbersSay() throws IOException {
        String key = "optimizer.state.exp_avg." + HEAD;
        CheckpointIndex index =
                index(
                        checkpoint()
                                .tensor(
                                        List.of(key),
                                        Shape.of(1, 2, 8),
                                        chunk(List.of(0L, 0L, 0L), 1, 1, 8),
                                        chunk(List.of(0L, 1L, 0L), 1, 1, 3),
                                        chunk(List.of(0L, 1L, 3L), 1, 1, 5))
                                .extra(shape(key, 4, 4)));
        assertThat(state(index, HEAD, "exp_avg"))
                .extracting(p -> p.piece().firstIndex())
                // The right half: rows of two, 2 and 3, 6, .. ; a stretch of three ends in a row.
                .containsExactly(0L, 2L, 6L, 7L, 10L);
    }

    private static PyDict shape(String key, long... dims) {
        PyTuple own = PyTuple.of(Arrays.stream(dims).mapToObj(PyInt::of).toList());
        return PyDict.of(Map.of(key, PyDict.of(Map.of("nd_reformulated_orig_global_shape", own))));
    }

    @Test
    void gradientBuffersAreInTheReverseOrderOfTheModelWithGaps() throws IOException {
        args.put("num_layers", PyInt.of(1));
        CheckpointIndex index =
                index(
                        new SmallCheckpoint(folder)
                                .whole(List.of("embedding.word_embeddings.weight"), 2, 2)
                                .whole(List.of(HEAD), 4, 4)
                                .tensor(
                                        List.of(BUCKET + "param"),
                                        Shape.of(68),
                                        chunk(List.of(0L), 10),
                                        chunk(List.of(10L), 6),
                                        chunk(List.of(16L), 48),
                                        chunk(List.of(64L), 4)));
        assertThat(state(index, HEAD, "fp32"))
                .extracting(p -> p.piece().count())
                .containsExactly(8L, 2L, 2L, 4L);
        assertThat(state(index, "embedding.word_embeddings.weight", "fp32")).hasSize(1);
    }

    @Test
    void bucketsThatAreCutElsewhereAreRefused() throws IOException {
        SmallCheckpoint checkpoint =
                new SmallCheckpoint(folder)
                        .whole(List.of("embedding.word_embeddings.weight"), 2, 2)
                        .whole(List.of(HEAD), 4, 4)
                        .tensor(
                                List.of(BUCKET + "param"),
                                Shape.of(68),
                                chunk(List.of(0L), 17),
                                chunk(List.of(17L), 51));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("a chunk 17 to 68 of a buffer, the parameter 64 to 68");
    }

    @Test
    void bucketsOfAnotherLengthAreRefused() throws IOException {
        SmallCheckpoint checkpoint = checkpoint().whole(List.of(BUCKET + "param"), 17);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("17 elements in 1 buckets");
    }

    @Test
    void statesInOneObjectAreRefused() throws IOException {
        SmallCheckpoint checkpoint =
                checkpoint()
                        .object(
                                List.of(
                                        "optimizer.distributed.dp_group_idx_0.param_state/shard_0_1"),
                                PyList.of(PyDict.empty()));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("states of an optimizer in one object");
    }

    @Test
    void anUnknownFormOfAnOptimizerIsRefused() throws IOException {
        SmallCheckpoint checkpoint = checkpoint().whole(List.of("chained_0.optimizer.flat"), 4);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("a tensor of an optimizer in a form that is not known");
    }

    @Test
    void aStateOfAnotherShapeIsRefused() throws IOException {
        SmallCheckpoint checkpoint =
                checkpoint().whole(List.of("optimizer.state.exp_avg." + HEAD), 2, 8);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("shape [2, 8] of a parameter [4, 4]");
    }

    @Test
    void aStateOfNoParameterIsAMixture() throws IOException {
        SmallCheckpoint checkpoint =
                checkpoint().whole(List.of("optimizer.state.exp_avg.other"), 4);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a state of 'other', which the model does not have");
    }

    @Test
    void aStateUnderTwoKeysIsAMixture() throws IOException {
        String state = "optimizer.state.exp_avg." + HEAD;
        SmallCheckpoint chained =
                checkpoint()
                        .whole(List.of("chained_0." + state), 4, 4)
                        .whole(List.of("chained_1." + state), 4, 4);
        assertThatThrownBy(() -> index(chained))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(
                        "'chained_1.%s': `exp_avg` of %s, which another key holds too"
                                .formatted(state, HEAD));
        SmallCheckpoint masters =
                checkpoint()
                        .whole(List.of("optimizer.state.fp32_param." + HEAD), 4, 4)
                        .whole(List.of("optimizer.state.param." + HEAD), 4, 4);
        assertThatThrownBy(() -> index(masters))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("`fp32` of %s, which another key holds too".formatted(HEAD));
    }

    @Test
    void aBucketUnderTwoKeysIsAMixture() throws IOException {
        SmallCheckpoint checkpoint =
                checkpoint()
                        .whole(List.of(BUCKET + "param"), 16)
                        .whole(List.of(BUCKET.replace("idx_0.", "idx_00.") + "param"), 16);
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("each bucket of a buffer once");
    }

    @Test
    void ranksWithDifferentGroupsAreRefused() throws IOException {
        SmallCheckpoint checkpoint = stacked();
        checkpoint.object(List.of(OPTIMIZER.formatted(0)), PyList.of(groups(0.1)));
        checkpoint.object(List.of(OPTIMIZER.formatted(1)), PyList.of(groups(1.1)));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("other groups than those of another rank");
    }

    @Test
    void ranksMayHaveTheSameGroupsInAnotherOrder() throws IOException {
        SmallCheckpoint checkpoint = stacked();
        checkpoint.object(List.of(OPTIMIZER.formatted(0)), PyList.of(groups(0.1, 1.1)));
        checkpoint.object(List.of(OPTIMIZER.formatted(1)), PyList.of(groups(1.1, 0.1)));
        assertThat(names(index(checkpoint))).hasSize(3);
    }

    @Test
    void aTensorAmongTheSettingsOfARankIsNotLeftBehind() throws IOException {
        PickleValue step =
                TensorPickles.write(TorchTensor.contiguous(DType.INT64, Shape.of(), "0"));
        PyDict group = PyDict.of(Map.of("step", step));
        SmallCheckpoint checkpoint =
                stacked()
                        .object(
                                List.of(OPTIMIZER.formatted(0)),
                                PyList.of(PyDict.of(Map.of("param_groups", PyList.of(group)))),
                                Map.of("0", new byte[8]));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("dp_group_idx_0.optimizer/shard_0_1'")
                .hasMessageContaining("tensors among the settings of an optimizer");
    }

    private static PyDict groups(double... rates) {
        List<PyDict> groups =
                Arrays.stream(rates)
                        .mapToObj(lr -> PyDict.of(Map.of("lr", new PyFloat(lr))))
                        .toList();
        return PyDict.of(Map.of("param_groups", PyList.of(groups)));
    }

    @Test
    void stretchesOfUnequalPartsAreRefused() throws IOException {
        String key = "optimizer.state.exp_avg." + HEAD;
        SmallCheckpoint checkpoint =
                checkpoint().whole(List.of(key), 3, 1, 5).extra(shape(key, 4, 4));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("equal parts of the tensor that `mcore_data` names");
    }

    @Test
    void layersThatArgsDoNotHaveAreAMixture() throws IOException {
        args.put("num_layers", PyInt.of(3));
        SmallCheckpoint checkpoint = stacked();
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("2 layers; expected 3, as `args.num_layers` says");
    }

    @Test
    void layersWithoutElementsAreNotBelievedBeforeTheyAreCounted() throws IOException {
        SmallCheckpoint said = checkpoint().whole(List.of(NORM), 1L << 40, 0);
        assertThatThrownBy(() -> index(said))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("1099511627776 layers; expected 2");
        SmallCheckpoint unsaid = checkpoint().whole(List.of("mtp.layers.norm.weight"), 1L << 40, 0);
        assertThatThrownBy(() -> index(unsaid))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("shape [1099511627776, 0], in 1 chunk");
        SmallCheckpoint experts =
                checkpoint()
                        .whole(
                                List.of("mtp.layers.mlp.experts.experts.bias"),
                                1L << 30,
                                1L << 30,
                                0);
        assertThatThrownBy(() -> index(experts)).isInstanceOf(IncompleteCheckpointException.class);
    }

    @Test
    void layersWithoutElementsHaveAChunkEach() throws IOException {
        CheckpointIndex index =
                index(
                        checkpoint()
                                .tensor(
                                        List.of(NORM),
                                        Shape.of(2, 0),
                                        chunk(List.of(0L, 0L), 1, 0),
                                        chunk(List.of(1L, 0L), 1, 0)));
        assertThat(names(index)).hasSize(3);
    }

    @Test
    void groupsAtDifferentStepsAreRefused() throws IOException {
        common.put(
                "optimizer",
                PyDict.of(
                        Map.of(
                                "param_groups",
                                PyList.of(
                                        PyDict.of(Map.of("step", PyInt.of(1))),
                                        PyDict.of(Map.of("step", PyInt.of(2)))))));
        SmallCheckpoint checkpoint = stacked();
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("groups of the optimizer at different steps");
    }

    @Test
    void generatorsOfOtherRanksAreAMixture() throws IOException {
        SmallCheckpoint checkpoint =
                stacked().object(List.of("rng_state/shard_0.1_1.2"), PyList.of(PyList.of()));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("generators of ranks 1.2");
    }

    @Test
    void anObjectIsInAListOfItsOwn() throws IOException {
        SmallCheckpoint checkpoint = stacked().object(List.of("other/shard_0_1"), PyInt.of(1));
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("a list of one object");
    }

    @Test
    void theCommonStateIsInOnePlace() throws IOException {
        stacked().write();
        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("neither common.pt nor 'common_state/shard_0_1'");
        TorchWriter.write(folder.resolve("common.pt"), commonState(), new LinkedHashMap<>());
        SmallCheckpoint checkpoint = stacked();
        assertThatThrownBy(() -> index(checkpoint))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("both common.pt and 'common_state/shard_0_1'");
    }

    @Test
    void aStateWithoutArgsIsNoneOfMegatrons() throws IOException {
        stacked().object(List.of(DistFiles.COMMON_KEY), PyList.of(PyDict.of(common))).write();
        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("no `args` in the common state");
    }

    @Test
    void otherBackendsAreRefused() throws IOException {
        stacked().write();
        config("{\"sharded_backend\": \"zarr\", \"sharded_backend_version\": 1}");
        assertThatThrownBy(this::index)
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("sharded by \"zarr\", version 1");
        config("{\"sharded_backend\": \"torch_dist\", \"sharded_backend_version\": 2}");
        assertThatThrownBy(this::index).isInstanceOf(RefusedException.class);
        config("{}");
        assertThatThrownBy(this::index)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("no `sharded_backend`");
        config("{");
        assertThatThrownBy(this::index)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("no JSON");
    }

    @Test
    void aFileThatNoKeyIsInIsTold() throws IOException {
        Files.write(folder.resolve("__9_0.distcp"), new byte[3]);
        assertThat(index(stacked()).findings())
                .extracting(f -> f.message())
                .contains("no key of .metadata is in it: it is left out");
    }

    @Test
    void chunksHoldEveryElementOfEveryLayer() throws IOException {
        CheckpointIndex index =
                index(
                        checkpoint()
                                .tensor(
                                        List.of(NORM),
                                        Shape.of(2, 3),
                                        Chunk.whole(Shape.of(2, 3))));
        List<Placed> second =
                state(
                        index,
                        "decoder.layers.1.self_attention.linear_qkv.layer_norm_weight",
                        "weight");
        assertThat(second).hasSize(1);
        assertThat(second.getFirst().tensor().shape()).isEqualTo(Shape.of(3));
    }
}
