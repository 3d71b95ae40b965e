package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Optional;

/// What a spec defines and never uses.
class WarningsTest {
    private static List<String> warnings(String text) {
        return messages(Ucl.parse(SourceText.of("x.ucl", text)));
    }

    private static List<String> messages(Spec spec) {
        return Ucl.warnings(spec).stream()
                .map(warning -> warning.span() + ": " + warning.message())
                .toList();
    }

    @Test
    void aConstantThatNothingReadsIsToldWithItsPlace() {
        assertThat(
                        warnings(
                                """
                                ucl 1
                                mesh (dp, tp)
                                let a = 2
                                let b = 2 * a
                                let read = 3
                                param "w" : [read, 4] { shard dim 0 over tp }
                                """))
                .containsExactly(
                        "x.ucl:4:5: nothing reads the constant 'b'; expected an expression that"
                                + " does");
    }

    @Test
    void everyPlaceThatReadsAConstantCounts() {
        assertThat(
                        warnings(
                                """
                                ucl 1
                                mesh (pp (a1), dp, tp)
                                let a1 = 1
                                let a2 = 2
                                let a3 = 2
                                let a4 = 2
                                let a5 = 2
                                let a6 = 2
                                let a7 = 2
                                let a8 = 2
                                let a9 = 2
                                let a10 = 2
                                param "{l}.a" : [a2, 4] {
                                    pad dim 0 from a3 to multiple a4
                                    view [a5, 2, 4]
                                    fuse dim 1 (q: a6, k: 1) shard each over tp
                                    stage l over pp virtual a7
                                }
                                param "b" { shard dim 0 over tp widths [a8, 2] }
                                rename "{l}.a" <-> "m.{l}" { view [a9, 2] }
                                rename "{a10 + 2}.w" <-> "w"
                                """))
                .isEmpty();
    }

    @Test
    void aProductOfAxesThatNoClauseSpeaksOfIsTold() {
        assertThat(
                        warnings(
                                """
                                ucl 1
                                mesh (pp, dp = (edp, ep), tp)
                                axis spare = (ep, tp)
                                axis inner = (edp, ep)
                                axis outer = (pp, inner)
                                param "w" { replicate over outer }
                                """))
                .containsExactly(
                        "x.ucl:3:6: nothing speaks of the axis 'spare'; expected a clause over it");
    }

    @Test
    void ofSeveralBlocksOfStatesOneThatNoRuleHasIsTold() {
        String blocks =
                """
                ucl 1
                mesh (dp, tp)
                states adam { fp32, exp_avg: flatten over dp }
                states lion { fp32, momentum: flatten over dp }
                states sgd { fp32: flatten over dp }
                """;
        assertThat(
                        warnings(
                                blocks
                                        + """
                                        param "w" { with states adam }
                                        group g { "w" } with states sgd
                                        """))
                .containsExactly(
                        "x.ucl:4:8: no rule has the states 'lion'; expected 'with states lion' in"
                                + " one");
        assertThat(
                        warnings(
                                """
                                ucl 1
                                mesh (dp)
                                states adam { fp32: flatten over dp }
                                param "w"
                                """))
                .isEmpty();
    }

    @Test
    void whatIsThereToBeImportedIsUsedElsewhere() {
        String library =
                """
                ucl 1
                let spare = 3
                let width = 4
                """;
        assertThat(warnings(library)).isEmpty();
        Spec spec =
                Ucl.parse(
                        SourceText.of(
                                "x.ucl",
                                """
                                ucl 1
                                mesh (tp)
                                import "y.ucl"
                                let own = 1
                                param "w" : [width] { shard dim 0 over tp }
                                """),
                        (target, importer) -> Optional.of(SourceText.of(target, library)));
        assertThat(messages(spec))
                .containsExactly(
                        "x.ucl:4:5: nothing reads the constant 'own'; expected an expression that"
                                + " does");
    }

    @Test
    void aNameThatIsReadAndNotDefinedIsTheHint() {
        Spec spec =
                Ucl.parse(
                        SourceText.of(
                                "x.ucl",
                                """
                                ucl 1
                                mesh (tp)
                                let head_dims = 4
                                param "w" : [head_dim] { shard dim 0 over tp }
                                """));
        assertThat(Ucl.warnings(spec))
                .extracting(Diagnostic::hint)
                .containsExactly(Optional.of("did you mean 'head_dim'?"));
    }
}
