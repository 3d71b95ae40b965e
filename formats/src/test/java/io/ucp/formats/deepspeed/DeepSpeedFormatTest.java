package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Step;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

class DeepSpeedFormatTest {
    private final DeepSpeedFormat format = new DeepSpeedFormat();

    @TempDir Path root;

    private CheckpointIndex index() throws IOException {
        return format.index(format.find(root).getFirst());
    }

    private static GeneratedCheckpoint transformer() {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(2, 4));
    }

    /// Everything that a checkpoint of all trainable parameters must have.
    private static void assertComplete(
            GeneratedCheckpoint checkpoint, Set<String> seen, String... states) {
        for (String name : checkpoint.bases.keySet()) {
            for (String state : states) {
                assertThat(seen).contains(name + "/" + state);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 1",
        "1, 1, 1, 3",
        "1, 2, 1, 4",
        "2, 1, 1, 2",
        "2, 4, 1, 3",
        "2, 2, 1, 7",
        "3, 1, 1, 1",
        "3, 1, 1, 4",
        "3, 2, 1, 3",
        "3, 4, 1, 5"
    })
    void holdsEveryStateAtAnyStageAndDegrees(int stage, int tp, int pp, int dp) throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(pp, tp, dp).stage(stage).writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint, HeldValues.check(checkpoint, index), "fp32", "exp_avg", "exp_avg_sq");
        assertThat(index.stage()).isEqualTo(stage);
        assertThat(index.iteration()).hasValue(3);
        assertThat(index.mesh())
                .containsExactly(
                        new AxisDegree("pp", pp),
                        new AxisDegree("dp", dp),
                        new AxisDegree("tp", tp));
        assertThat(index.findings()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 1", "ZERO, 2", "BF16, 1", "ELASTIC, 2"})
    void fitsPaddingThatSpansSeveralRanks(Wrapper wrapper, int stage) throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(
                                List.of(
                                        GeneratedParameter.of("a", 3),
                                        GeneratedParameter.of("b", 17).group(1)))
                        .degrees(1, 1, 8)
                        .stage(stage)
                        .wrapper(wrapper)
                        .writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint, HeldValues.check(checkpoint, index), "fp32", "exp_avg", "exp_avg_sq");
        assertThat(index.flatGroups().getFirst().parts())
                .extracting(FlatGroup.Part::partExtent)
                .containsOnly(2L);
    }

    @Test
    void holdsAPipelineWithTiedLayers() throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 2, 2))
                        .degrees(2, 2, 2)
                        .wrapper(Wrapper.BF16)
                        .writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint,
                HeldValues.check(checkpoint, index),
                "weight",
                "fp32",
                "exp_avg",
                "exp_avg_sq");
        assertThat(coordinatesOf(index, "tied_modules.embed.word_embeddings.weight"))
                .containsExactlyInAnyOrder(at(0, 0), at(0, 1));
        assertThat(coordinatesOf(index, "5.down.weight"))
                .containsExactlyInAnyOrder(at(1, 0), at(1, 1));
        assertThat(index.flatGroups()).hasSize(2 * 2 * 2);
        assertThat(index.carried())
                .filteredOn(f -> f.path().equals("layer_05-model_01-model_states.pt"))
                .extracting(CarriedFile::at)
                .containsExactly(at(1, 1));
    }

    private static Coordinate at(int pp, int tp) {
        return Coordinate.of("pp", pp).with("tp", tp);
    }

    private static List<Coordinate> coordinatesOf(CheckpointIndex index, String name) {
        return index.tensors().stream()
                .filter(t -> t.name().equals(name))
                .map(HeldTensor::at)
                .toList();
    }

    @Test
    void infersTheStagesFromLayerFilesWhereNothingSaysThem() throws IOException {
        GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 2, 2))
                .degrees(2, 2, 1)
                .withoutDimensions()
                .writeTo(root);

        CheckpointIndex index = index();

        assertThat(index.degree("pp")).isEqualTo(2);
        assertThat(index.degree("tp")).isEqualTo(2);
        assertThat(index.findings()).anyMatch(f -> f.message().contains("layer files"));
    }

    @Test
    void followsTheFlatOrderOfRoundRobinGradients() throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(1, 2, 3).stage(2).roundRobin().writeTo(root);

        CheckpointIndex index = index();

        assertComplete(checkpoint, HeldValues.check(checkpoint, index), "fp32", "exp_avg");
        assertThat(index.findings()).anyMatch(f -> f.message().contains("round_robin"));
    }

    @Test
    void takesParamShapesForTheOrderWhereNoSlicesAreKept() throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(1, 1, 3).stage(2).withoutSlices().writeTo(root);

        CheckpointIndex index = index();

        assertComplete(checkpoint, HeldValues.check(checkpoint, index), "fp32", "exp_avg");
        assertThat(index.findings()).anyMatch(f -> f.message().contains("param_slice_mappings"));
    }

    @Test
    void holdsSubGroupsOfSeveralOptimizerGroups() throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(1, 1, 3).stage(3).subGroupSize(100).writeTo(root);

        CheckpointIndex index = index();

        assertComplete(checkpoint, HeldValues.check(checkpoint, index), "fp32", "exp_avg");
        assertThat(index.flatGroups()).hasSizeGreaterThan(3);
        assertThat(index.flatGroups().stream().map(FlatGroup::optimizerGroup).distinct())
                .containsExactly(0, 1);
    }

    @Test
    void cutsOneListOfShapesIntoSubGroups() throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(
                                List.of(
                                        GeneratedParameter.of("a", 5, 3),
                                        GeneratedParameter.of("b", 7),
                                        GeneratedParameter.of("c", 4, 4)))
                        .degrees(1, 1, 2)
                        .stage(3)
                        .subGroupSize(5)
                        .editing(
                                (name, root) ->
                                        name.contains("model_states")
                                                ? GeneratedFiles.with(
                                                        root,
                                                        TorchTree.of(
                                                                List.of(
                                                                        shapes(
                                                                                "a",
                                                                                Shape.of(5, 3),
                                                                                "b",
                                                                                Shape.of(7),
                                                                                "c",
                                                                                Shape.of(4, 4)))),
                                                        "param_shapes")
                                                : root)
                        .writeTo(root);

        CheckpointIndex index = index();

        assertComplete(checkpoint, HeldValues.check(checkpoint, index), "fp32", "exp_avg");
        assertThat(index.flatGroups()).hasSize(2);
    }

    private static Map<String, Object> shapes(Object... pairs) {
        Map<String, Object> shapes = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            shapes.put((String) pairs[i], pairs[i + 1]);
        }
        return shapes;
    }

    private static List<GeneratedParameter> withFrozen() {
        List<GeneratedParameter> all = new ArrayList<>(GeneratedCheckpoint.transformer(1, 2));
        all.add(GeneratedParameter.of("adapter.base", 7, 3).role(Role.FROZEN));
        all.add(GeneratedParameter.of("rotary.inv_freq", 5).role(Role.BUFFER));
        return all;
    }

    @ParameterizedTest
    @CsvSource({"1", "2", "3"})
    void holdsFrozenParametersAndBuffersAsOftenAsFilesDo(int stage) throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(withFrozen()).degrees(1, 2, 4).stage(stage).writeTo(root);

        CheckpointIndex index = index();

        assertThat(HeldValues.check(checkpoint, index))
                .contains("adapter.base/weight", "rotary.inv_freq/weight")
                .doesNotContain("adapter.base/fp32", "rotary.inv_freq/fp32");
        assertThat(index.hints().frozen()).containsExactly("adapter.base");
        assertThat(index.hints().buffers()).containsExactly("rotary.inv_freq");
        // Of ZeRO-3 every data-parallel rank has a file, each a replica of the first.
        assertThat(coordinatesOf(index, "rotary.inv_freq"))
                .extracting(c -> c.without("dp"))
                .containsOnly(at(0, 0), at(0, 1))
                .hasSize(stage == 3 ? 8 : 2);
    }

    @Test
    void saysThatStageOneListsNoFrozenParameters() throws IOException {
        GeneratedCheckpoint.of(withFrozen()).stage(1).writeTo(root);

        assertThat(index().findings())
                .anyMatch(f -> f.place().equals("adapter.base") && f.message().contains("frozen"));
    }

    @Test
    void holdsAnAliasUnderItsCanonicalNameOnly() throws IOException {
        transformer().stage(2).aliases(Map.of("head.weight", "embed.weight")).writeTo(root);

        CheckpointIndex index = index();

        assertThat(index.hints().aliases())
                .containsExactly(Map.entry("head.weight", "embed.weight"));
        assertThat(coordinatesOf(index, "head.weight")).isEmpty();
        assertThat(coordinatesOf(index, "embed.weight")).hasSize(1);
    }

    @Test
    void seesAnAliasThatNoListNamesByItsBytes() throws IOException {
        transformer()
                .stage(0)
                .aliases(Map.of("head.weight", "embed.weight"))
                .editing((_, file) -> file.without("shared_params"))
                .writeTo(root);

        assertThat(index().hints().aliases()).containsEntry("head.weight", "embed.weight");
    }

    @Test
    void joinsNestedModuleKeys() throws IOException {
        GeneratedCheckpoint checkpoint = transformer().stage(2).nested().writeTo(root);

        assertComplete(checkpoint, HeldValues.check(checkpoint, index()), "weight", "fp32");
    }

    @Test
    void keepsPersistentParametersOfStageThreeAsWeights() throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(1, 1, 2).stage(3).persistentBelow(30).writeTo(root);

        assertThat(HeldValues.check(checkpoint, index()))
                .contains("norm.weight/weight")
                .doesNotContain("embed.weight/weight");
    }

    private static List<GeneratedParameter> withExperts() {
        List<GeneratedParameter> all = new ArrayList<>(GeneratedCheckpoint.transformer(1, 2));
        String expert = "layers.0.moe.experts.{e}.";
        all.add(GeneratedParameter.of(expert + "up.weight", 6, 5).group(2).experts(4));
        all.add(GeneratedParameter.of(expert + "up.bias", 3).group(3).experts(4));
        return all;
    }

    @ParameterizedTest
    @CsvSource({
        "1, 2, 2, ZERO",
        "1, 4, 2, BF16",
        "2, 4, 4, ZERO",
        "1, 4, 1, ZERO",
        "2, 8, 2, ZERO"
    })
    void holdsExpertsOfEachExpertRank(int stage, int dp, int ep, Wrapper wrapper)
            throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(withExperts())
                        .degrees(1, 1, dp)
                        .expertRanks(ep)
                        .stage(stage)
                        .wrapper(wrapper)
                        .writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint, HeldValues.check(checkpoint, index), "weight", "fp32", "exp_avg");
        assertThat(index.mesh()).contains(new AxisDegree("ep", ep), new AxisDegree("edp", dp / ep));
        assertThat(index.flatGroups().stream().filter(g -> g.axis().equals("edp"))).hasSize(2 * ep);
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "2, 2", "2, 4", "4, 1", "2, 1"})
    void holdsExpertsThatAreNotCutOverTensorRanks(int dp, int ep) throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(withExperts())
                        .degrees(1, 2, dp)
                        .expertRanks(ep)
                        .expertsAcrossTensorRanks()
                        .writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint, HeldValues.check(checkpoint, index), "weight", "fp32", "exp_avg");
        assertThat(index.mesh())
                .contains(new AxisDegree("ep", ep), new AxisDegree("edp", 2 * dp / ep));
        assertThat(coordinatesOf(index, "layers.0.moe.experts.3.up.weight"))
                .containsExactly(Coordinate.of("pp", 0));
        assertThat(index.flatGroups().stream().filter(g -> g.axis().equals("edp")))
                .hasSize(2 * ep)
                .allMatch(g -> !g.at().indices().containsKey("tp"));
    }

    @Test
    void leavesCopiesOfExpertsUnderBrokenNamesInTheFile() throws IOException {
        GeneratedCheckpoint.of(withExperts())
                .degrees(1, 1, 2)
                .expertRanks(2)
                .editing(
                        (name, file) ->
                                name.startsWith("mp_rank")
                                        ? GeneratedFiles.with(
                                                file,
                                                file.find("module", "embed.weight").orElseThrow(),
                                                "module",
                                                "layers0.experts.0.up.weight")
                                        : file)
                .writeTo(root);

        CheckpointIndex index = index();

        assertThat(coordinatesOf(index, "layers0.experts.0.up.weight")).isEmpty();
        assertThat(index.findings()).anyMatch(f -> f.message().contains("copies of experts"));
    }

    @ParameterizedTest
    @CsvSource({"exp_avg", "momentum_buffer", "sum"})
    void holdsTheStatesOfAnyOptimizer(String state) throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(1, 1, 3).stage(2).states(state).writeTo(root);

        CheckpointIndex index = index();

        assertComplete(checkpoint, HeldValues.check(checkpoint, index), "fp32", state);
        assertThat(index.flatGroups().getFirst().parts().getFirst().states())
                .containsOnlyKeys("fp32", state);
    }

    @ParameterizedTest
    @CsvSource({"TENSOR", "NUMBER", "GROUP"})
    void readsTheStepWhereverItIsKept(Step step) throws IOException {
        transformer().stage(2).degrees(1, 1, 2).step(step).writeTo(root);

        Map<String, Scalar> scalars = index().flatGroups().getFirst().parts().getFirst().scalars();

        assertThat(scalars).containsOnlyKeys("step");
        Scalar scalar = scalars.values().iterator().next();
        ByteBuffer bytes = ByteBuffer.wrap(scalar.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        double value =
                scalar.dtype() == DType.FLOAT32 ? bytes.getFloat() : (double) bytes.getLong();
        assertThat(value).isEqualTo(3);
    }

    @Test
    void skipsStatesThatAreNoneAndLeavesOthersInTheFile() throws IOException {
        GeneratedCheckpoint.of(List.of(GeneratedParameter.of("a", 4)))
                .stage(2)
                .editing(
                        (name, file) ->
                                name.contains("optim_states")
                                        ? GeneratedFiles.with(
                                                file,
                                                TorchTree.of(
                                                        Map.of(
                                                                "state",
                                                                Map.of(
                                                                        0,
                                                                        shapes(
                                                                                "momentum_buffer",
                                                                                PyNone.NONE,
                                                                                "odd",
                                                                                "text")),
                                                                "param_groups",
                                                                List.of())),
                                                "optimizer_state_dict",
                                                "base_optimizer_state")
                                        : file)
                .writeTo(root);

        CheckpointIndex index = index();

        assertThat(index.flatGroups().getFirst().parts().getFirst().states())
                .containsOnlyKeys("fp32");
        assertThat(index.findings())
                .anyMatch(f -> f.message().endsWith("stay in the file as they are: odd"));
    }

    @Test
    void takesTheStatesOfAnUnshardedOptimizerWithOneGroup() throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(
                                List.of(
                                        GeneratedParameter.of("a", 4, 2),
                                        GeneratedParameter.of("b", 3)))
                        .degrees(1, 1, 2)
                        .stage(0)
                        .writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint, HeldValues.check(checkpoint, index), "weight", "exp_avg", "exp_avg_sq");
        assertThat(index.stage()).isZero();
        assertThat(index.findings()).anyMatch(f -> f.message().contains("numbers its parameters"));
    }

    @ParameterizedTest
    @EnumSource(names = {"ZERO", "FUSED", "UNFUSED"})
    void takesSeveralGroupsOfAnUnshardedOptimizerThatTheirShapesTellApart(Wrapper wrapper)
            throws IOException {
        GeneratedCheckpoint checkpoint =
                transformer().degrees(1, 2, 2).wrapper(wrapper).stage(0).writeTo(root);

        CheckpointIndex index = index();

        assertComplete(
                checkpoint, HeldValues.check(checkpoint, index), "weight", "exp_avg", "exp_avg_sq");
        assertThat(index.members())
                .filteredOn(m -> m.name().equals("norm.weight"))
                .hasSize(2)
                .allMatch(m -> m.optimizerGroup() == 1 && m.scalars().containsKey("step"));
        assertThat(index.tensors().stream().anyMatch(t -> t.state().equals("fp32")))
                .isEqualTo(wrapper != Wrapper.ZERO);
    }

    @Test
    void takesGroupsWhoseParametersTheOptimizerNames() throws IOException {
        GeneratedCheckpoint checkpoint =
                alike().editing(
                                (_, file) ->
                                        GeneratedFiles.with(
                                                file,
                                                TorchTree.of(
                                                        List.of(
                                                                Map.of(
                                                                        "params",
                                                                        List.of(0),
                                                                        "param_names",
                                                                        List.of("b")),
                                                                Map.of(
                                                                        "params",
                                                                        List.of(1),
                                                                        "param_names",
                                                                        List.of("a")))),
                                                "optimizer",
                                                "param_groups"))
                        .writeTo(root);

        assertComplete(checkpoint, HeldValues.check(checkpoint, index()), "exp_avg");
    }

    /// The optimizer was given them in this order, in a group each.
    private static GeneratedCheckpoint alike() {
        return GeneratedCheckpoint.of(
                        List.of(
                                GeneratedParameter.of("a", 4, 2).group(1),
                                GeneratedParameter.of("b", 4, 2)))
                .stage(0);
    }

    @ParameterizedTest
    @EnumSource(names = {"ZERO", "FUSED", "UNFUSED"})
    void leavesAnUnshardedOptimizerInTheFileWhoseGroupsHaveParametersAlike(Wrapper wrapper)
            throws IOException {
        GeneratedCheckpoint checkpoint = alike().wrapper(wrapper).writeTo(root);

        CheckpointIndex index = index();

        assertThat(HeldValues.check(checkpoint, index)).noneMatch(s -> s.endsWith("exp_avg"));
        assertThat(index.findings()).anyMatch(f -> f.message().contains("does not name"));
    }

    @Test
    void carriesEveryFileWithItsTree() throws IOException {
        Path step = root.resolve("checkpoint-3");
        transformer().degrees(1, 2, 2).writeTo(step);
        Files.writeString(step.resolve("trainer_state.json"), "{}");
        Files.writeString(step.resolve("global_step3/notes.txt"), "by hand");

        List<CarriedFile> carried = index().carried();

        assertThat(carried)
                .extracting(CarriedFile::path)
                .contains(
                        "mp_rank_00_model_states.pt",
                        "mp_rank_01_model_states.pt",
                        "zero_pp_rank_1_mp_rank_01_optim_states.pt",
                        "notes.txt",
                        "beside/trainer_state.json",
                        "beside/latest");
        assertThat(carried).filteredOn(f -> f.role().equals("optimizer")).hasSize(4);
        CarriedFile optimizer =
                carried.stream()
                        .filter(f -> f.role().equals("optimizer"))
                        .findFirst()
                        .orElseThrow();
        assertThat(optimizer.root()).isPresent();
        assertThat(optimizer.storages()).isNotEmpty();
        assertThat(optimizer.at()).isEqualTo(at(0, 0).with("dp", 0));
    }

    @Test
    void isAServiceNamedDeepspeed() {
        assertThat(CheckpointFormat.all()).anyMatch(f -> f.name().equals("deepspeed"));
    }

    @Test
    void refusesToWriteForNoJob() {
        WriteRequest request =
                new WriteRequest(
                        "global_step3",
                        OptionalLong.empty(),
                        new Origin("deepspeed", "global_step3", 1, List.of(), Optional.empty()),
                        List.of(),
                        LayoutHints.NONE,
                        List.of(),
                        Map.of());

        assertThatThrownBy(() -> format.layout(request))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("--tp");
    }

    @Test
    void holdsWholeRowsOfAReplicatedCut() throws IOException {
        GeneratedCheckpoint checkpoint =
                GeneratedCheckpoint.of(
                                List.of(
                                        GeneratedParameter.of("rows", 4, 3).cut(Cut.ROWS),
                                        GeneratedParameter.of("columns", 3, 4, 2).cut(Cut.COLUMNS),
                                        GeneratedParameter.of("halves", 8, 2).cut(Cut.HALVES),
                                        GeneratedParameter.of("scalar")))
                        .degrees(1, 2, 3)
                        .stage(2)
                        .writeTo(root);

        assertComplete(checkpoint, HeldValues.check(checkpoint, index()), "weight", "fp32");
    }
}
