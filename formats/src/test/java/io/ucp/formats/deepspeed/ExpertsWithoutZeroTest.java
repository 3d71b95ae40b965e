package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// DeepSpeed-MoE without ZeRO: an optimizer for each expert-parallel rank
/// (`expp_rank_E_mp_rank_MM_optim_states.pt`), read and written at any division of the experts.
class ExpertsWithoutZeroTest {
    @TempDir Path temporary;

    private Path from() {
        return temporary.resolve("from");
    }

    private Path to() {
        return temporary.resolve("to");
    }

    private static GeneratedCheckpoint experts(Wrapper wrapper, int tp, int dp, int ep) {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.mixture(Cut.REPLICATED))
                .configured()
                .degrees(1, tp, dp)
                .expertRanks(ep)
                .withoutZero(wrapper);
    }

    private static void assertHoldsEveryState(GeneratedCheckpoint of, CheckpointIndex index)
            throws IOException {
        Set<String> seen = HeldValues.check(of, index);
        for (GeneratedParameter p : of.parameters) {
            for (int e = 0; e < p.count(); e++) {
                assertThat(seen)
                        .contains(
                                p.name(e) + "/weight",
                                p.name(e) + "/exp_avg",
                                p.name(e) + "/exp_avg_sq");
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ZERO", "FUSED", "UNFUSED"})
    void holdsTheStatesOfEveryExpertRank(Wrapper wrapper) throws IOException {
        GeneratedCheckpoint source = experts(wrapper, 1, 6, 3).writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(index.mesh()).contains(new AxisDegree("ep", 3), new AxisDegree("edp", 2));
        assertThat(index.members())
                .filteredOn(m -> m.name().equals("layers.1.mlp.deepspeed_moe.gate.wg.weight"))
                .hasSize(3)
                .allMatch(m -> m.optimizerGroup() == 0);
        assertThat(index.members())
                .filteredOn(
                        m ->
                                m.name()
                                        .endsWith(
                                                "layers.0.mlp.deepspeed_moe.experts.deepspeed_experts.3.bias"))
                .extracting(OptimizerMember::optimizerGroup)
                .containsExactly(3, 3, 3);
        assertThat(index.tensors().stream().anyMatch(t -> t.state().equals("fp32")))
                .isEqualTo(wrapper != Wrapper.ZERO);
    }

    @ParameterizedTest
    @CsvSource({"2, 2", "2, 4", "4, 2"})
    void holdsThemWhereExpertsDivideTensorRanksToo(int tp, int ep) throws IOException {
        GeneratedCheckpoint source =
                experts(Wrapper.UNFUSED, tp, 2, ep).expertsAcrossTensorRanks().writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(index.mesh())
                .contains(new AxisDegree("ep", ep), new AxisDegree("edp", 2 * tp / ep));
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 2, 2, 4, 4",
        "ZERO, 4, 4, 2, 1",
        "FUSED, 2, 2, 6, 6",
        "FUSED, 4, 2, 4, 1",
        "FUSED, 1, 1, 3, 3",
        "UNFUSED, 6, 3, 2, 2",
        "UNFUSED, 2, 1, 4, 4"
    })
    void dividesExpertsAnew(Wrapper wrapper, int dp, int ep, int newDp, int newEp)
            throws IOException {
        assertWrittenAsSaved(experts(wrapper, 1, dp, ep), experts(wrapper, 1, newDp, newEp));
    }

    @ParameterizedTest
    @CsvSource({"FUSED, 2, 2, 1, 4", "UNFUSED, 1, 2, 2, 1", "ZERO, 4, 1, 2, 2"})
    void dividesExpertsThatTensorRanksCut(Wrapper wrapper, int tp, int ep, int newTp, int newEp)
            throws IOException {
        assertWrittenAsSaved(experts(wrapper, tp, 4, ep), experts(wrapper, newTp, 4, newEp));
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 1, 4, 2", "FUSED, 1, 2, 1", "FUSED, 2, 4, 4", "UNFUSED, 2, 6, 3"})
    void entersZero(Wrapper wrapper, int stage, int dp, int ep) throws IOException {
        assertWrittenAsSaved(
                experts(wrapper, 1, 2, 2),
                experts(wrapper, 1, dp, ep).wrapper(Wrapper.ZERO).stage(stage));
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 1, 4, 2", "FUSED, 1, 2, 1", "FUSED, 2, 4, 4", "UNFUSED, 2, 6, 3"})
    void leavesZero(Wrapper wrapper, int stage, int dp, int ep) throws IOException {
        assertWrittenAsSaved(
                experts(wrapper, 1, dp, ep).wrapper(Wrapper.ZERO).stage(stage),
                experts(wrapper, 1, 2, 2));
    }

    private void assertWrittenAsSaved(GeneratedCheckpoint source, GeneratedCheckpoint target)
            throws IOException {
        assertHoldsEveryState(target, Relayout.assertWrittenAsSaved(source, target, temporary));
    }

    @Test
    void namesTheMissingOptimizerOfAnExpertRank() throws IOException {
        experts(Wrapper.FUSED, 1, 4, 4).writeTo(from());
        Files.delete(from().resolve("global_step3/expp_rank_3_mp_rank_00_optim_states.pt"));

        assertThatThrownBy(() -> Relayout.read(from()))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("expp_rank_3_mp_rank_00_optim_states.pt");
    }

    @Test
    void refusesExpertRanksThatTheJobCannotHaveHad() throws IOException {
        experts(Wrapper.FUSED, 1, 4, 4).writeTo(from());
        Path tag = from().resolve("global_step3");
        Files.copy(
                tag.resolve("expp_rank_0_mp_rank_00_optim_states.pt"),
                tag.resolve("expp_rank_4_mp_rank_00_optim_states.pt"));

        assertThatThrownBy(() -> Relayout.read(from()))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("optimizers of 5 expert-parallel ranks")
                .hasMessageContaining("the 4 ranks of the job");
    }

    @Test
    void leavesOptimizersInTheirFilesWhereOneHasOtherParameters() throws IOException {
        GeneratedCheckpoint source =
                experts(Wrapper.ZERO, 1, 2, 2)
                        .editing(
                                (name, root) ->
                                        name.startsWith("expp_rank_1")
                                                ? GeneratedFiles.with(
                                                        root,
                                                        TorchTree.of(
                                                                List.of(
                                                                        Map.of(
                                                                                "params",
                                                                                List.of(0)))),
                                                        "optimizer",
                                                        "param_groups")
                                                : root)
                        .writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertThat(index.members()).isEmpty();
        assertThat(HeldValues.check(source, index)).noneMatch(s -> s.endsWith("exp_avg"));
        assertThat(index.findings())
                .anyMatch(
                        f ->
                                f.place().startsWith("expp_rank_1")
                                        && f.message().contains("does not name its parameters"));
    }

    private static PyDict withNote(String name, PyDict root) {
        return name.startsWith("mp_rank") ? root.with("note", PyText.of(name)) : root;
    }

    @Test
    void keepsWhatTheScriptSavedInTheModelStates() throws IOException {
        GeneratedCheckpoint source =
                experts(Wrapper.FUSED, 1, 2, 2)
                        .editing(ExpertsWithoutZeroTest::withNote)
                        .writeTo(from());

        new Relayout(source, from(), experts(Wrapper.FUSED, 1, 2, 1)).write(to());

        assertThat(Leaves.of(to())).containsValue("'mp_rank_00_model_states.pt'");
    }
}
