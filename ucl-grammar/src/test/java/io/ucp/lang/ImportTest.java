package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import org.junit.jupiter.api.Test;

import java.util.Map;
import java.util.Optional;

class ImportTest {
    private static final String BASE =
            """
            ucl 1
            spec base
            mesh (pp, dp, tp)
            let n = 1
            let m = 2
            states adam { fp32: flatten over dp; step: scalar }
            param "a", "b" { shard dim 0 over tp }
            param "c"
            cast weight to bf16
            """;

    @Test
    void importedStatementsStandInThePlaceOfTheImport() {
        assertThat(resolved("ucl 1\nspec own\nimport base\nparam \"d\"\n"))
                .isEqualTo(
                        """
                        ucl 1

                        spec own

                        mesh (pp, dp, tp)
                        let n = 1
                        let m = 2

                        states adam { fp32: flatten over dp; step: scalar }

                        param "a", "b" { shard dim 0 over tp }
                        param "c"

                        cast weight to bf16

                        param "d"
                        """);
    }

    @Test
    void aStatementReplacesTheImportedOneThatSaysTheSame() {
        String own =
                """
                ucl 1
                import base
                mesh (dp, tp)
                let m = 3
                states adam { fp32: flatten each over dp }
                param "b" { replicate over tp }
                param "c" { unique }
                cast weight to fp32
                """;
        assertThat(resolved(own))
                .isEqualTo(
                        """
                        ucl 1

                        let n = 1

                        param "a" { shard dim 0 over tp }

                        mesh (dp, tp)
                        let m = 3

                        states adam { fp32: flatten each over dp }

                        param "b" { replicate over tp }
                        param "c" { unique }

                        cast weight to fp32
                        """);
    }

    @Test
    void everyKindOfStatementCanBeReplaced() {
        String own =
                """
                ucl 1
                import kinds
                axis x = (dp, tp)
                group g { "own" }
                rename "a" <-> "own"
                drop "b"
                optional frozen "c"
                every rule optional
                """;
        assertThat(resolved(own))
                .isEqualTo(
                        """
                        ucl 1

                        mesh (dp, tp)
                        axis x = (dp, tp)

                        group g { "own" }

                        rename "a" <-> "own"

                        drop "b"
                        optional frozen "c"

                        every rule optional
                        """);
    }

    @Test
    void whatIsNotReplacedOfSeveralPatternsStays() {
        String own =
                """
                ucl 1
                import several
                drop "a"
                frozen "d"
                """;
        assertThat(resolved(own))
                .isEqualTo(
                        """
                        ucl 1

                        drop "b"
                        frozen "c"
                        drop "a"
                        frozen "d"
                        """);
    }

    @Test
    void theImportedAxesAndStatesAreKnown() {
        String own = "ucl 1\nimport base\nparam \"d\" { shard dim 0 over tq; with states adm }\n";
        assertThat(failure(own))
                .contains("x.ucl:3:30: error: unknown axis 'tq'; expected pp, dp or tp")
                .contains("did you mean 'adam'?");
    }

    @Test
    void anImportThatIsNotResolvedMayDefineWhatIsMissing() {
        SourceText source =
                SourceText.of("x.ucl", "ucl 1\nimport z\nparam \"d\" { shard dim 0 over tq }\n");
        Spec spec = Ucl.parse(source);
        assertThat(spec.imports()).hasSize(1);
    }

    @Test
    void errorsOfAnImportedTextAreThere() {
        assertThat(failure("ucl 1\nimport broken\n"))
                .isEqualTo(
                        """
                        broken.ucl:2:5: error: expected a name, found '='
                            let = 3
                                ^\
                        """);
    }

    @Test
    void whatIsNotFoundIsSaid() {
        assertThat(failure("ucl 1\nimport \"no/such\"\n"))
                .isEqualTo(
                        """
                        x.ucl:2:1: error: nothing to import under 'no/such'; expected a file or the name of a bundled spec
                            import "no/such"
                            ^^^^^^^^^^^^^^^^\
                        """);
    }

    @Test
    void aCircleIsFound() {
        assertThat(failure("ucl 1\nimport left\n"))
                .isEqualTo(
                        """
                        right.ucl:2:1: error: an import of itself: x.ucl -> left.ucl -> right.ucl -> left.ucl
                            import left
                            ^^^^^^^^^^^\
                        """);
    }

    @Test
    void whatTwoImportsReachIsTakenOnce() {
        assertThat(resolved("ucl 1\nimport one\nimport two\n"))
                .isEqualTo("ucl 1\n\nlet shared = 1\nlet one = shared\nlet two = shared\n");
    }

    @Test
    void whatTwoImportsSayIsAmbiguous() {
        assertThat(failure("ucl 1\nimport base\nimport other\n"))
                .contains("other.ucl:2:7: error: a second rule for \"a\"; expected one")
                .contains("hint: the first is at base.ucl:7:7");
    }

    private static final Map<String, String> TEXTS =
            Map.of(
                    "kinds",
                    """
                    ucl 1
                    every rule optional
                    mesh (dp, tp)
                    axis x = (tp, dp)
                    group g { "a" }
                    rename "a" <-> "z"
                    drop "b"
                    frozen "c"
                    """,
                    "several",
                    "ucl 1\ndrop \"a\", \"b\"\nfrozen \"c\", \"d\"\n",
                    "base",
                    BASE,
                    "broken",
                    "ucl 1\nlet = 3\n",
                    "left",
                    "ucl 1\nimport right\n",
                    "right",
                    "ucl 1\nimport left\n",
                    "shared",
                    "ucl 1\nlet shared = 1\n",
                    "one",
                    "ucl 1\nimport shared\nlet one = shared\n",
                    "two",
                    "ucl 1\nimport shared\nlet two = shared\n",
                    "other",
                    "ucl 1\nparam \"a\"\n");

    private static String resolved(String text) {
        return Ucl.format(Ucl.parse(SourceText.of("x.ucl", text), ImportTest::find));
    }

    private static Optional<SourceText> find(String target, SourceText importer) {
        assertThat(importer.name()).endsWith(".ucl");
        return Optional.ofNullable(TEXTS.get(target))
                .map(text -> SourceText.of(target + ".ucl", text));
    }

    private static String failure(String text) {
        SpecException e = catchThrowableOfType(SpecException.class, () -> resolved(text));
        return String.valueOf(e.getMessage());
    }
}
