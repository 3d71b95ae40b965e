package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.SourceText;

import org.junit.jupiter.api.Test;

import java.util.Map;
import java.util.OptionalInt;

class SaidDegreesTest {
    private static TargetRequest completed(TargetRequest asked, String mesh) {
        return asked.completed(
                Ucl.parse(SourceText.of("t.ucl", "ucl 1\nmesh %s\n".formatted(mesh))),
                Map.of("world", 16L),
                Map.of("nodes", 2L));
    }

    @Test
    void theMeshOfATargetsSpecGivesWhatNoOptionDoes() {
        TargetRequest completed =
                completed(
                        TargetRequest.SAME,
                        "(pp (nodes), dp = (edp 2, ep 4), tp (world / 8), etp 1)");

        assertThat(completed.pp()).hasValue(2);
        assertThat(completed.dp()).hasValue(8);
        assertThat(completed.ep()).hasValue(4);
        assertThat(completed.tp()).hasValue(2);
        assertThat(completed.etp()).hasValue(1);
    }

    @Test
    void whatTheMeshLeavesOpenIsAsked() {
        TargetRequest completed = completed(TargetModel.to(4, 2), "(pp, dp = (edp, ep 2), tp 2)");

        assertThat(completed.pp()).isEqualTo(OptionalInt.of(4));
        assertThat(completed.dp()).isEqualTo(TargetModel.to(4, 2).dp());
        assertThat(completed.tp()).hasValue(2);
    }

    @Test
    void degreesThatTheOptionsContradictAreErrorsWhereTheyStand() {
        assertThatThrownBy(() -> completed(TargetModel.to(1, 2), "(pp 1, dp, tp 4, cp 2)"))
                .hasMessage(
                        """
                        t.ucl:2:17: error: the mesh of the target gives tp 4; --tp asks for 2
                            mesh (pp 1, dp, tp 4, cp 2)
                                            ^^^^
                        t.ucl:2:23: error: the mesh of a target gives cp 2; expected degrees of tp, pp, dp, ep, etp only
                            mesh (pp 1, dp, tp 4, cp 2)
                                                  ^^^^
                            hint: leave it out: that axis is the source's\
                        """);
    }

    @Test
    void factorsThatDoNotMakeTheirProductAreAnError() {
        assertThatThrownBy(() -> completed(TargetRequest.SAME, "(pp, dp 8 = (edp 2, ep 2), tp)"))
                .hasMessageContaining("dp 8 of factors that make 4; expected their product");
    }

    @Test
    void aFactorThatIsNoDegreeOfTheJobAndMakesNoProductIsAnError() {
        assertThatThrownBy(() -> completed(TargetRequest.SAME, "(pp, dp = (edp 2, ep), tp)"))
                .hasMessageContaining("the mesh of a target gives edp 2");
    }

    @Test
    void aDegreeThatIsNoneIsAnError() {
        assertThatThrownBy(() -> completed(TargetRequest.SAME, "(pp (nodes - 2), dp, tp)"))
                .hasMessageContaining("degree 0; expected 1 to 1048576");
    }
}
