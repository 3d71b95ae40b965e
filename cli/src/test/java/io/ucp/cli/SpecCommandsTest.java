package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;

import io.ucp.bind.SpecLibrary;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.stream.Stream;

/// `fmt`, `check` and `spec`, as far as they need no checkpoint.
final class SpecCommandsTest {
    private static final String UGLY = "ucl 1\nspec x\nmesh (pp,dp , tp)\n";
    private static final String CANONICAL = "ucl 1\n\nspec x\n\nmesh (pp, dp, tp)\n";
    private static final String BROKEN = "ucl 1\nspec x\nmesh (pp dp)\n";

    @TempDir private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"check", "fmt"})
    void folderIsNoSpec(String command) {
        Run run = Run.ucp(command, folder).endsWith(ExitCode.MALFORMED_INPUT);
        assertThat(run.err())
                .isEqualTo(
                        """
                        ucp %s: %s: a folder; expected the text of a spec, in UTF-8
                        hint: name a spec (.ucl)
                        """
                                .formatted(command, folder));
    }

    @Test
    void fmtRewritesInPlaceAndNamesWhatChanged() throws IOException {
        Path ugly = file("a b ü.ucl", UGLY);
        Path fine = file("fine.ucl", CANONICAL);
        Run run = Run.ucp("fmt", ugly, fine).isDone();
        assertThat(run.out()).isEqualTo(ugly + "\n");
        assertThat(ugly).hasContent(CANONICAL.stripTrailing());
        assertThat(Files.readString(ugly)).isEqualTo(CANONICAL);
        try (Stream<Path> left = Files.list(folder)) {
            assertThat(left).hasSize(2);
        }
    }

    @Test
    void fmtKeepsPermissions() throws IOException {
        Path ugly = file("x.ucl", UGLY);
        Files.setPosixFilePermissions(ugly, PosixFilePermissions.fromString("rw-r--r--"));
        Run.ucp("fmt", ugly).isDone();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(ugly)))
                .isEqualTo("rw-r--r--");
    }

    @Test
    void fmtWritesThroughALink() throws IOException {
        Path ugly = file("x.ucl", UGLY);
        Path link = Files.createSymbolicLink(folder.resolve("link.ucl"), ugly);
        Run.ucp("fmt", link).isDone();
        assertThat(link).isSymbolicLink();
        assertThat(Files.readString(ugly)).isEqualTo(CANONICAL);
    }

    @Test
    void fmtCheckChangesNothingAndEndsWithOne() throws IOException {
        Path ugly = file("x.ucl", UGLY);
        Run run = Run.ucp("fmt", "--check", ugly).endsWith(ExitCode.DIFFERENCE);
        assertThat(run.out()).isEqualTo(ugly + "\n");
        assertThat(Files.readString(ugly)).isEqualTo(UGLY);
        assertThat(Run.ucp("fmt", "--check", file("y.ucl", CANONICAL)).isDone().out()).isEmpty();
    }

    @Test
    void fmtFormatsTheOthersWhereOneIsBroken() throws IOException {
        Path broken = file("broken.ucl", BROKEN);
        Path ugly = file("x.ucl", UGLY);
        Run run = Run.ucp("fmt", broken, ugly).endsWith(ExitCode.USAGE);
        assertThat(run.err()).startsWith(broken + ":3:10: error: ");
        assertThat(Files.readString(broken)).isEqualTo(BROKEN);
        assertThat(Files.readString(ugly)).isEqualTo(CANONICAL);
    }

    @Test
    void fmtWithoutFilesIsWrongUsage() {
        assertThat(Run.ucp("fmt").endsWith(ExitCode.USAGE).err())
                .isEqualTo("ucp fmt: Missing required parameter: 'SPEC'\nTry `ucp fmt --help`.\n");
    }

    @Test
    void fmtOfWhatIsNoTextSaysSo() throws IOException {
        Path binary = Files.write(folder.resolve("x.pt"), new byte[] {'P', 'K', (byte) 0xff, 0});
        assertThat(Run.ucp("fmt", binary).endsWith(ExitCode.MALFORMED_INPUT).err())
                .isEqualTo(
                        ("ucp fmt: %s: bytes that are no UTF-8; expected the text of a spec, in"
                                        + " UTF-8\nhint: name a spec (.ucl)\n")
                                .formatted(binary));
    }

    @Test
    void checkSaysThatASpecIsFine() throws IOException {
        Path spec = file("x.ucl", CANONICAL);
        assertThat(Run.ucp("check", spec).isDone().out())
                .isEqualTo(spec + ": no errors; 2 statements\n");
        JsonNode json = Run.ucp("check", "--json", spec).isDone().json();
        assertThat(json.get("fits").asBoolean()).isTrue();
        assertThat(json.get("diagnostics")).isEmpty();
    }

    @Test
    void checkWarnsOfWhatTheSpecNeverUses() throws IOException {
        Path spec =
                file(
                        "x.ucl",
                        """
                        ucl 1
                        mesh (dp, tp)
                        let width = 8
                        let head_dims = 4
                        param "a" : [width, head_dim] { shard dim 0 over tp }
                        """);
        assertThat(Run.ucp("check", spec).isDone().out())
                .isEqualTo(
                        """
                        %s:4:5: warning: nothing reads the constant 'head_dims'; expected an expression that does
                            let head_dims = 4
                                ^^^^^^^^^
                            hint: did you mean 'head_dim'?
                        %s: no errors, 1 warning; 4 statements
                        """
                                .formatted(spec, spec));
        JsonNode json = Run.ucp("check", "--json", spec).isDone().json();
        assertThat(json.get("fits").asBoolean()).isTrue();
        assertThat(json.at("/diagnostics/0/severity").asText()).isEqualTo("warning");
        assertThat(json.at("/diagnostics/0/line").asInt()).isEqualTo(4);
    }

    @Test
    void bundledSpecsUseAllThatTheyDefine() {
        for (String name : SpecLibrary.names()) {
            assertThat(Run.ucp("check", name).isDone().out()).doesNotContain("warning");
        }
    }

    @Test
    void checkOfABrokenSpecShowsThePlace() throws IOException {
        Path spec = file("x.ucl", BROKEN);
        assertThat(Run.ucp("check", spec).endsWith(ExitCode.USAGE).err())
                .startsWith(spec + ":3:10: error: ")
                .contains("\n    mesh (pp dp)\n    ");
    }

    @Test
    void errorsAreJsonToo() throws IOException {
        Path spec = file("x.ucl", BROKEN);
        Run run = Run.ucp("check", "--json", spec).endsWith(ExitCode.USAGE);
        JsonNode error = run.json().get("error");
        assertThat(error.get("code").asInt()).isEqualTo(ExitCode.USAGE.code());
        assertThat(error.get("kind").asText()).isEqualTo("spec");
        JsonNode diagnostic = error.get("diagnostics").get(0);
        assertThat(diagnostic.get("file").asText()).isEqualTo(spec.toString());
        assertThat(diagnostic.get("line").asInt()).isEqualTo(3);
        assertThat(diagnostic.get("column").asInt()).isEqualTo(10);
        assertThat(run.err()).startsWith(spec + ":3:10: error: ");
    }

    @Test
    void wrongUsageIsJsonTooWhereJsonIsAskedFor() throws IOException {
        Run run = Run.ucp("check", "--json").endsWith(ExitCode.USAGE);
        assertThat(run.json().at("/error/kind").asText()).isEqualTo("usage");
        assertThat(run.err()).startsWith("ucp check: Missing required parameter: 'SPEC'");
    }

    @Test
    void unknownSpecIsWrongUsage() {
        String near = SpecLibrary.names().getFirst().substring(1);
        assertThat(Run.ucp("check", near).endsWith(ExitCode.USAGE).err())
                .startsWith(
                        "ucp check: error: '%s' is neither a file nor a bundled spec; "
                                .formatted(near))
                .contains("`ucp spec list` shows")
                .endsWith("hint: did you mean '%s'?\n".formatted(SpecLibrary.names().getFirst()));
        assertThat(Run.ucp("spec", "show", near).endsWith(ExitCode.USAGE).err())
                .startsWith(
                        "ucp spec show: no bundled spec is named '%s'; expected one of the "
                                .formatted(near))
                .contains("; did you mean '%s'?\n".formatted(SpecLibrary.names().getFirst()));
    }

    @Test
    void everyBundledSpecIsListedShownAndFormatted() throws IOException {
        String list = Run.ucp("spec", "list").isDone().out();
        assertThat(SpecLibrary.names()).isNotEmpty();
        for (String name : SpecLibrary.names()) {
            assertThat(list.lines()).anyMatch(line -> line.startsWith(name + "  "));
            Path copy = file(name + ".ucl", Run.ucp("spec", "show", name).isDone().out());
            Run.ucp("fmt", "--check", copy).isDone();
            Run.ucp("check", name).isDone();
            Run.ucp("check", copy).isDone();
        }
        JsonNode specs = Run.ucp("spec", "list", "--json").isDone().json().get("specs");
        assertThat(specs).hasSize(SpecLibrary.names().size());
        assertThat(specs).allMatch(spec -> !spec.get("about").asText().isEmpty());
    }

    @Test
    void specWithoutACommandIsWrongUsage() {
        assertThat(Run.ucp("spec").endsWith(ExitCode.USAGE).err())
                .isEqualTo(
                        "ucp spec: a command is missing: list or show\nTry `ucp spec --help`.\n");
    }

    private Path file(String name, String text) throws IOException {
        return Files.writeString(folder.resolve(name), text);
    }
}
