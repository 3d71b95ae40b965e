package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.ParameterFacts;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

class ConversionReportTest {
    @Test
    void anOptimizerThatKeepsNothingOfAParameterIsOneToResume() {
        assertThat(ConversionReport.isWeight(parameter(0, "fp32", "weight"))).isFalse();
    }

    @Test
    void valuesOfNoOptimizerAreWeightsAlone() {
        assertThat(ConversionReport.isWeight(parameter(-1, "weight"))).isTrue();
        assertThat(ConversionReport.isWeight(parameter(-1, "fp32"))).isTrue();
    }

    @Test
    void statesOfAnOptimizerAreMoreThanWeights() {
        assertThat(ConversionReport.isWeight(parameter(-1, "weight", "exp_avg"))).isFalse();
    }

    private static ParameterFacts parameter(int group, String... states) {
        Map<String, DType> held =
                List.of(states).stream().collect(Collectors.toMap(s -> s, _ -> DType.FLOAT32));
        return new ParameterFacts(
                "w",
                Shape.of(2),
                Shape.of(2),
                held,
                Map.of(),
                ParameterFacts.Split.UNKNOWN,
                true,
                false,
                group,
                List.of(),
                Map.of(),
                List.of());
    }
}
