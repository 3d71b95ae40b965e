package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetTree;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Step;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Collectors;

/// Checkpoints written in one layout and laid out in another, against what the generator, which
/// follows DeepSpeed's rules on its own, writes in that other layout.
class WritingDeepSpeedTest {
    @TempDir Path temporary;

    private Path from() {
        return temporary.resolve("from");
    }

    private Path to() {
        return temporary.resolve("to");
    }

    /// Every leaf and every byte as in a checkpoint that was saved so.
    private void assertWrittenAsSaved(GeneratedCheckpoint source, GeneratedCheckpoint target)
            throws IOException {
        source.writeTo(from());
        target.writeTo(temporary.resolve("saved"));

        CheckpointIndex index = new Relayout(source, from(), target).write(to());

        assertHoldsAll(target, index);
        assertThat(index.findings()).isEmpty();
        Map<String, String> written = Leaves.of(to());
        Map<String, String> saved = Leaves.of(temporary.resolve("saved"));
        assertThat(written.keySet()).isEqualTo(saved.keySet());
        assertThat(written).isEqualTo(saved);
        assertThat(to().resolve("latest")).hasContent("global_step3");
    }

    private static void assertHoldsAll(GeneratedCheckpoint target, CheckpointIndex index)
            throws IOException {
        Set<String> seen = HeldValues.check(target, index);
        for (GeneratedParameter p : target.parameters) {
            for (int e = 0; e < p.count(); e++) {
                assertHolds(p, p.name(e), seen);
            }
        }
        assertThat(index.stage()).isEqualTo(target.stage);
        assertThat(index.mesh())
                .startsWith(
                        new AxisDegree("pp", target.pp),
                        new AxisDegree("dp", target.dp),
                        new AxisDegree("tp", target.tp));
    }

    private static void assertHolds(GeneratedParameter p, String name, Set<String> seen) {
        if (p.role() == Role.TRAINABLE) {
            assertThat(seen).contains(name + "/fp32", name + "/exp_avg", name + "/exp_avg_sq");
        } else {
            assertThat(seen).contains(name + "/weight");
        }
    }

    private static GeneratedCheckpoint transformer() {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(2, 4));
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, 1, 1, 1, 3",
        "ZERO, 1, 2, 3, 4, 2",
        "ZERO, 2, 4, 2, 1, 7",
        "ZERO, 2, 1, 5, 2, 4",
        "BF16, 1, 2, 2, 1, 5",
        "BF16, 1, 1, 3, 4, 1",
        "ELASTIC, 2, 1, 4, 2, 3",
        "ZERO, 3, 1, 4, 1, 3",
        "ZERO, 3, 2, 3, 4, 5",
        "ZERO, 3, 1, 1, 1, 11"
    })
    void writesAnyDegreesAsDeepSpeedSavesThem(
            Wrapper wrapper, int stage, int tp, int dp, int newTp, int newDp) throws IOException {
        assertWrittenAsSaved(
                transformer().degrees(1, tp, dp).stage(stage).wrapper(wrapper),
                transformer().degrees(1, newTp, newDp).stage(stage).wrapper(wrapper));
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 1", "ZERO, 2", "BF16, 1", "ELASTIC, 2", "ZERO, 3"})
    void writesPaddingThatSpansSeveralRanks(Wrapper wrapper, int stage) throws IOException {
        List<GeneratedParameter> few =
                List.of(
                        GeneratedParameter.of("a", 3),
                        GeneratedParameter.of("scalar"),
                        GeneratedParameter.of("b", 17).group(1));
        assertWrittenAsSaved(
                GeneratedCheckpoint.of(few).stage(stage).wrapper(wrapper),
                GeneratedCheckpoint.of(few).degrees(1, 1, 8).stage(stage).wrapper(wrapper));
    }

    @ParameterizedTest
    @CsvSource({"1, 2", "2, 1", "1, 3", "2, 3", "3, 1", "3, 2"})
    void turnsAStageIntoAnother(int stage, int newStage) throws IOException {
        GeneratedCheckpoint source = transformer().degrees(1, 2, 3).stage(stage).writeTo(from());
        GeneratedCheckpoint target = transformer().degrees(1, 1, 4).stage(newStage);

        assertHoldsAll(target, new Relayout(source, from(), target).write(to()));
    }

    private GeneratedCheckpoint withoutZero(Wrapper wrapper) {
        GeneratedCheckpoint made = transformer().configured().wrapper(wrapper).stage(0);
        return wrapper == Wrapper.ZERO
                ? made.inFp32()
                : wrapper == Wrapper.FUSED ? made.fusedAdam() : made;
    }

    /// What a job with ZeRO of the same model and dtype saves.
    private GeneratedCheckpoint withZero(Wrapper without, int stage) {
        return withoutZero(without).wrapper(Wrapper.ZERO).stage(stage);
    }

    private void assertModelStatesAsSaved(GeneratedCheckpoint source, GeneratedCheckpoint target)
            throws IOException {
        source.writeTo(from());
        target.writeTo(temporary.resolve("saved"));

        CheckpointIndex index = new Relayout(source, from(), target).write(to());

        assertThat(HeldValues.check(target, index)).isNotEmpty();
        assertThat(index.stage()).isEqualTo(target.stage);
        assertThat(Leaves.of(to())).isEqualTo(Leaves.of(temporary.resolve("saved")));
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, 1, 3, 2, 2",
        "ZERO, 2, 2, 3, 1, 1",
        "ZERO, 3, 4, 3, 2, 5",
        "FUSED, 1, 1, 3, 2, 2",
        "FUSED, 2, 2, 2, 4, 1",
        "FUSED, 3, 1, 3, 1, 2",
        "UNFUSED, 1, 2, 3, 1, 2",
        "UNFUSED, 3, 1, 5, 2, 1"
    })
    void leavesZeroAsAJobWithoutItSaves(
            Wrapper wrapper, int stage, int tp, int dp, int newTp, int newDp) throws IOException {
        assertModelStatesAsSaved(
                withZero(wrapper, stage).degrees(1, tp, dp),
                withoutZero(wrapper).degrees(1, newTp, newDp));
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, 2, 3",
        "ZERO, 2, 1, 2",
        "ZERO, 3, 4, 3",
        "FUSED, 1, 1, 3",
        "FUSED, 3, 2, 2",
        "UNFUSED, 2, 1, 3"
    })
    void entersZeroFromAJobWithoutIt(Wrapper wrapper, int stage, int tp, int dp)
            throws IOException {
        GeneratedCheckpoint source = withoutZero(wrapper).degrees(1, 1, 2).writeTo(from());
        GeneratedCheckpoint target = withZero(wrapper, stage).degrees(1, tp, dp);

        assertHoldsAll(target, new Relayout(source, from(), target).write(to()));
    }

    @ParameterizedTest
    @CsvSource({"ZERO", "FUSED", "UNFUSED"})
    void movesAJobWithoutZero(Wrapper wrapper) throws IOException {
        assertModelStatesAsSaved(
                withoutZero(wrapper).degrees(1, 1, 2), withoutZero(wrapper).degrees(1, 4, 3));
    }

    @Test
    void writesStagesOfAPipelineWithoutZero() throws IOException {
        List<GeneratedParameter> one = GeneratedCheckpoint.pipeline(4, 4, 1);
        List<GeneratedParameter> two = GeneratedCheckpoint.pipeline(4, 4, 2);
        GeneratedCheckpoint source =
                GeneratedCheckpoint.of(one).inFp32().configured().degrees(1, 2, 2);
        GeneratedCheckpoint target =
                GeneratedCheckpoint.of(two).inFp32().configured().stage(0).degrees(2, 1, 3);
        source.writeTo(from());
        target.writeTo(temporary.resolve("saved"));

        new Relayout(source, from(), target).write(to());

        assertThat(Leaves.of(to())).isEqualTo(Leaves.of(temporary.resolve("saved")));
    }

    @ParameterizedTest
    @CsvSource({
        "bf16, fp32, 'bf16 weights and fp32 gradients'",
        "fp16, bf16, 'fp16 weights and bf16 gradients'"
    })
    void refusesZeroOffWhereDeepSpeedHasNoOptimizerForIt(
            String weights, String gradients, String found) throws IOException {
        PyDict config =
                configuration(
                        Map.of(
                                weights,
                                Map.of("enabled", true),
                                "data_types",
                                Map.of("grad_accum_dtype", gradients)));
        GeneratedCheckpoint source =
                transformer().editing((_, root) -> root.with("ds_config", config)).writeTo(from());

        assertThatThrownBy(
                        () -> new Relayout(source, from(), transformer().stage(0)).tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(found)
                .hasMessageContaining("--zero 1");
    }

    @Test
    void refusesZeroOffInAPipelineOfBf16WhichDeepSpeedDoesNotLoad() throws IOException {
        GeneratedCheckpoint source =
                GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 4, 2))
                        .configured()
                        .degrees(2, 1, 1)
                        .writeTo(from());
        GeneratedCheckpoint target =
                GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 4, 2))
                        .stage(0)
                        .degrees(2, 1, 1);

        assertThatThrownBy(() -> new Relayout(source, from(), target).tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("bf16 weights in a pipeline");
    }

    @Test
    void refusesZeroOffWhereTheMastersWouldBeLost() throws IOException {
        GeneratedCheckpoint source = transformer().writeTo(from());

        assertThatThrownBy(
                        () -> new Relayout(source, from(), transformer().stage(0)).tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("bfloat16 weights and fp32 masters");
    }

    private static PyDict scaler() {
        Map<String, Object> of = new LinkedHashMap<>();
        of.put("cur_scale", 4096.0);
        of.put("dynamic", true);
        of.put("cur_iter", 3);
        of.put("last_overflow_iter", 1);
        of.put("scale_factor", 2.0);
        of.put("scale_window", 500);
        return configuration(of);
    }

    private static GeneratedCheckpoint inFp16(GeneratedCheckpoint of, int stage) {
        PyDict config =
                configuration(
                        Map.of(
                                "fp16",
                                Map.of("enabled", true),
                                "zero_optimization",
                                Map.of("stage", stage)));
        return of.stage(stage)
                .editing(
                        (name, root) -> {
                            PyDict with = root.with("ds_config", config);
                            return name.contains("optim_states")
                                    ? GeneratedFiles.with(
                                            with,
                                            PyObject.instance(
                                                            new PyGlobal(
                                                                    "deepspeed.runtime.fp16"
                                                                            + ".loss_scaler",
                                                                    "DynamicLossScaler"))
                                                    .withState(scaler()),
                                            "optimizer_state_dict",
                                            "loss_scaler")
                                    : with;
                        });
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, ZERO, 1",
        "ZERO, 2, ZERO, 2",
        "ZERO, 3, ZERO, 3",
        "ZERO, 1, ZERO, 2",
        "ZERO, 2, FUSED, 0",
        "ZERO, 1, UNFUSED, 0"
    })
    void makesBf16WeightsOfTheFp32Master(
            Wrapper wrapper, int stage, Wrapper newWrapper, int newStage) throws IOException {
        boolean fused = newWrapper == Wrapper.FUSED;
        GeneratedCheckpoint wide = transformer().configured().inFp32().degrees(1, 1, 2);
        GeneratedCheckpoint narrow = transformer().configured().degrees(1, 2, 3);
        GeneratedCheckpoint source =
                (fused ? wide.fusedAdam() : wide).wrapper(wrapper).stage(stage).writeTo(from());
        GeneratedCheckpoint target =
                (fused ? narrow.fusedAdam() : narrow).wrapper(newWrapper).stage(newStage);
        target.writeTo(temporary.resolve("saved"));
        Relayout relayout = new Relayout(source, from(), target);

        relayout.write(to(), Map.of("dtype", "bf16"));

        assertThat(ofModelStates(Leaves.of(to())))
                .isEqualTo(ofModelStates(Leaves.of(temporary.resolve("saved"))));
    }

    @Test
    void beginsALossScaleWhereWeightsBecomeFp16() throws IOException {
        GeneratedCheckpoint source = transformer().configured().stage(2).writeTo(from());
        new Relayout(source, from(), transformer().stage(1)).write(to(), Map.of("dtype", "fp16"));

        String optimizer =
                "global_step3/zero_pp_rank_0_mp_rank_00_optim_states.pt:/'optimizer_state_dict'";
        assertThat(Leaves.of(to()))
                .containsEntry(optimizer + "/'dynamic_loss_scale'", "True")
                .containsEntry(optimizer + "/'loss_scaler'/'cur_scale'", "65536.0")
                .containsEntry(optimizer + "/'loss_scaler'/'scale_window'", "1000")
                .containsEntry(
                        "global_step3/mp_rank_00_model_states.pt:/'ds_config'/'bf16'/'enabled'",
                        "False")
                .containsEntry(
                        "global_step3/mp_rank_00_model_states.pt:/'ds_config'/'fp16'/'enabled'",
                        "True");
    }

    @Test
    void refusesToRoundWhatHasNoMaster() throws IOException {
        GeneratedCheckpoint source =
                GeneratedCheckpoint.of(withFrozenAndBuffers())
                        .configured()
                        .stage(2)
                        .writeTo(from());
        Relayout same =
                new Relayout(
                        source, from(), GeneratedCheckpoint.of(withFrozenAndBuffers()).stage(2));

        assertThatThrownBy(() -> same.tree(Map.of("dtype", "fp16")))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("without an fp32 master");
        assertThat(same.tree(Map.of("dtype", "fp32")).notes()).anyMatch(n -> n.contains("fp32"));
    }

    @Test
    void keepsTheLossScaleOfFp16WithAndWithoutZero() throws IOException {
        GeneratedCheckpoint source = inFp16(transformer().fusedAdam(), 2).writeTo(from());
        GeneratedCheckpoint without = transformer().wrapper(Wrapper.FUSED).fusedAdam().stage(0);
        new Relayout(source, from(), without).write(to());

        String optimizer = "global_step3/mp_rank_00_model_states.pt:/'optimizer'";
        assertThat(Leaves.of(to()))
                .containsEntry(optimizer + "/'dynamic_loss_scale'", "True")
                .containsEntry(optimizer + "/'cur_scale'", "4096.0")
                .containsEntry(optimizer + "/'cur_iter'", "3")
                .containsEntry(optimizer + "/'last_overflow_iter'", "1")
                .containsEntry(optimizer + "/'scale_window'", "500");

        Path back = temporary.resolve("back");
        new Relayout(without, to(), transformer().stage(1)).write(back);

        String scaler =
                "global_step3/zero_pp_rank_0_mp_rank_00_optim_states.pt:/'optimizer_state_dict'"
                        + "/'loss_scaler'";
        assertThat(Leaves.of(back))
                .containsEntry(scaler + "/'cur_scale'", "4096.0")
                .containsEntry(scaler + "/'last_overflow_iter'", "1")
                .containsEntry(scaler + "/'min_scale'", "1")
                .containsEntry(scaler + "/'cur_hysteresis'", "2");
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 5", "4, 1, 1", "2, 2, 3", "2, 1, 2", "1, 4, 2"})
    void movesTheStagesOfAPipeline(int pp, int tp, int dp) throws IOException {
        assertWrittenAsSaved(
                GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 4, 2))
                        .degrees(2, 2, 2)
                        .wrapper(Wrapper.BF16),
                GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 4, pp))
                        .degrees(pp, tp, dp)
                        .wrapper(Wrapper.BF16));
    }

    @ParameterizedTest
    @CsvSource({"40, 4, 3", "25, 3, 4", "100000, 2, 1"})
    void endsSubGroupsWhereDeepSpeedDoes(long size, int dp, int newDp) throws IOException {
        BiFunction<String, PyDict, PyDict> configured =
                (_, root) ->
                        root.with(
                                "ds_config",
                                (PyDict)
                                        TorchTree.of(
                                                Map.of(
                                                        "zero_optimization",
                                                        Map.of("sub_group_size", size))));
        assertWrittenAsSaved(
                transformer().degrees(1, 1, dp).stage(3).subGroupSize(size).editing(configured),
                transformer().degrees(1, 1, newDp).stage(3).subGroupSize(size).editing(configured));
    }

    private static List<GeneratedParameter> withFrozenAndBuffers() {
        List<GeneratedParameter> all = new ArrayList<>(GeneratedCheckpoint.transformer(1, 2));
        all.add(GeneratedParameter.of("frozen.weight", 7, 5).role(Role.FROZEN));
        all.add(GeneratedParameter.of("frozen.cut", 4, 3).cut(Cut.ROWS).role(Role.FROZEN));
        all.add(GeneratedParameter.of("rotary", 9).role(Role.BUFFER));
        return all;
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "2, 2", "2, 3", "3, 2", "3, 3", "1, 3"})
    void keepsFrozenParametersAndBuffers(int stage, int newStage) throws IOException {
        GeneratedCheckpoint source =
                GeneratedCheckpoint.of(withFrozenAndBuffers())
                        .degrees(1, 2, 2)
                        .stage(stage)
                        .writeTo(from());
        GeneratedCheckpoint target =
                GeneratedCheckpoint.of(withFrozenAndBuffers())
                        .degrees(1, 1, 3)
                        .stage(newStage)
                        .writeTo(temporary.resolve("saved"));

        CheckpointIndex index = new Relayout(source, from(), target).write(to());

        assertHoldsAll(target, index);
        assertThat(ofModelStates(Leaves.of(to())))
                .isEqualTo(ofModelStates(Leaves.of(temporary.resolve("saved"))));
    }

    private static Map<String, String> ofModelStates(Map<String, String> leaves) {
        return leaves.entrySet().stream()
                .filter(e -> e.getKey().contains("model_states.pt:"))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
    }

    @Test
    void writesTwoNamesOfAParameterAsOneStorage() throws IOException {
        Map<String, String> tied = Map.of("head.weight", "embed.weight");
        GeneratedCheckpoint source = transformer().stage(2).aliases(tied).degrees(1, 1, 2);
        GeneratedCheckpoint target = transformer().stage(2).aliases(tied).degrees(1, 1, 3);
        assertWrittenAsSaved(source, target);

        CheckpointFile model =
                CheckpointFile.open(to().resolve("global_step3/mp_rank_00_model_states.pt"));
        PickleValue head = model.root().find("module", "head.weight").orElseThrow();
        PickleValue embed = model.root().find("module", "embed.weight").orElseThrow();
        assertThat(model.tensor(head).orElseThrow().offset())
                .isEqualTo(model.tensor(embed).orElseThrow().offset());
    }

    @Test
    void namesSharedParametersOnTheFirstRankAlone() throws IOException {
        Map<String, String> tied = Map.of("head.weight", "embed.weight");
        GeneratedCheckpoint source =
                transformer().stage(3).aliases(tied).degrees(1, 1, 2).writeTo(from());
        new Relayout(source, from(), transformer().stage(3).aliases(tied).degrees(1, 1, 2))
                .write(to());

        Map<String, String> leaves = Leaves.of(to());

        String file = "global_step3/zero_pp_rank_%d_mp_rank_00_model_states.pt:/'shared_params'";
        assertThat(leaves)
                .containsEntry(file.formatted(0), "dict of 1")
                .containsEntry(file.formatted(1), "dict of 0");
    }

    @ParameterizedTest
    @CsvSource({"NUMBER", "NONE"})
    void keepsTheStepWhereItIs(Step step) throws IOException {
        // A step that is no tensor is given to the writer as the reader finds it.
        GeneratedCheckpoint source = transformer().degrees(1, 1, 2).step(step).writeTo(from());
        GeneratedCheckpoint target = transformer().degrees(1, 1, 3);

        assertHoldsAll(target, new Relayout(source, from(), target).write(to()));
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 1", "BF16, 1", "ZERO, 2", "ZERO, 3"})
    void keepsTheOrderInWhichTheOptimizerWasGivenItsParameters(Wrapper wrapper, int stage)
            throws IOException {
        assertWrittenAsSaved(
                transformer().degrees(1, 2, 2).stage(stage).wrapper(wrapper).reversedGroups(),
                transformer().degrees(1, 1, 3).stage(stage).wrapper(wrapper).reversedGroups());
    }

    @Test
    void refusesExpertsThatTheOptimizerHasInAnotherOrderThanTheModel() throws IOException {
        GeneratedCheckpoint source = experts(1, 2, 2, Cut.REPLICATED).reversedGroups();
        source.writeTo(from());
        Relayout one = new Relayout(source, from(), experts(1, 2, 1, Cut.REPLICATED));

        assertThatThrownBy(() -> one.tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("in another order than the model");
    }

    @ParameterizedTest
    @CsvSource({"1, 2, 1", "2, 2, 2", "3, 3, 3", "2, 4, 3"})
    void namesNowhereWhatASpecLeavesOut(int stage, int newDp, int newStage) throws IOException {
        String name = "frozen.cut";
        GeneratedCheckpoint source =
                GeneratedCheckpoint.of(withFrozenAndBuffers())
                        .degrees(1, 1, 2)
                        .stage(stage)
                        .writeTo(from());
        GeneratedCheckpoint target =
                GeneratedCheckpoint.of(withFrozenAndBuffers()).degrees(1, 1, newDp).stage(newStage);

        new Relayout(source, from(), target)
                .without(Set.of(name, "rotary", "embed.weight"))
                .write(to());

        assertThat(Leaves.of(to()).entrySet())
                .noneMatch(e -> e.toString().contains("embed.weight"))
                .noneMatch(e -> e.toString().contains("rotary"))
                .noneMatch(e -> stage > 1 && e.toString().contains(name))
                .anyMatch(e -> e.toString().contains("frozen.weight"));
    }

    private static GeneratedCheckpoint experts(int tp, int dp, int ep, Cut cut) {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.mixture(cut))
                .degrees(1, tp, dp)
                .expertRanks(ep);
    }

    @ParameterizedTest
    @CsvSource({
        "BF16, 1, 2, 2, 2, 1",
        "BF16, 1, 2, 1, 6, 6",
        "ZERO, 2, 4, 2, 4, 4",
        "ZERO, 1, 6, 2, 3, 1",
        "ELASTIC, 2, 4, 4, 2, 1",
        "ZERO, 2, 1, 1, 12, 4"
    })
    void dividesExpertsAnew(Wrapper wrapper, int stage, int dp, int ep, int newDp, int newEp)
            throws IOException {
        assertWrittenAsSaved(
                experts(1, dp, ep, Cut.REPLICATED).stage(stage).wrapper(wrapper),
                experts(1, newDp, newEp, Cut.REPLICATED).stage(stage).wrapper(wrapper));
    }

    @ParameterizedTest
    @CsvSource({"2, 2, 2, 4, 1, 4", "1, 2, 2, 2, 4, 4", "2, 3, 2, 1, 3, 3", "2, 4, 4, 2, 1, 2"})
    void dividesExpertsOverTensorRanksToo(int tp, int dp, int ep, int newTp, int newDp, int newEp)
            throws IOException {
        assertWrittenAsSaved(
                experts(tp, dp, ep, Cut.REPLICATED).expertsAcrossTensorRanks(),
                experts(newTp, newDp, newEp, Cut.REPLICATED).expertsAcrossTensorRanks());
    }

    @ParameterizedTest
    @CsvSource({"2, 2, 2, 4, 4, 1", "1, 2, 2, 2, 4, 4", "4, 4, 2, 1, 3, 3"})
    void dividesExpertsThatTensorRanksCut(int tp, int dp, int ep, int newTp, int newDp, int newEp)
            throws IOException {
        assertWrittenAsSaved(experts(tp, dp, ep, Cut.ROWS), experts(newTp, newDp, newEp, Cut.ROWS));
    }

    @ParameterizedTest
    @CsvSource({"4, 2, 6, 3", "6, 2, 6, 3", "2, 2, 4, 1"})
    void keepsExpertRanksInBlocks(int dp, int ep, int newDp, int newEp) throws IOException {
        assertWrittenAsSaved(
                experts(1, dp, ep, Cut.REPLICATED).expertsInBlocks(),
                experts(1, newDp, newEp, Cut.REPLICATED).expertsInBlocks());
    }

    private static PyDict configuration(Map<String, Object> of) {
        return (PyDict) TorchTree.of(of);
    }

    private static BiFunction<String, PyDict, PyDict> megatron(long dp) {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("train_batch_size", 24);
        config.put("train_micro_batch_size_per_gpu", 24 / dp);
        config.put("zero_optimization", Map.of("stage", 1));
        Map<String, Object> args = new LinkedHashMap<>();
        args.put("tensor_model_parallel_size", 1);
        args.put("pipeline_model_parallel_size", 1);
        args.put("data_parallel_size", dp);
        args.put("world_size", dp);
        args.put("rank", 0);
        args.put("local_rank", 0);
        args.put("micro_batch_size", 24 / dp);
        args.put("global_batch_size", 24);
        args.put("zero_stage", 1);
        args.put("deepspeed_config_dict", configuration(config));
        return (name, root) ->
                name.contains("model_states")
                        ? root.with("ds_config", configuration(config))
                                .with("args", PyObject.namespace(configuration(args)))
                                .with("checkpoint_version", PyInt.of(3))
                                .with("rng_state", PyText.of("state of " + name))
                        : root;
    }

    private Map<String, String> written(GeneratedCheckpoint target) throws IOException {
        GeneratedCheckpoint source =
                transformer().degrees(1, 1, 2).editing(megatron(2)).writeTo(from());
        new Relayout(source, from(), target).write(to());
        return Leaves.of(to());
    }

    @Test
    void keepsTheGlobalBatchAndTellsTheScriptItsNewDegrees() throws IOException {
        Map<String, String> leaves = written(transformer().degrees(1, 2, 3).stage(2));

        String second = "global_step3/mp_rank_01_model_states.pt:";
        assertThat(leaves)
                .containsEntry(second + "/'ds_config'/'train_batch_size'", "24")
                .containsEntry(second + "/'ds_config'/'train_micro_batch_size_per_gpu'", "8")
                .containsEntry(second + "/'ds_config'/'zero_optimization'/'stage'", "2")
                .containsEntry(second + "/'args'/'tensor_model_parallel_size'", "2")
                .containsEntry(second + "/'args'/'data_parallel_size'", "3")
                .containsEntry(second + "/'args'/'world_size'", "6")
                .containsEntry(second + "/'args'/'rank'", "1")
                .containsEntry(second + "/'args'/'micro_batch_size'", "8")
                .containsEntry(second + "/'args'/'zero_stage'", "2")
                .containsEntry(
                        second + "/'args'/'deepspeed_config_dict'/'train_micro_batch_size_per_gpu'",
                        "8");
        assertThat(to().resolve("latest_checkpointed_iteration.txt")).hasContent("3");
    }

    @Test
    void refusesAGlobalBatchThatDoesNotDivide() throws IOException {
        GeneratedCheckpoint source =
                transformer().degrees(1, 1, 2).editing(megatron(2)).writeTo(from());
        Relayout five = new Relayout(source, from(), transformer().degrees(1, 1, 5));

        assertThatThrownBy(() -> five.tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("global batch of 24 over 5")
                .hasMessageContaining("--global-batch 20 or 25");
        assertThat(five.tree(Map.of("global-batch", "25")).files()).hasSize(6);
    }

    @Test
    void givesNewRanksTheRandomStateOfThoseAtTheSamePlace() throws IOException {
        Map<String, String> leaves = written(transformer().degrees(1, 2, 1));

        assertThat(leaves)
                .containsEntry(
                        "global_step3/mp_rank_01_model_states.pt:/'rng_state'",
                        "'state of mp_rank_00_model_states.pt'");
    }

    @Test
    void dropsRandomStatesAndSaysSo() throws IOException {
        GeneratedCheckpoint source =
                transformer().degrees(1, 1, 2).editing(megatron(2)).writeTo(from());
        TargetTree tree =
                new Relayout(source, from(), transformer().degrees(1, 1, 3))
                        .tree(Map.of("rng", "drop"));

        assertThat(tree.losses()).singleElement().asString().contains("--no-load-rng");
    }

    @Test
    void keepsFilesBesideWhateverTheTagBeginsWith() throws IOException {
        GeneratedCheckpoint source = transformer().writeTo(from());
        Path tag = temporary.resolve("latest_stable");
        Files.move(from().resolve("global_step" + source.iteration), tag);
        Files.writeString(tag.resolve("notes.txt"), "kept");

        new Relayout(source, tag, transformer()).write(to());

        assertThat(to().resolve("latest_stable/notes.txt")).hasContent("kept");
    }

    @Test
    void namesThePatternsOfTensorParallelismOnlyWhereThereIsSome() throws IOException {
        GeneratedCheckpoint source = transformer().degrees(1, 2, 1).patterns().writeTo(from());
        new Relayout(source, from(), transformer()).write(to());

        assertThat(
                        Leaves.of(to()).keySet().stream()
                                .filter(k -> k.contains("'universal_checkpoint_info'/")))
                .noneMatch(k -> k.contains("tp_replicated") || k.contains("row_parallelism"))
                .anyMatch(k -> k.contains("'universal_checkpoint_version'"));
    }

    @Test
    void cutsTheWidthsOfSubParametersAnew() throws IOException {
        PyDict info =
                configuration(
                        Map.of(
                                "universal_checkpoint_version",
                                0.4,
                                "tp_replicated_parameter_patterns",
                                List.of("norm"),
                                "parameter_with_sub_params",
                                List.of(
                                        Map.of(
                                                "patterns",
                                                List.of("qkv"),
                                                "shape",
                                                List.of(List.of(8, 4, 4), 6),
                                                "partition_dim",
                                                0)),
                                "sub_param_shard_widths",
                                Map.of(
                                        "qkv",
                                        List.of(List.of(5, 3), List.of(2, 2), List.of(4, 0)))));
        GeneratedCheckpoint source =
                transformer()
                        .degrees(1, 2, 1)
                        .editing(
                                (name, root) ->
                                        name.contains("model_states")
                                                ? root.with("universal_checkpoint_info", info)
                                                : root)
                        .writeTo(from());
        new Relayout(source, from(), transformer().degrees(1, 4, 1)).write(to());

        String widths =
                "global_step3/mp_rank_03_model_states.pt:/'universal_checkpoint_info'"
                        + "/'sub_param_shard_widths'/'qkv'/%d/%d";
        assertThat(Leaves.of(to()))
                .containsEntry(widths.formatted(0, 3), "2")
                .containsEntry(widths.formatted(1, 0), "1")
                .containsEntry(widths.formatted(2, 1), "1")
                .doesNotContainKey(widths.formatted(0, 4));
    }

    @ParameterizedTest
    @CsvSource({
        "rng, shuffle, 'keep, spread, drop'",
        "global-batch, many, a number of samples",
        "compress, zstd, 'dtype, global-batch, rng, weights-only'"
    })
    void refusesOptionsThatItCannotFollow(String option, String value, String expected)
            throws IOException {
        GeneratedCheckpoint source = transformer().writeTo(from());
        Relayout same = new Relayout(source, from(), transformer());

        assertThatThrownBy(() -> same.tree(Map.of(option, value)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(expected);
    }

    @ParameterizedTest
    @CsvSource({
        "2, 1, 2, 1, 3",
        "2, 1, 3, 1, 1",
        "2, 1, 1, 1, 4",
        "2, 2, 4, 1, 7",
        "1, 1, 5, 4, 2",
        "1, 4, 2, 2, 16"
    })
    void dealsParametersThatTakeTurnsToTheRanksOfTheTarget(
            int stage, int tp, int dp, int newTp, int newDp) throws IOException {
        assertDealtAsSaved(
                transformer().degrees(1, tp, dp).stage(stage),
                transformer().degrees(1, newTp, newDp).stage(stage));
    }

    @ParameterizedTest
    @CsvSource({"1, 2, 3, 1", "3, 4, 4, 2", "2, 3, 3, 2"})
    void dealsExpertsToTheRanksThatShareThem(int ep, int edp, int newEp, int newEdp)
            throws IOException {
        assertDealtAsSaved(
                experts(1, ep * edp, ep, Cut.REPLICATED).stage(2),
                experts(1, newEp * newEdp, newEp, Cut.REPLICATED).stage(2));
    }

    private void assertDealtAsSaved(GeneratedCheckpoint source, GeneratedCheckpoint target)
            throws IOException {
        source.configured().roundRobin().writeTo(from());
        target.configured().roundRobin().writeTo(temporary.resolve("saved"));

        CheckpointIndex index = new Relayout(source, from(), target).write(to());

        assertHoldsAll(target, index);
        assertThat(Leaves.of(to())).isEqualTo(Leaves.of(temporary.resolve("saved")));
    }

    /// ZeRO 3 lays parameters out in the model's order.
    @ParameterizedTest
    @CsvSource({"2, 3", "3, 2", "1, 3"})
    void parametersTakeTurnsInStages1And2Only(int stage, int newStage) throws IOException {
        GeneratedCheckpoint source = transformer().degrees(1, 2, 3).stage(stage);
        GeneratedCheckpoint target = transformer().degrees(1, 1, 4).stage(newStage);
        source.configured().roundRobin().writeTo(from());
        target.configured().roundRobin().writeTo(temporary.resolve("saved"));

        CheckpointIndex index = new Relayout(source, from(), target).write(to());

        assertHoldsAll(target, index);
        assertThat(membersInOrder(index))
                .isEqualTo(
                        membersInOrder(
                                new Relayout(target, temporary.resolve("saved"), target)
                                        .write(temporary.resolve("again"))));
    }

    private static List<List<String>> membersInOrder(CheckpointIndex index) {
        return index.flatGroups().stream()
                .map(g -> g.members().stream().map(FlatGroup.Member::name).toList())
                .toList();
    }

    @Test
    void copiesFilesThatNoRankOwns() throws IOException {
        GeneratedCheckpoint source = transformer().degrees(1, 1, 2).writeTo(from());
        Files.writeString(from().resolve("global_step3/notes.txt"), "as it was");

        new Relayout(source, from(), transformer()).write(to());

        assertThat(to().resolve("global_step3/notes.txt")).hasContent("as it was");
    }

    @Test
    void doesNotDependOnHowOftenItIsAsked() throws IOException {
        GeneratedCheckpoint source = transformer().degrees(1, 1, 2).writeTo(from());
        Relayout again = new Relayout(source, from(), transformer().degrees(1, 2, 1));

        again.write(to());
        again.write(temporary.resolve("again"));

        try (var files = Files.list(to().resolve("global_step3"))) {
            for (Path file : files.toList()) {
                assertThat(temporary.resolve("again/global_step3").resolve(file.getFileName()))
                        .hasSameBinaryContentAs(file);
            }
        }
    }
}
