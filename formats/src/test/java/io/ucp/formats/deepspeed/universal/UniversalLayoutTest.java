package io.ucp.formats.deepspeed.universal;

import static io.ucp.formats.deepspeed.universal.UniversalBuilder.map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTreeWriter;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.CheckpointFile;
import io.ucp.formats.deepspeed.ModelStates;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

class UniversalLayoutTest {
    private static final Origin ELSEWHERE =
            new Origin("megatron", "iter_0000007", -1, List.of(), Optional.empty());
    private static final Scalar STEP =
            new Scalar(DType.FLOAT32, new byte[] {0, 0, (byte) 0xe0, 0x40});

    private final DeepSpeedUniversalFormat format = new DeepSpeedUniversalFormat();

    @TempDir Path source;
    @TempDir Path target;

    @ParameterizedTest
    @EnumSource(Forms.class)
    void whatIsReadIsWrittenAgainToTheByte(Forms form) throws IOException {
        form.write(source);

        rewrite(false);

        assertThat(files(target)).isEqualTo(files(source));
    }

    /// As after a stay in the universal format, which keeps objects and bytes but no files.
    @ParameterizedTest
    @EnumSource(Forms.class)
    void filesThatAreGoneAreMadeAgainFromTheirObjects(Forms form) throws IOException {
        form.write(source);

        rewrite(true);

        assertThat(files(target)).isEqualTo(files(source));
    }

    private void rewrite(boolean withoutFiles) throws IOException {
        CheckpointIndex index = format.index(format.find(source).getFirst());
        List<CarriedFile> carried =
                index.carried().stream()
                        .map(
                                c ->
                                        withoutFiles
                                                ? new CarriedFile(
                                                        c.path(),
                                                        c.role(),
                                                        c.at(),
                                                        Optional.empty(),
                                                        c.root(),
                                                        c.storages())
                                                : c)
                        .toList();
        TargetTree tree =
                format.layout(
                        new WriteRequest(
                                index.tag(),
                                index.iteration(),
                                index.origin(),
                                index.wholes().stream().map(WholeParameter::facts).toList(),
                                index.hints(),
                                carried,
                                Map.of()));
        assertThat(tree.losses()).isEmpty();
        Map<String, TensorEntry> tensors = new TreeMap<>();
        index.wholes()
                .forEach(
                        w ->
                                w.tensors()
                                        .forEach(
                                                (state, t) ->
                                                        tensors.put(w.facts().name() + state, t)));
        TargetTreeWriter.write(
                tree,
                target,
                (name, state) -> TensorBytes.of(Objects.requireNonNull(tensors.get(name + state))));
    }

    /// Path -> bytes, in a form whose differences can be read.
    private static Map<String, String> files(Path root) throws IOException {
        Map<String, String> all = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(root)) {
            for (Path path : paths.filter(Files::isRegularFile).toList()) {
                all.put(
                        root.relativize(path).toString(),
                        HexFormat.of().formatHex(Files.readAllBytes(path)));
            }
        }
        return all;
    }

    @Test
    void stages1And2LeaveTheShardsOutOfTheOptimizerState() throws IOException {
        CarriedFile rankZero =
                optimizer(
                        0,
                        PyDict.of(
                                map(
                                        "base_optimizer_state",
                                                PyDict.of(
                                                        map(
                                                                "state", PyDict.empty(),
                                                                "param_groups",
                                                                        UniversalBuilder.groups())),
                                        "single_partition_of_fp32_groups", PyList.of(),
                                        "clip_grad", new PyFloat(1),
                                        "group_paddings", PyList.of(PyInt.of(2), PyInt.of(0)),
                                        "partition_count", PyList.of(PyInt.of(1), PyInt.of(7)),
                                        "param_slice_mappings", PyList.of())));

        PyDict state = optimizerState(2, optimizer(1, PyDict.empty()), rankZero);

        assertThat(state.entries())
                .extracting(e -> e.key().toString())
                .containsExactly(
                        "'clip_grad'", "'group_paddings'", "'partition_count'", "'param_groups'");
        assertThat(state.find("group_paddings").orElseThrow().asSequence().orElseThrow())
                .containsExactly(PyInt.of(0), PyInt.of(0));
        assertThat(state.find("partition_count").orElseThrow().asSequence().orElseThrow())
                .containsExactly(PyInt.of(1), PyInt.of(1));
    }

    @Test
    void stage3KeepsTheWholeOptimizerStateOfRankZero() throws IOException {
        PyDict inner =
                PyDict.of(map("state", PyDict.empty(), "param_groups", UniversalBuilder.groups()));

        PyDict state =
                optimizerState(
                        3,
                        optimizer(
                                0,
                                PyDict.of(
                                        map(
                                                "fp32_flat_groups",
                                                PyList.of(),
                                                "optimizer_state_dict",
                                                inner))));

        assertThat(state.entries())
                .extracting(e -> e.key().toString())
                .containsExactly("'fp32_flat_groups'", "'optimizer_state_dict'", "'param_groups'");
    }

    @Test
    void anElasticOptimizerStateIsRefused() {
        CarriedFile elastic = optimizer(0, PyDict.of(map("base_optimizer_state", PyList.of())));

        assertThatThrownBy(() -> optimizerState(2, elastic))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("base_optimizer_state.param_groups");
    }

    private static CarriedFile optimizer(int dp, PyDict states) {
        return new CarriedFile(
                "zero_pp_rank_%d_mp_rank_00_optim_states.pt".formatted(dp),
                "optimizer",
                Coordinate.of("dp", dp),
                Optional.empty(),
                Optional.of(PyDict.of(map("optimizer_state_dict", states))),
                Map.of());
    }

    private PyDict optimizerState(int stage, CarriedFile... optimizers) throws IOException {
        List<CarriedFile> carried = new ArrayList<>(List.of(optimizers));
        carried.add(
                new CarriedFile(
                        "mp_rank_00_model_states.pt",
                        "model_states",
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(PyDict.empty()),
                        Map.of()));
        write(new Origin("deepspeed", "s", stage, List.of(), Optional.empty()), carried);
        return tree("zero/optimizer_state.pt").asDict().orElseThrow();
    }

    @Test
    void layerFilesAreLeftBehindAndSaidSo() throws IOException {
        TargetTree tree =
                write(
                        ELSEWHERE,
                        List.of(
                                carried("layer_01-model_00-model_states.pt", "layer"),
                                carried("rng_state_0.pth", "side")));

        assertThat(tree.notes())
                .anyMatch(l -> l.startsWith("1 files with the model's own weights (layer_01"));
        assertThat(tree.losses()).anyMatch(l -> l.endsWith("no place for them: rng_state_0.pth"));
    }

    private static CarriedFile carried(String path, String role) {
        return new CarriedFile(
                path, role, Coordinate.NONE, Optional.empty(), Optional.empty(), Map.of());
    }

    @Test
    void aStateFromElsewhereBecomesOneRanksOfStage1() throws IOException {
        ParameterFacts frozen =
                facts("frozen", Shape.of(3), Map.of("weight", DType.BFLOAT16), false, -1);

        TargetTree tree = write(ELSEWHERE, List.of(), adam("a", 0), adam("b", 1), frozen);

        PickleValue states = tree("mp_rank_00_model_states.pt");
        assertThat(states.find("mp_world_size")).contains(PyInt.of(1));
        assertThat(states.find("global_steps")).contains(PyInt.of(7));
        assertThat(states.find("lr_scheduler", "last_batch_iteration")).contains(PyInt.of(6));
        ModelStates read =
                ModelStates.of(
                        CheckpointFile.open(
                                target.resolve("s_universal/mp_rank_00_model_states.pt")));
        assertThat(read.groups())
                .contains(List.of(Map.of("a", Shape.of(4, 2)), Map.of("b", Shape.of(4, 2))));
        assertThat(read.frozen()).contains(Map.of("frozen", Shape.of(3)));
        assertThat(read.module()).containsOnlyKeys("frozen");
        PickleValue optimizer = tree("zero/optimizer_state.pt");
        assertThat(optimizer.find("ds_version")).isPresent();
        assertThat(optimizer.find("param_groups").orElseThrow().asSequence().orElseThrow())
                .hasSize(2);
        assertThat(target.resolve("s_universal/zero/frozen")).doesNotExist();
        assertThat(tree.losses())
                .anyMatch(l -> l.startsWith("no DeepSpeed model states in the source (megatron)"))
                .anyMatch(l -> l.startsWith("no DeepSpeed optimizer state in the source"));
    }

    @Test
    void whatWasWrittenForAStateFromElsewhereCanBeRead() throws IOException {
        write(ELSEWHERE, List.of(), adam("a", 0), adam("b", 1));

        CheckpointIndex index = format.index(format.find(target).getFirst());

        assertThat(index.findings()).isEmpty();
        assertThat(index.tag()).isEqualTo("s");
        assertThat(index.wholes())
                .extracting(w -> w.facts().name() + w.facts().optimizerGroup())
                .containsExactly("a0", "b1");
        assertThat(index.wholes().getFirst().facts().scalars()).containsEntry("step", STEP);
    }

    @Test
    void aWeightStandsInForAMissingMasterCopy() {
        ParameterFacts parameter =
                facts("w", Shape.of(2), Map.of("weight", DType.BFLOAT16), true, 0);

        TargetTree tree = format.layout(request(ELSEWHERE, List.of(), parameter));

        assertThat(elements(tree, "s_universal/zero/w/fp32.pt"))
                .satisfies(e -> assertThat(e.of().state()).isEqualTo("weight"))
                .satisfies(e -> assertThat(e.of().dtype()).isEqualTo(DType.FLOAT32));
        assertThat(tree.losses()).contains("w has no fp32 state, its weight is taken for it");
    }

    @Test
    void paddingRowsAreStripped() throws IOException {
        Split vocabulary = new Split(SplitKind.SHARDED, 0, List.of(), List.of(), true);
        ParameterFacts padded =
                facts("emb", Shape.of(8, 2), Shape.of(5, 2), ADAM, true, 0, vocabulary);

        write(ELSEWHERE, List.of(), padded);

        CheckpointFile file = CheckpointFile.open(target.resolve("s_universal/zero/emb/fp32.pt"));
        PyDict state = file.root().asDict().orElseThrow();
        assertThat(state.entries())
                .extracting(e -> e.key().toString())
                .containsExactly("'cat_dim'", "'vocab_tensor'", "'param'");
        TensorEntry tensor = file.tensor(state.find("param").orElseThrow()).orElseThrow();
        assertThat(tensor.shape()).isEqualTo(Shape.of(5, 2));
        assertThat(TensorBytes.of(tensor)).isEqualTo(Arrays.copyOf(whole("emb", "fp32"), 40));
    }

    @Test
    void unequalPartsAreDescribedByTheirExtents() throws IOException {
        Split fused = new Split(SplitKind.FUSED, 0, List.of(4L, 2L, 2L), List.of(), false);
        write(
                ELSEWHERE,
                List.of(),
                facts("q.kv", Shape.of(8, 2), Shape.of(8, 2), ADAM, true, 0, fused));

        CheckpointIndex index = format.index(format.find(target).getFirst());

        Split read = index.wholes().getFirst().facts().split();
        assertThat(read.parts()).containsExactly(4L, 2L, 2L);
        assertThat(read.subShape()).containsExactly(List.of(4L, 2L, 2L), List.of(2L));
        assertThat(tree("zero/q.kv/fp32.pt").find("sub_param_shape"))
                .hasValueSatisfying(
                        v ->
                                assertThat(v)
                                        .extracting(
                                                o ->
                                                        ((PyObject) o)
                                                                .attributes()
                                                                .flatMap(a -> a.find("patterns"))
                                                                .flatMap(PickleValue::asSequence)
                                                                .orElseThrow())
                                        .isEqualTo(List.of(PyText.of("q\\.kv$"))));
    }

    /// DeepSpeed gives it to the optimizer as it is, and torch's need a tensor.
    @Test
    void aStepThatMegatronCountedBecomesTheTensorThatTorchsOptimizersNeed() throws IOException {
        write(ELSEWHERE, List.of(), counted(7));

        assertThat(stepOf("a")).contains(STEP);
    }

    @Test
    void aStepThatNoFloatIsStaysPythons() throws IOException {
        write(ELSEWHERE, List.of(), counted((1L << 24) + 1));

        assertThat(tree("zero/a/step.pt")).isEqualTo(PyInt.of((1L << 24) + 1));
    }

    @Test
    void aStepThatDeepSpeedsOwnOptimizerCountedStaysPythons() throws IOException {
        Origin own = new Origin("deepspeed", "s", 1, List.of(), Optional.empty());

        write(own, List.of(), counted(7));

        assertThat(tree("zero/a/step.pt")).isEqualTo(PyInt.of(7));
    }

    private static ParameterFacts counted(long step) {
        ByteBuffer held = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(0, step);
        return new ParameterFacts(
                "a",
                Shape.of(2),
                Shape.of(2),
                ADAM,
                Map.of("step", new Scalar(DType.INT64, held.array())),
                Split.UNKNOWN,
                true,
                false,
                0,
                List.of(),
                Map.of(),
                List.of());
    }

    private Optional<Scalar> stepOf(String parameter) throws IOException {
        CheckpointFile file =
                CheckpointFile.open(
                        target.resolve("s_universal/zero/%s/step.pt".formatted(parameter)));
        return file.scalar(file.root());
    }

    @Test
    void settingsOfMegatronsGroupsAreThoseOfTheLoadingJobs() throws IOException {
        TargetTree tree = write(ELSEWHERE, List.of(megatron(0.1, 0.0)), adam("a", 0), adam("b", 1));

        List<PickleValue> groups =
                tree("zero/optimizer_state.pt")
                        .find("param_groups")
                        .flatMap(PickleValue::asSequence)
                        .orElseThrow();
        assertThat(groups)
                .extracting(g -> g.find("weight_decay").orElseThrow())
                .containsExactly(new PyFloat(0.1), new PyFloat(0.0));
        assertThat(groups)
                .extracting(g -> g.find("lr").orElseThrow())
                .containsOnly(new PyFloat(0.25));
        assertThat(groups)
                .extracting(g -> g.find("params").flatMap(PickleValue::asSequence).orElseThrow())
                .containsExactly(List.of(PyInt.of(0)), List.of(PyInt.of(1)));
        assertThat(groups).allMatch(g -> g.find("step").isEmpty());
        assertThat(groups).allMatch(g -> g.find("bias_correction").isPresent());
        assertThat(tree("mp_rank_00_model_states.pt").find("global_samples"))
                .contains(PyInt.of(56));
        assertThat(tree.losses())
                .noneMatch(l -> l.startsWith("no DeepSpeed optimizer state in the source"));
        assertThat(tree.notes())
                .contains(
                        "the script's optimizer needs these groups, each in the order of the"
                                + " model's parameters: 1 of a, .. (weight_decay 0.1); 1 of b, .."
                                + " (weight_decay 0.0)");
    }

    /// Megatron numbers groups by what they are; DeepSpeed counts them.
    @Test
    void groupsThatTheSourceNumbersWithGapsAreCounted() throws IOException {
        write(ELSEWHERE, List.of(megatron(0.1, 0.0)), adam("a", 0), adam("b", 3));

        CheckpointIndex index = format.index(format.find(target).getFirst());
        assertThat(index.wholes())
                .extracting(w -> w.facts().name() + w.facts().optimizerGroup())
                .containsExactly("a0", "b1");
        assertThat(
                        tree("zero/optimizer_state.pt")
                                .find("param_groups")
                                .flatMap(PickleValue::asSequence)
                                .orElseThrow())
                .hasSize(2);
    }

    private static CarriedFile megatron(double... decays) {
        List<PickleValue> groups = new ArrayList<>();
        for (double decay : decays) {
            groups.add(
                    PyDict.of(
                            map(
                                    "wd_mult", new PyFloat(decay > 0 ? 1 : 0),
                                    "lr", new PyFloat(0.25),
                                    "betas", PyList.of(new PyFloat(0.9), new PyFloat(0.95)),
                                    "eps", new PyFloat(1e-8),
                                    "weight_decay", new PyFloat(decay),
                                    "step", PyInt.of(7))));
        }
        PyDict optimizer = PyDict.of(map("param_groups", PyList.of(groups)));
        return new CarriedFile(
                "mp_rank_00/model_optim_rng.pt",
                "model",
                Coordinate.of("pp", 0).with("tp", 0),
                Optional.empty(),
                Optional.of(
                        PyDict.of(
                                map(
                                        "args",
                                        PyDict.of(map("consumed_train_samples", PyInt.of(56))),
                                        "iteration",
                                        PyInt.of(7),
                                        "optimizer",
                                        PyDict.of(map("optimizer", optimizer))))),
                Map.of());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", "/abs", "a\0b", "optimizer_state.pt"})
    void namesThatAreNoFolderAreRefused(String name) {
        assertThatThrownBy(() -> format.layout(request(ELSEWHERE, List.of(), adam(name, 0))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("cannot be the name of a folder");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x", "a/b", ""})
    void statesAndTagsThatAreNoFileAreRefused(String name) {
        ParameterFacts state =
                facts(
                        "w",
                        Shape.of(2),
                        Map.of("fp32", DType.FLOAT32, name, DType.FLOAT32),
                        true,
                        0);
        assertThatThrownBy(() -> format.layout(request(ELSEWHERE, List.of(), state)))
                .isInstanceOf(RefusedException.class);
        WriteRequest tagged =
                new WriteRequest(
                        name.isEmpty() ? ".." + "/x" : name + "/",
                        OptionalLong.empty(),
                        ELSEWHERE,
                        List.of(),
                        LayoutHints.NONE,
                        List.of(),
                        Map.of());
        assertThatThrownBy(() -> format.layout(tagged)).isInstanceOf(RefusedException.class);
    }

    @Test
    void expertsAreRefusedWithTheWayOut() {
        Origin experts =
                new Origin("deepspeed", "s", 1, List.of(new AxisDegree("ep", 2)), Optional.empty());

        assertThatThrownBy(() -> format.layout(request(experts, List.of(), adam("a", 0))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("experts over 2 expert-parallel ranks")
                .hasMessageContaining("--to universal");
        assertThatThrownBy(
                        () ->
                                format.layout(
                                        request(
                                                ELSEWHERE,
                                                List.of(),
                                                adam("l.deepspeed_experts.1.w", 0))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("l.deepspeed_experts.1.w");
    }

    private static PyDict fusedLayer(long experts, long ranks) {
        return PyDict.of(
                map(
                        "expert_key_prefix", PyText.of("l.experts"),
                        "num_experts", PyInt.of(experts),
                        "ep_size", PyInt.of(ranks)));
    }

    private static CarriedFile fused(int mp, PyDict layer) {
        return new CarriedFile(
                "mp_rank_0%d_model_states.pt".formatted(mp),
                Carried.MODEL_STATES,
                Coordinate.of("pp", 0).with("tp", mp),
                Optional.empty(),
                Optional.of(PyDict.of(map("ds_autoep_layers", PyList.of(layer)))),
                Map.of());
    }

    @Test
    void fusedExpertsThatUpstreamCannotConvertAreRefused() {
        Origin two =
                new Origin("deepspeed", "s", 1, List.of(new AxisDegree("tp", 2)), Optional.empty());
        ParameterFacts w1 =
                facts("l.experts.w1", Shape.of(3, 2), Map.of("fp32", DType.FLOAT32), true, 0);

        assertThatThrownBy(
                        () ->
                                format.layout(
                                        request(
                                                two,
                                                List.of(
                                                        fused(0, fusedLayer(3, 1)),
                                                        fused(1, fusedLayer(3, 1))),
                                                w1)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("experts of AutoEP in a job of tp 2")
                .hasMessageContaining("--to deepspeed --tp 1");
    }

    @Test
    void fusedExpertsThatAreNotAsManyAsListedAreRefused() {
        Origin one =
                new Origin("deepspeed", "s", 1, List.of(new AxisDegree("tp", 1)), Optional.empty());
        ParameterFacts w1 =
                facts("l.experts.w1", Shape.of(3, 2), Map.of("fp32", DType.FLOAT32), true, 0);

        assertThatThrownBy(
                        () -> format.layout(request(one, List.of(fused(0, fusedLayer(4, 2))), w1)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("l.experts.w1: the shape [3, 2]")
                .hasMessageContaining("4 experts along dimension 0");
    }

    @Test
    void modelStatesThatListFusedLayersOtherwiseAreRefused() {
        Origin one =
                new Origin("deepspeed", "s", 1, List.of(new AxisDegree("pp", 2)), Optional.empty());

        assertThatThrownBy(
                        () ->
                                format.layout(
                                        request(
                                                one,
                                                List.of(
                                                        fused(0, fusedLayer(4, 2)),
                                                        fused(1, fusedLayer(4, 4))),
                                                adam("a", 0))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("l.experts")
                .hasMessageContaining("copy the files of one save");
    }

    @Test
    void optionsAreRefused() {
        WriteRequest compressed =
                new WriteRequest(
                        "s",
                        OptionalLong.empty(),
                        ELSEWHERE,
                        List.of(),
                        LayoutHints.NONE,
                        List.of(),
                        Map.of("compress", "zstd"));

        assertThatThrownBy(() -> format.layout(compressed))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("the option 'compress'");
    }

    @Test
    void tensorsInsideModelStatesAreFilledFromParametersAndGapsWithZeros() throws IOException {
        SequencedMap<String, byte[]> storages = new LinkedHashMap<>();
        storages.put("0", new byte[16]);
        Path file = source.resolve("mp_rank_00_model_states.pt");
        TorchWriter.write(
                file,
                PyDict.of(
                        map(
                                "module",
                                PyDict.of(
                                        map(
                                                "a",
                                                UniversalBuilder.tensor(
                                                        DType.FLOAT32, Shape.of(4), "0", false))))),
                storages);
        CarriedFile states =
                new CarriedFile(
                        "mp_rank_00_model_states.pt",
                        "model_states",
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(TorchFile.open(file).tree()),
                        Map.of(
                                "0",
                                new CarriedFile.Storage(
                                        16,
                                        List.of(
                                                new CarriedFile.Content.Elements(
                                                        4,
                                                        UniversalLayout.elements(
                                                                adam("a", 0),
                                                                "fp32",
                                                                DType.FLOAT32,
                                                                Shape.of(1, 2)))))));

        write(
                new Origin("deepspeed", "s", 1, List.of(), Optional.empty()),
                List.of(
                        states,
                        optimizer(
                                0,
                                PyDict.of(
                                        map(
                                                "base_optimizer_state",
                                                PyDict.of(
                                                        map(
                                                                "param_groups",
                                                                UniversalBuilder.groups())))))),
                adam("a", 0));

        CheckpointFile made =
                CheckpointFile.open(target.resolve("s_universal/mp_rank_00_model_states.pt"));
        TensorEntry tensor =
                made.tensor(made.root().find("module", "a").orElseThrow()).orElseThrow();
        byte[] expected = new byte[16];
        System.arraycopy(whole("a", "fp32"), 0, expected, 4, 8);
        assertThat(TensorBytes.of(tensor)).isEqualTo(expected);
    }

    private static final Map<String, DType> ADAM =
            Map.of(
                    "fp32", DType.FLOAT32,
                    "exp_avg", DType.FLOAT32,
                    "exp_avg_sq", DType.FLOAT32,
                    "weight", DType.BFLOAT16);

    private static ParameterFacts adam(String name, int group) {
        return facts(name, Shape.of(4, 2), ADAM, true, group);
    }

    private static ParameterFacts facts(
            String name, Shape shape, Map<String, DType> states, boolean trainable, int group) {
        return facts(name, shape, shape, states, trainable, group, Split.UNKNOWN);
    }

    private static ParameterFacts facts(
            String name,
            Shape shape,
            Shape real,
            Map<String, DType> states,
            boolean trainable,
            int group,
            Split split) {
        return new ParameterFacts(
                name,
                shape,
                real,
                states,
                trainable ? Map.of("step", STEP) : Map.of(),
                split,
                trainable,
                false,
                group,
                List.of(),
                Map.of(),
                List.of());
    }

    private static WriteRequest request(
            Origin origin, List<CarriedFile> carried, ParameterFacts... parameters) {
        return new WriteRequest(
                "s",
                OptionalLong.of(7),
                origin,
                List.of(parameters),
                LayoutHints.NONE,
                carried,
                Map.of());
    }

    private TargetTree write(Origin origin, List<CarriedFile> carried, ParameterFacts... parameters)
            throws IOException {
        TargetTree tree = format.layout(request(origin, carried, parameters));
        TargetTreeWriter.write(tree, target, UniversalLayoutTest::whole);
        return tree;
    }

    private static byte[] whole(String parameter, String state) {
        return UniversalBuilder.bytes(parameter + state, Shape.of(32), DType.FLOAT32);
    }

    private PickleValue tree(String path) throws IOException {
        return TorchFile.open(target.resolve("s_universal").resolve(path)).tree();
    }

    private static TargetFile.Part.Elements elements(TargetTree tree, String path) {
        return tree.files().stream()
                .filter(f -> f.path().equals(path))
                .flatMap(f -> f.parts().stream())
                .filter(TargetFile.Part.Elements.class::isInstance)
                .map(TargetFile.Part.Elements.class::cast)
                .findFirst()
                .orElseThrow();
    }
}
