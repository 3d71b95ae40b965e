package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/// In a process of its own, which gets a real signal.
@DisabledOnOs(OS.WINDOWS)
final class InterruptionTest {
    @Test
    void terminatedProcessEndsWith143AndSaysSo(@TempDir Path folder) throws Exception {
        Process process =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                Endless.class.getName(),
                                folder.resolve("tidy").toString())
                        .start();
        try {
            assertThat(process.inputReader(StandardCharsets.UTF_8).readLine()).isEqualTo("writing");
            // Process.destroy would close its streams.
            assertThat(process.toHandle().destroy()).isTrue();
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
            assertThat(process.exitValue()).isEqualTo(ExitCode.TERMINATED.code());
            assertThat(process.errorReader(StandardCharsets.UTF_8).lines())
                    .contains("ucp convert: stopping");
            assertThat(folder.resolve("tidy")).exists();
        } finally {
            process.destroyForcibly();
        }
    }

    /// Work that would never end, and that leaves things in order when it is stopped.
    static final class Endless {
        private Endless() {}

        public static void main(String[] args) throws IOException {
            PrintWriter err =
                    new PrintWriter(
                            new OutputStreamWriter(System.err, StandardCharsets.UTF_8), true);
            try (Interruption stop = Interruption.armed(err, "ucp convert")) {
                System.out.println("writing");
                while (!stop.getAsBoolean()) {
                    Thread.onSpinWait();
                }
                Files.createFile(Path.of(args[0]));
            }
        }
    }
}
