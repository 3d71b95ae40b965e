package io.ucp.lang.diagnostic;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

import java.util.List;

class NearestNamesTest {
    @Test
    void theNearestNameComesFirst() {
        List<String> names = List.of("exp_avg_sq", "exp_avg", "fp32", "step");
        assertThat(NearestNames.of("exp_agv", names, 3)).containsExactly("exp_avg");
        assertThat(NearestNames.of("exp_avg_s", names, 3)).containsExactly("exp_avg_sq", "exp_avg");
    }

    @Test
    void letterCaseIsNearerThanAnyEdit() {
        assertThat(NearestNames.of("Exp", List.of("Exq", "exp"), 3)).containsExactly("exp", "Exq");
    }

    @Test
    void nothingIsNearToSomethingElse() {
        assertThat(NearestNames.of("something", List.of("pp", "dp", "tp"), 3)).isEmpty();
        assertThat(NearestNames.hint("something", List.of("pp"))).isEmpty();
    }

    @Test
    void theHintAsks() {
        assertThat(NearestNames.hint("pt", List.of("tp", "pp", "model")))
                .contains("did you mean 'pp' or 'tp'?");
    }

    @Test
    void noMoreThanTheLimitComeAndNoneTwice() {
        assertThat(NearestNames.of("ab", List.of("aa", "ac", "ad", "aa"), 2))
                .containsExactly("aa", "ac");
    }

    @Test
    void theNameItselfIsNoAnswer() {
        assertThat(NearestNames.of("ab", List.of("ab"), 2)).isEmpty();
    }
}
