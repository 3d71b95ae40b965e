package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;
import java.util.List;

/// Answers of DeepSpeed's own `partition_uniform` and `partition_balanced`.
class StageCutTest {
    @ParameterizedTest
    @CsvSource({
        "9, 4, 0 3 5 7 9",
        "10, 4, 0 3 6 8 10",
        "8, 4, 0 2 4 6 8",
        "3, 4, 0 1 2 3 3",
        "7, 1, 0 7",
    })
    void uniformGivesTheFirstStagesOneMore(int modules, int stages, String parts) {
        assertThat(StageCut.uniform(modules, stages)).isEqualTo(numbers(parts));
    }

    @ParameterizedTest
    @CsvSource({
        "0 0 1 1 1 1 0 0 0, 2, 0 4 9",
        "0 0 1 1 1 1 0 0 0, 3, 0 4 5 9",
        "0 0 1 1 1 1 1 0 0 0, 3, 0 4 6 10",
        "0 0 1 1 1 1 1 1 1 0 0 0, 4, 0 4 6 8 12",
        "1 1 1 1 1 1 1 1 1 1, 4, 0 3 6 8 10",
        "5 1 1 1 9 2, 3, 0 4 5 6",
        "100 10 10 10 10 100, 3, 0 1 5 6",
        "3 3, 4, 0 1 2 2 2",
        "7 7 7, 1, 0 3",
    })
    void balancedTakesTheLastOfEqualCuts(String weights, int stages, String parts) {
        List<Long> numbers = numbers(weights).stream().map(Integer::longValue).toList();
        assertThat(StageCut.balanced(numbers, stages)).isEqualTo(numbers(parts));
    }

    private static List<Integer> numbers(String text) {
        return Arrays.stream(text.split(" ")).map(Integer::valueOf).toList();
    }
}
