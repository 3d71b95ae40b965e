package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// What becomes of the report itself.
final class OutputTest {
    @Test
    void objectThatCannotBeCompletedIsNotBegun() {
        StringWriter out = new StringWriter();
        assertThatThrownBy(
                        () ->
                                Json.print(
                                        new PrintWriter(out),
                                        fields -> {
                                            fields.writeStringField("a", "b");
                                            throw new IOException("no such mount");
                                        }))
                .isInstanceOf(UncheckedIOException.class);
        assertThat(out.toString()).isEmpty();
    }

    @Test
    void reportThatDoesNotReachItsFileIsAnError() throws Exception {
        File full = new File("/dev/full");
        assumeTrue(full.exists());
        Process process =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                Main.class.getName(),
                                "spec",
                                "list")
                        .redirectOutput(full)
                        .start();
        assertThat(process.errorReader(StandardCharsets.UTF_8).lines())
                .anyMatch(line -> line.startsWith("ucp: standard output: No space left"));
        assertThat(process.waitFor()).isEqualTo(ExitCode.IO.code());
    }

    @Test
    void readerThatGoesAwayIsNone() throws Exception {
        Process process =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                Main.class.getName(),
                                "spec",
                                "list")
                        .start();
        process.getInputStream().close();
        assertThat(process.errorReader(StandardCharsets.UTF_8).lines()).isEmpty();
        assertThat(process.waitFor()).isEqualTo(ExitCode.DONE.code());
    }
}
