package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.TargetJob;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Map;

class GpuMemoryTest {
    private static final Map<String, DType> ADAM =
            Map.of(
                    "weight", DType.BFLOAT16,
                    "fp32", DType.FLOAT32,
                    "exp_avg", DType.FLOAT32,
                    "exp_avg_sq", DType.FLOAT32);

    private static ParameterFacts parameter(String name, boolean trainable) {
        Shape shape = Shape.of(100);
        return new ParameterFacts(
                name,
                shape,
                shape,
                trainable ? ADAM : Map.of("weight", DType.BFLOAT16),
                Map.of(),
                ParameterFacts.Split.UNKNOWN,
                trainable,
                false,
                trainable ? 0 : -1,
                List.of(),
                Map.of(),
                List.of());
    }

    private static RankShard shard(String name, Coordinate at, long elements) {
        return new RankShard(name, at, Shape.of(elements), List.of(), 0);
    }

    @ParameterizedTest
    @CsvSource({"0, 200, 200, 1200", "1, 200, 200, 300", "2, 200, 50, 300", "3, 50, 50, 300"})
    void zeroStagesCutOneMoreThingEachOverTheDataParallelRanks(
            int stage, long weights, long gradients, long optimizer) {
        TargetJob job =
                new TargetJob(
                        List.of(new AxisDegree("dp", 4)),
                        stage,
                        Map.of("a", List.of(shard("a", Coordinate.NONE, 100))),
                        Map.of(),
                        List.of());
        assertThat(GpuMemory.of(job, List.of(parameter("a", true))))
                .isEqualTo(new GpuMemory(weights, gradients, optimizer));
    }

    @Test
    void frozenParametersAreWeightsAlone() {
        TargetJob job =
                new TargetJob(
                        List.of(new AxisDegree("dp", 4)),
                        3,
                        Map.of("a", List.of(shard("a", Coordinate.NONE, 100))),
                        Map.of(),
                        List.of());
        assertThat(GpuMemory.of(job, List.of(parameter("a", false))))
                .isEqualTo(new GpuMemory(200, 0, 0));
    }

    @Test
    void theFullestRankCountsAndExpertsAreCutOverTheirOwnRanks() {
        Coordinate stage = Coordinate.of("pp", 0).with("tp", 0);
        TargetJob job =
                new TargetJob(
                        List.of(
                                new AxisDegree("dp", 4),
                                new AxisDegree("ep", 2),
                                new AxisDegree("edp", 2)),
                        1,
                        Map.of(
                                "a", List.of(shard("a", stage, 100)),
                                "e0", List.of(shard("e", stage.with("ep", 0), 40)),
                                "e1", List.of(shard("e", stage.with("ep", 1), 20))),
                        Map.of(),
                        List.of());
        assertThat(
                        GpuMemory.of(
                                job,
                                List.of(
                                        parameter("a", true),
                                        parameter("e0", true),
                                        parameter("e1", true))))
                .isEqualTo(new GpuMemory(280, 280, 1200 / 4 + 40 * 12 / 2));
    }
}
