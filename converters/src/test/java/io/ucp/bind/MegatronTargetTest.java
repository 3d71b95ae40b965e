package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.TargetJob;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What the ranks of a job of Megatron-LM hold.
class MegatronTargetTest {
    private static final Map<String, Long> NUMBERS =
            Map.of(
                    "hidden", 16L,
                    "heads", 8L,
                    "kv_heads", 2L,
                    "head_dim", 2L,
                    "moe_ffn", 4L,
                    "experts", 4L);

    private final List<ParameterFacts> parameters = new ArrayList<>();

    private void parameter(String name, long... dims) {
        Shape shape = Shape.of(dims);
        Map<String, DType> states = Map.of("weight", DType.BFLOAT16);
        parameters.add(TargetModel.parameter(name, shape, shape, states));
    }

    private void layers(int count) {
        for (int l = 0; l < count; l++) {
            parameter("decoder.layers.%d.self_attention.linear_qkv.weight".formatted(l), 24, 16);
        }
    }

    private TargetBinder.Source source(AxisDegree... mesh) {
        return new TargetBinder.Source(
                parameters,
                new LayoutHints(
                        Optional.empty(),
                        List.of(),
                        OptionalLong.empty(),
                        Map.of(),
                        Set.of(),
                        Set.of(),
                        NUMBERS),
                List.of(mesh),
                -1);
    }

    private static TargetRequest megatron(int tp, int pp) {
        return TargetRequest.SAME
                .withFramework(TargetRequest.Framework.MEGATRON)
                .withTp(tp)
                .withPp(pp);
    }

    private TargetJob job(TargetRequest request) {
        return TargetModel.bind(
                        source(new AxisDegree("pp", 1), new AxisDegree("tp", 1)),
                        SpecLibrary.find("megatron_core_moe"),
                        request,
                        Map.of())
                .job();
    }

    private static List<Integer> stages(TargetJob job) {
        return job.shards().values().stream().map(s -> s.getFirst().at().on("pp")).toList();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4, 8})
    void moreRanksThanGroupsShareOne(int tp) {
        layers(1);
        List<RankShard> held = job(megatron(tp, 1).withDp(1)).shards().values().iterator().next();
        assertThat(held).hasSize(tp);
        assertThat(held.getFirst().shape()).isEqualTo(Shape.of(24 / tp, 16));
    }

    @Test
    void ranksThatCutHeadsAreRefused() {
        layers(1);
        assertThatThrownBy(() -> job(megatron(3, 1).withDp(1)))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("tp 3 over 8 attention heads with 2 key-value heads");
    }

    @Test
    void chunksTakeTurnsOverTheStages() {
        layers(8);
        TargetJob job = job(megatron(1, 2).withDp(1).withVirtual(2));
        assertThat(stages(job)).containsExactly(0, 0, 1, 1, 0, 0, 1, 1);
        assertThat(job.virtual()).isEqualTo(2);
        assertThat(
                        stages(
                                job(
                                        megatron(1, 2)
                                                .withDp(1)
                                                .withVirtual(2)
                                                .withStages(List.of(1, 3, 2, 2)))))
                .containsExactly(0, 1, 1, 1, 0, 0, 1, 1);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "2|2|6|pp 2 with 2 chunks a stage over 6 layers; expected equally many layers",
                "2|4|4|pp 2 with 4 chunks a stage over 4 layers; expected a layer or more",
                "1|2|4|2 model chunks of one pipeline stage; expected chunks of pp 2 or more"
            })
    void chunksThatTheModelCannotHaveAreRefused(int pp, int vpp, int layers, String message) {
        layers(layers);
        assertThatThrownBy(() -> job(megatron(1, pp).withDp(1).withVirtual(vpp)))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageStartingWith(message);
    }

    @Test
    void expertsAreSharedOutOverRanksOfTheirOwn() {
        for (int e = 0; e < 4; e++) {
            parameter(
                    "decoder.layers.0.mlp.experts.local_experts.%d.linear_fc1.weight".formatted(e),
                    8,
                    16);
        }
        TargetJob job = job(megatron(4, 1).withDp(1).withEp(2).withEtp(2));
        assertThat(job.degree("ep")).isEqualTo(2);
        assertThat(job.degree("etp")).isEqualTo(2);
        List<RankShard> third = List.copyOf(job.shards().values()).get(2);
        assertThat(third)
                .extracting(s -> s.at().toString())
                .containsExactly("ep 1, etp 0, pp 0", "ep 1, etp 1, pp 0");
        assertThat(third.getFirst().shape()).isEqualTo(Shape.of(4, 16));
        assertThat(job(megatron(4, 1).withDp(1).withEp(1)).degree("etp")).isEqualTo(4);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "2|1|4|1|ep 4 with etp 1 over the 2 ranks of a stage; expected an ep that divides",
                "2|2|1|4|etp 4 of tp 2; expected a divisor",
                "1|3|3|1|ep 3 over 4 experts; expected equally many experts on every rank"
            })
    void expertsThatTheRanksCannotHaveAreRefused(int tp, int dp, int ep, int etp, String message) {
        parameter("decoder.layers.0.mlp.experts.local_experts.0.linear_fc1.weight", 8, 16);
        parameter("decoder.layers.0.mlp.experts.local_experts.1.linear_fc1.weight", 8, 16);
        parameter("decoder.layers.0.mlp.experts.local_experts.2.linear_fc1.weight", 8, 16);
        parameter("decoder.layers.0.mlp.experts.local_experts.3.linear_fc1.weight", 8, 16);
        TargetRequest request = megatron(tp, 1).withDp(dp).withEp(ep).withEtp(etp);
        assertThatThrownBy(() -> job(request))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageStartingWith(message);
    }
}
