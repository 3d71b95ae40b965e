package io.ucp.formats.deepspeed.universal;

import static io.ucp.formats.deepspeed.universal.UniversalBuilder.shapes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

class DeepSpeedUniversalFormatTest {
    private final CheckpointFormat format = new DeepSpeedUniversalFormat();

    @TempDir Path root;

    private CheckpointIndex index() throws IOException {
        return format.index(format.find(root).getFirst());
    }

    private static ParameterFacts facts(CheckpointIndex index, String name) {
        return index.wholes().stream()
                .map(WholeParameter::facts)
                .filter(f -> f.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void isFoundAsAService() {
        assertThat(CheckpointFormat.all()).anyMatch(f -> f.name().equals("deepspeed-universal"));
    }

    @Test
    void findsWhatThePointerNamesThenOtherUniversalFolders() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);
        Files.createDirectories(root.resolve("global_step2_universal/zero"));
        Files.createDirectories(root.resolve("global_step3"));

        assertThat(format.find(root))
                .containsExactly(
                        new Candidate(
                                "deepspeed-universal",
                                builder.folder,
                                "global_step7",
                                "latest_universal"),
                        new Candidate(
                                "deepspeed-universal",
                                root.resolve("global_step2_universal"),
                                "global_step2",
                                ""));
    }

    @Test
    void findsAFolderNamedDirectly() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);

        assertThat(format.find(builder.folder))
                .containsExactly(
                        new Candidate("deepspeed-universal", builder.folder, "global_step7", ""));
    }

    @Test
    void aPointerThatLeadsOutOfTheRootLeadsNowhere() throws IOException {
        Files.writeString(root.resolve("latest_universal"), "../elsewhere");

        assertThat(format.find(root)).isEmpty();
        assertThat(format.find(root.resolve("latest_universal"))).isEmpty();
    }

    @Test
    void aPointerToAFolderThatIsNotThereIsAnError() throws IOException {
        Files.writeString(root.resolve("latest_universal"), "global_step9_universal");

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("global_step9_universal: there is no such folder");
    }

    @Test
    void readsParametersWithTheirWeightsAndGroups() throws IOException {
        Forms.ONE_MODEL_RANK.write(root);

        CheckpointIndex index = index();

        assertThat(index.tag()).isEqualTo("global_step7");
        assertThat(index.iteration()).hasValue(7);
        assertThat(index.stage()).isEqualTo(2);
        assertThat(index.origin().mesh())
                .containsExactly(
                        new AxisDegree("pp", 1), new AxisDegree("dp", 2), new AxisDegree("tp", 1));
        assertThat(index.findings()).isEmpty();
        assertThat(index.wholes())
                .extracting(w -> w.facts().name())
                .containsExactly("emb.weight", Forms.ODD, "frozen.weight", "positions");
        ParameterFacts odd = facts(index, Forms.ODD);
        assertThat(odd.optimizerGroup()).isEqualTo(1);
        assertThat(odd.split().kind()).isEqualTo(SplitKind.UNKNOWN);
        assertThat(odd.states())
                .containsExactlyInAnyOrderEntriesOf(
                        Map.of(
                                "fp32", DType.FLOAT32,
                                "exp_avg", DType.FLOAT32,
                                "exp_avg_sq", DType.FLOAT32,
                                "weight", DType.BFLOAT16));
        assertThat(odd.scalars().get("step")).hasToString("float32 0x0000e040");
        assertThat(facts(index, "emb.weight").aliases()).containsExactly("head.weight");
        assertThat(facts(index, "frozen.weight").trainable()).isFalse();
        assertThat(facts(index, "frozen.weight").buffer()).isFalse();
        assertThat(facts(index, "positions").buffer()).isTrue();
        assertThat(index.hints().frozen()).containsExactly("frozen.weight");
    }

    @Test
    void namesTheWeightsInsideModelStatesInPlaceOfTheirBytes() throws IOException {
        Forms.ONE_MODEL_RANK.write(root);

        CarriedFile states =
                index().carried().stream()
                        .filter(c -> c.role().equals("model_states"))
                        .findFirst()
                        .orElseThrow();

        assertThat(states.storages().values())
                .hasSize(4)
                .allSatisfy(
                        storage ->
                                assertThat(storage.content())
                                        .singleElement()
                                        .isInstanceOf(CarriedFile.Content.Elements.class));
    }

    @Test
    void readsHowParametersWereCut() throws IOException {
        Forms.TENSOR_AND_PIPELINE.write(root);

        CheckpointIndex index = index();

        assertThat(index.findings()).isEmpty();
        assertThat(index.wholes())
                .extracting(w -> w.facts().name())
                .containsExactly(
                        "emb.weight", "norm.weight", "row.weight", "up.weight", "qkv.weight");
        assertThat(facts(index, "norm.weight").split().kind()).isEqualTo(SplitKind.REPLICATED);
        assertThat(facts(index, "emb.weight").split().vocabulary()).isTrue();
        assertThat(facts(index, "emb.weight").shape()).isEqualTo(Shape.of(5, 2));
        assertThat(facts(index, "row.weight").split().kind()).isEqualTo(SplitKind.SHARDED);
        assertThat(facts(index, "row.weight").split().dim()).isEqualTo(1);
        assertThat(facts(index, "up.weight").split().parts()).containsExactly(4L, 4L);
        assertThat(facts(index, "qkv.weight").split().parts()).containsExactly(4L, 2L, 2L);
        assertThat(facts(index, "qkv.weight").split().subShape())
                .containsExactly(List.of(4L, 2L, 2L), List.of(2L));
        assertThat(index.hints().version()).contains("0.4");
        assertThat(index.hints().vocabularyRows()).hasValue(5);
        assertThat(index.hints().patterns())
                .extracting(p -> p.kind() + " " + p.regex())
                .containsExactly(
                        Kind.SUB_PARAMS + " attention.*",
                        Kind.SUB_PARAMS + " .*qkv.weight",
                        Kind.ROW_PARALLEL + " row.*");
    }

    @Test
    void givesFlatTensorsTheirShapeGroupAndStep() throws IOException {
        Forms.STAGE_3.write(root);

        CheckpointIndex index = index();

        assertThat(index.stage()).isEqualTo(3);
        assertThat(facts(index, "a.weight").shape()).isEqualTo(Shape.of(5, 3));
        assertThat(index.wholes().getFirst().tensors().values())
                .allSatisfy(tensor -> assertThat(tensor.shape()).isEqualTo(Shape.of(5, 3)));
        assertThat(facts(index, "b.weight").optimizerGroup()).isZero();
        assertThat(facts(index, "b.weight").scalars()).containsKey("step");
        assertThat(facts(index, "b.weight").states()).doesNotContainKey("weight");
    }

    @Test
    void aStateThatOthersOfTheGroupHaveIsMissed() throws IOException {
        UniversalBuilder builder = Forms.TENSOR_AND_PIPELINE.write(root);
        Files.delete(builder.path("row.weight", "exp_avg"));

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("row.weight: exp_avg.pt is missing");
    }

    @Test
    void aParameterWithoutFolderIsMissed() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);
        for (String state : UniversalBuilder.ADAM) {
            Files.delete(builder.path("a.weight", state));
        }
        Files.delete(builder.folder.resolve("zero/a.weight"));

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a.weight: the folder is missing");
    }

    @Test
    void anEmptyFolderIsAnError() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);
        for (String state : UniversalBuilder.ADAM) {
            Files.delete(builder.path("a.weight", state));
        }

        assertThatThrownBy(this::index).hasMessageContaining("the folder holds no state");
    }

    @Test
    void statesOfDifferentShapesAreAnError() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        builder.state("emb.weight", "exp_avg", Shape.of(2, 5), "cat_dim", PyInt.of(0));

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("exp_avg.pt holds shape [2, 5]")
                .hasMessageContaining("holds shape [5, 2]");
    }

    @Test
    void statesThatAreCutDifferentlyAreAnError() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        builder.state("emb.weight", "fp32", Shape.of(5, 2));

        assertThatThrownBy(this::index).hasMessageContaining("replicated along dim 0");
    }

    @Test
    void aShapeThatTheRanksDoNotMakeIsAnError() throws IOException {
        UniversalBuilder builder = Forms.TENSOR_AND_PIPELINE.write(root);
        builder.parameter("row.weight", Shape.of(2, 8), "cat_dim", PyInt.of(1));

        assertThatThrownBy(this::index)
                .hasMessageContaining("the states have shape [2, 8]; expected [2, 6]");
    }

    @Test
    void moreVocabularyRowsThanTheRanksHoldAreAnError() throws IOException {
        UniversalBuilder builder = Forms.TENSOR_AND_PIPELINE.write(root);
        builder.parameter(
                "emb.weight",
                Shape.of(7, 2),
                "cat_dim",
                PyInt.of(0),
                "vocab_tensor",
                new PyBool(true));

        assertThatThrownBy(this::index).hasMessageContaining("expected [6, 2]");
    }

    /// One parameter on two tensor-parallel ranks, cut along dim 1 of its sub-parameters.
    private void subParams(Shape held, Shape shard, PickleValue shape, int dim) throws IOException {
        PyObject view =
                PyObject.instance(
                                new PyGlobal(
                                        "deepspeed.checkpoint.universal_checkpoint",
                                        "SubparamShape"))
                        .withState(
                                PyDict.of(
                                        UniversalBuilder.map(
                                                "patterns", PyList.of(PyText.of("w")),
                                                "shape", shape,
                                                "partition_dim", PyInt.of(dim))));
        UniversalBuilder builder =
                new UniversalBuilder(root).parameter("w", held, "sub_param_shape", view);
        for (int mp = 0; mp < 2; mp++) {
            builder.modelStates(
                    "mp_rank_0%d_model_states.pt".formatted(mp),
                    1,
                    1,
                    1,
                    2,
                    "param_shapes",
                    PyList.of(shapes("w", shard)));
        }
        builder.optimizerState(1);
    }

    private static PyTuple ints(long... numbers) {
        return PyTuple.of(Arrays.stream(numbers).mapToObj(PyInt::of).toList());
    }

    @Test
    void subParamsAreJoinedAlongTheDimensionThatTheyAreCutAlong() throws IOException {
        subParams(Shape.of(4, 12), Shape.of(4, 6), PyTuple.of(PyInt.of(4), ints(4, 4, 4)), 1);

        assertThat(facts(index(), "w").shape()).isEqualTo(Shape.of(4, 12));
    }

    @Test
    void subParamsOfAViewAreJoinedWhereTheViewIsCut() throws IOException {
        subParams(Shape.of(2, 2, 12), Shape.of(4, 6), ints(2, 2, 12), 2);

        assertThat(facts(index(), "w").shape()).isEqualTo(Shape.of(4, 12));
    }

    @Test
    void subParamsThatMakeSeveralShapesAreAnError() throws IOException {
        subParams(Shape.of(12), Shape.of(1, 6), ints(12), 0);

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("the states have shape [12], cut along dim 0");
    }

    @Test
    void subParamsThatMakeNoShapeAreAnError() throws IOException {
        subParams(Shape.of(4, 14), Shape.of(4, 6), ints(4, 14), 1);

        assertThatThrownBy(this::index).hasMessageContaining("the states have shape [4, 14]");
    }

    @Test
    void degreesThatAreNotThoseOfTheRanksAreAnError() throws IOException {
        new UniversalBuilder(root)
                .parameter("w", Shape.of(4), "cat_dim", PyInt.of(0))
                .modelStates("mp_rank_00_model_states.pt", 1, 1, 1, 4, "mp_world_size", PyInt.of(1))
                .optimizerState(1);

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("are pp 1, tp 4, and mp_world_size is 1");
    }

    @Test
    void aParameterThatOnlyAnotherRankListsIsMissed() throws IOException {
        UniversalBuilder builder =
                new UniversalBuilder(root).parameter("w", Shape.of(4), "cat_dim", PyInt.of(0));
        builder.modelStates(
                "mp_rank_00_model_states.pt",
                1,
                1,
                1,
                2,
                "param_shapes",
                PyList.of(shapes("w", Shape.of(2))));
        builder.modelStates(
                        "mp_rank_01_model_states.pt",
                        1,
                        1,
                        1,
                        2,
                        "param_shapes",
                        PyList.of(shapes("w", Shape.of(2), "lost", Shape.of(2))))
                .optimizerState(1);

        assertThatThrownBy(this::index).hasMessageContaining("lost: the folder is missing");
    }

    /// A model of one rank whose states have three rows.
    private void weight(Shape shape, Object... keys) throws IOException {
        LinkedHashMap<String, byte[]> storages = new LinkedHashMap<>();
        storages.put("0", new byte[(int) shape.count() * 4]);
        new UniversalBuilder(root)
                .parameter("w", Shape.of(3, 4), keys)
                .modelStates(
                        "mp_rank_00_model_states.pt",
                        storages,
                        1,
                        1,
                        1,
                        1,
                        "module",
                        PyObject.orderedDict(
                                PyDict.of(
                                        UniversalBuilder.map(
                                                "w",
                                                UniversalBuilder.tensor(
                                                        DType.FLOAT32, shape, "0", true)))))
                .optimizerState(1);
    }

    @Test
    void aWeightOfAnotherShapeThanItsStatesIsAnError() throws IOException {
        weight(Shape.of(5, 4), "cat_dim", PyInt.of(0));

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(
                        "the states have shape [3, 4]; expected [5, 4], the shape of the model's"
                                + " own weight");
    }

    @Test
    void aWeightWithPaddingRowsOfAVocabularyIsReadWithoutThem() throws IOException {
        weight(Shape.of(5, 4), "cat_dim", PyInt.of(0), "vocab_tensor", new PyBool(true));

        WholeParameter whole = index().wholes().getFirst();

        assertThat(whole.tensor("weight").shape()).isEqualTo(Shape.of(3, 4));
        assertThat(whole.tensor("weight").isDense()).isTrue();
    }

    @Test
    void aFlatTensorOfTheWrongLengthIsAnError() throws IOException {
        Forms.STAGE_3.write(root).flat("a.weight", 14);

        assertThatThrownBy(this::index)
                .hasMessageContaining("the states have shape [14]; expected [5, 3]");
    }

    @Test
    void aBareTensorThatIsNotFlatIsAnError() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);
        UniversalBuilder.write(
                builder.path("b.weight", "fp32"),
                UniversalBuilder.tensor(DType.FLOAT32, Shape.of(2, 2), "0", false),
                new byte[16]);

        assertThatThrownBy(this::index)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("a bare tensor of shape [2, 2]");
    }

    @Test
    void keysThatDoNotFitTheTensorAreAnError() throws IOException {
        Forms.ONE_MODEL_RANK
                .write(root)
                .state(
                        "emb.weight",
                        "fp32",
                        Shape.of(5, 2),
                        "cat_dim",
                        PyInt.of(0),
                        "param_n_sub_params",
                        PyInt.of(2));

        assertThatThrownBy(this::index)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(
                        "fp32.pt: keys that do not describe a tensor of shape [5, 2]");
    }

    @ParameterizedTest
    @ValueSource(longs = {4, 0, -1})
    void expertsThatAreNotAsManyAsTheKeySaysAreAnError(long experts) throws IOException {
        Forms.ONE_MODEL_RANK
                .write(root)
                .state(
                        "emb.weight",
                        "fp32",
                        Shape.of(5, 2),
                        "cat_dim",
                        PyInt.of(0),
                        "is_expert_param",
                        new PyBool(true),
                        experts < 0 ? "cat_dim" : "ep_num_experts",
                        PyInt.of(Math.max(0, experts)));

        assertThatThrownBy(this::index)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("keys that do not describe a tensor of shape [5, 2]")
                .hasMessageContaining("ep_num_experts");
    }

    /// The experts of a layer that no rank has a part of.
    @Test
    void expertsThatParamShapesDoNotFitAreAnError() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        for (String state : UniversalBuilder.ADAM) {
            builder.state(
                    "emb.weight",
                    state,
                    Shape.of(12, 2),
                    "cat_dim",
                    PyInt.of(0),
                    "is_expert_param",
                    new PyBool(true),
                    "ep_num_experts",
                    PyInt.of(12));
        }

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("the states have shape [12, 2], of 12 experts")
                .hasMessageContaining("a multiple of [5, 2]");
    }

    @Test
    void anExpertParallelDegreeThatDoesNotDivideTheRanksIsAnError() throws IOException {
        Forms.ONE_MODEL_RANK
                .write(root)
                .modelStates(
                        "mp_rank_00_model_states.pt",
                        2,
                        2,
                        1,
                        1,
                        "ds_autoep_layers",
                        PyList.of(
                                PyDict.of(
                                        UniversalBuilder.map(
                                                "expert_key_prefix",
                                                PyText.of("l.experts"),
                                                "num_experts",
                                                PyInt.of(6),
                                                "ep_size",
                                                PyInt.of(3)))));

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("experts over 3 ranks of 2 data-parallel ones");
    }

    @Test
    void aStateFileWithoutTensorIsAnError() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        UniversalBuilder.write(builder.path("emb.weight", "fp32"), PyText.of("nothing"));

        assertThatThrownBy(this::index).hasMessageContaining("there is no 'param'");
    }

    @Test
    void aStepThatIsNoNumberIsAnError() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        UniversalBuilder.write(builder.path("emb.weight", "step"), PyText.of("three"));

        assertThatThrownBy(this::index).hasMessageContaining("'step' is no number");
    }

    @Test
    void aCutShortFileIsAnErrorThatNamesIt() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        Path file = builder.path("emb.weight", "fp32");
        byte[] bytes = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));

        assertThatThrownBy(this::index)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(file.toString());
    }

    @Test
    void withoutOptimizerStateDeepSpeedDoesNotLoadIt() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        Files.delete(builder.folder.resolve("zero/optimizer_state.pt"));

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("optimizer_state.pt: the file is missing");
    }

    @Test
    void withoutModelStatesNothingSaysWhatItIs() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        Files.delete(builder.folder.resolve("mp_rank_00_model_states.pt"));

        assertThatThrownBy(this::index).hasMessageContaining("there are no model states");
    }

    @Test
    void aRankWithoutModelStatesIsMissed() throws IOException {
        UniversalBuilder builder = Forms.TENSOR_AND_PIPELINE.write(root);
        Files.delete(builder.folder.resolve("mp_rank_02_model_states.pt"));

        assertThatThrownBy(this::index)
                .hasMessageContaining("mp_rank_02_model_states.pt: the file is missing");
    }

    @Test
    void modelStatesOfMoreRanksThanTheJobHadAreAnError() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);
        Files.copy(
                builder.folder.resolve("zero_pp_rank_1_mp_rank_00_model_states.pt"),
                builder.folder.resolve("zero_pp_rank_2_mp_rank_00_model_states.pt"));

        assertThatThrownBy(this::index).hasMessageContaining("there are 3 model states files");
    }

    @Test
    void tellsOfFilesItDoesNotKnow() throws IOException {
        UniversalBuilder builder = Forms.ONE_MODEL_RANK.write(root);
        Files.writeString(builder.folder.resolve("notes.txt"), "kept");
        Files.writeString(builder.folder.resolve("zero/emb.weight/readme"), "?");
        builder.parameter("stray.weight", Shape.of(2), "cat_dim", PyInt.of(0));
        builder.state("stray.weight", "fp32", Shape.of(2), "cat_dim", PyInt.of(0));

        CheckpointIndex index = index();

        assertThat(index.findings())
                .extracting(Finding::place)
                .containsExactlyInAnyOrder("notes.txt", "emb.weight", "stray.weight");
        assertThat(facts(index, "stray.weight").optimizerGroup()).isEqualTo(-1);
        assertThat(index.carried())
                .filteredOn(c -> c.role().equals("side"))
                .singleElement()
                .matches(c -> c.path().equals("notes.txt"));
    }

    @Test
    void expertsThatUpstreamLeftOutAreToldOf() throws IOException {
        UniversalBuilder builder = Forms.STAGE_3.write(root);
        String expert = "mlp.deepspeed_moe.experts.deepspeed_experts.0.w";
        for (int dp = 0; dp < 2; dp++) {
            builder.modelStates(
                    "zero_pp_rank_%d_mp_rank_00_model_states.pt".formatted(dp),
                    3,
                    2,
                    1,
                    1,
                    "param_shapes",
                    PyList.of(
                            shapes("a.weight", Shape.of(5, 3)),
                            shapes("b.weight", Shape.of(4), expert, Shape.of(2))));
        }

        assertThat(index().findings())
                .singleElement()
                .satisfies(f -> assertThat(f.place()).isEqualTo(expert));
    }
}
