package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.io.MalformedFileException;

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
import java.util.Set;

/// Experts that AutoEP fused: `w1`, `w2` and `w3` of a rank's experts are a tensor each, a file an
/// expert holds its rows.
class AutoEpTest {
    @TempDir Path temporary;

    private Path from() {
        return temporary.resolve("from");
    }

    private Path to() {
        return temporary.resolve("to");
    }

    private static GeneratedCheckpoint experts(Wrapper wrapper, int stage, int dp, int ep) {
        GeneratedCheckpoint made =
                GeneratedCheckpoint.of(GeneratedCheckpoint.fusedMixture())
                        .configured()
                        .degrees(1, 1, dp)
                        .expertRanks(ep);
        return stage > 0 ? made.wrapper(wrapper).stage(stage) : made.withoutZero(wrapper);
    }

    private static void assertHoldsEveryState(GeneratedCheckpoint of, CheckpointIndex index)
            throws IOException {
        Set<String> seen = HeldValues.check(of, index);
        for (GeneratedParameter p : of.parameters) {
            boolean weight = of.stage < 3;
            assertThat(seen).contains(p.name() + "/exp_avg", p.name() + "/exp_avg_sq");
            assertThat(seen.contains(p.name() + "/weight")).as(p.name()).isEqualTo(weight);
            assertThat(seen.contains(p.name() + "/fp32"))
                    .as(p.name())
                    .isEqualTo(of.stage > 0 || of.wrapper != Wrapper.ZERO);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 0, 4, 2",
        "FUSED, 0, 2, 2",
        "UNFUSED, 0, 6, 3",
        "ZERO, 1, 4, 2",
        "BF16, 1, 4, 4",
        "ZERO, 2, 3, 1",
        "ZERO, 3, 4, 2",
        "ZERO, 3, 6, 3",
        "ZERO, 3, 2, 1"
    })
    void holdsTheExpertsOfEveryRank(Wrapper wrapper, int stage, int dp, int ep) throws IOException {
        GeneratedCheckpoint source = experts(wrapper, stage, dp, ep).writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(index.mesh()).contains(new AxisDegree("ep", ep), new AxisDegree("edp", dp / ep));
        List<HeldTensor> weights =
                index.tensors().stream()
                        .filter(t -> t.name().equals("layers.1.mlp.experts.w2"))
                        .filter(t -> t.state().equals("weight"))
                        .toList();
        assertThat(weights).hasSize(stage < 3 ? 12 : 0);
        if (stage == 3) {
            return;
        }
        assertThat(weights.getLast().at().on("ep")).isEqualTo(ep - 1);
        assertThat(weights.getLast().from()).isEqualTo((12 / ep - 1) * 40L);
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, 2, 2, 4, 4",
        "ZERO, 2, 4, 4, 2, 1",
        "BF16, 1, 6, 3, 6, 2",
        "ELASTIC, 2, 4, 2, 3, 3",
        "ZERO, 0, 2, 2, 4, 4",
        "FUSED, 0, 4, 2, 3, 1",
        "UNFUSED, 0, 3, 3, 2, 2",
        "ZERO, 3, 4, 2, 6, 3",
        "ZERO, 3, 3, 3, 4, 1",
        "ZERO, 3, 2, 1, 4, 4"
    })
    void dividesExpertsAnew(Wrapper wrapper, int stage, int dp, int ep, int newDp, int newEp)
            throws IOException {
        assertWrittenAsSaved(
                experts(wrapper, stage, dp, ep), experts(wrapper, stage, newDp, newEp));
    }

    @ParameterizedTest
    @CsvSource({
        "1, 4, 2, 6, 3",
        "2, 6, 2, 6, 3",
        "1, 2, 2, 4, 1",
        "3, 4, 2, 6, 3",
        "3, 6, 3, 4, 2"
    })
    void keepsExpertRanksInBlocks(int stage, int dp, int ep, int newDp, int newEp)
            throws IOException {
        assertWrittenAsSaved(
                experts(Wrapper.ZERO, stage, dp, ep).expertsInBlocks(),
                experts(Wrapper.ZERO, stage, newDp, newEp).expertsInBlocks());
    }

    @ParameterizedTest
    @CsvSource({"1, 3", "3, 2", "2, 3", "3, 1"})
    void turnsAStageIntoAnother(int stage, int newStage) throws IOException {
        assertWrittenAsSaved(
                experts(Wrapper.ZERO, stage, 4, 2), experts(Wrapper.ZERO, newStage, 6, 3));
    }

    @Test
    void endsSubGroupsOfExpertsWhereDeepSpeedDoes() throws IOException {
        assertWrittenAsSaved(
                sized(experts(Wrapper.ZERO, 3, 4, 2)), sized(experts(Wrapper.ZERO, 3, 2, 1)));
    }

    private static GeneratedCheckpoint sized(GeneratedCheckpoint of) {
        PyDict zero =
                PyDict.empty().with("stage", PyInt.of(3)).with("sub_group_size", PyInt.of(150));
        return of.subGroupSize(150)
                .editing(
                        (_, root) ->
                                root.has("ds_config")
                                        ? GeneratedFiles.with(
                                                root, zero, "ds_config", "zero_optimization")
                                        : root);
    }

    @ParameterizedTest
    @ValueSource(strings = {"layer_1_expert_7", "layer_0_expert_11"})
    void namesTheMissingFileOfAnExpert(String file) throws IOException {
        experts(Wrapper.ZERO, 1, 2, 2).writeTo(from());
        String name = file + "_mp_rank_00_model_states.pt";
        Files.delete(from().resolve("global_step3").resolve(name));

        assertThatThrownBy(() -> Relayout.read(from()))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(name);
    }

    @Test
    void refusesTensorParallelRanks() throws IOException {
        GeneratedCheckpoint source = experts(Wrapper.ZERO, 1, 2, 2).writeTo(from());
        GeneratedCheckpoint target = experts(Wrapper.ZERO, 1, 2, 2).degrees(1, 2, 2);

        assertThatThrownBy(() -> new Relayout(source, from(), target).tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("experts of AutoEP in a job of tp 2");
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 1", "FUSED, 2"})
    void entersAndLeavesZero(Wrapper without, int stage) throws IOException {
        GeneratedCheckpoint plain = experts(without, 0, 2, 2);
        GeneratedCheckpoint zero = experts(without, 0, 4, 2).wrapper(Wrapper.ZERO).stage(stage);
        assertWrittenAsSaved(plain, zero);
        GeneratedCheckpoint again = experts(without, 0, 2, 1);
        again.writeTo(temporary.resolve("plain"));

        new Relayout(zero, to(), again).write(temporary.resolve("again"));

        assertThat(Leaves.of(temporary.resolve("again")))
                .isEqualTo(Leaves.of(temporary.resolve("plain")));
    }

    private void assertWrittenAsSaved(GeneratedCheckpoint source, GeneratedCheckpoint target)
            throws IOException {
        assertHoldsEveryState(target, Relayout.assertWrittenAsSaved(source, target, temporary));
    }

    private void edited(String key, PyInt value) throws IOException {
        experts(Wrapper.ZERO, 1, 2, 2)
                .editing(
                        (name, root) -> {
                            if (!name.startsWith("mp_rank")) {
                                return root;
                            }
                            var layers =
                                    root.find("ds_autoep_layers")
                                            .flatMap(v -> v.asSequence())
                                            .orElseThrow();
                            PyDict first = layers.getFirst().asDict().orElseThrow();
                            return root.with(
                                    "ds_autoep_layers",
                                    PyList.of(List.of(first.with(key, value), layers.getLast())));
                        })
                .writeTo(from());
    }

    @Test
    void refusesALayerWhoseExpertsDoNotDivide() throws IOException {
        edited("num_local_experts", PyInt.of(5));

        assertThatThrownBy(() -> Relayout.read(from()))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("layers.0.mlp.experts of 12 experts, 5 on each of 2 ranks");
    }

    @Test
    void refusesAnExpertThatTheLayerDoesNotHave() throws IOException {
        experts(Wrapper.ZERO, 1, 2, 2)
                .editing(
                        (name, root) -> {
                            if (!name.startsWith("layer_1_expert_3_")) {
                                return root;
                            }
                            PyDict moved = PyDict.empty();
                            for (PyDict.Entry e : root.entries()) {
                                moved =
                                        moved.with(
                                                e.key().asText().orElseThrow().replace(".3", ".4"),
                                                e.value());
                            }
                            return moved;
                        })
                .writeTo(from());

        assertThatThrownBy(() -> Relayout.read(from()))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("layer_1_expert_3")
                .hasMessageContaining("the expert that the file is named by");
    }

    @Test
    void refusesExpertsFoldedOverTensorParallelRanks() throws IOException {
        experts(Wrapper.ZERO, 1, 2, 2)
                .editing((_, root) -> root.with("folding", PyDict.empty()))
                .writeTo(from());

        assertThatThrownBy(() -> Relayout.read(from()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("`folding`");
    }
}
