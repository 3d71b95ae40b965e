package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// Where there is something at the output already.
final class ConvertAgainTest {
    private static final Path SOURCE = Run.sample("gpt2-zero2-tied-frozen");

    @TempDir private Path folder;

    private Run convert(Path source, Path out, String... options) {
        Object[] all = new Object[6 + options.length];
        Object[] fixed = {"convert", source, "-o", out, "--to", "universal"};
        System.arraycopy(fixed, 0, all, 0, 6);
        System.arraycopy(options, 0, all, 6, options.length);
        return Run.ucp(all);
    }

    @Test
    void aCheckpointIsReplacedWhereThatIsAskedFor() {
        Path out = folder.resolve("out");
        convert(SOURCE, out).isDone();
        convert(SOURCE, out).endsWith(ExitCode.USAGE);
        convert(SOURCE, out, "--overwrite", "--compress", "zstd:1").isDone();
        Run.ucp("verify", SOURCE, out).isDone();
        assertThat(folder).isDirectoryContaining("glob:**/out").isNotEmptyDirectory();
        assertThat(folder.resolve(".out.ucp")).doesNotExist();
    }

    @Test
    void theSourceIsNotReplacedByItsOwnConversion() {
        Path out = folder.resolve("out");
        convert(SOURCE, out).isDone();
        assertThat(convert(out, out, "--overwrite").endsWith(ExitCode.REFUSED).err())
                .contains("the checkpoint that is read,")
                .contains("hint: choose an -o beside it");
        Run.ucp("verify", out).isDone();
    }

    @Test
    void whatIsNoCheckpointIsNotReplaced() throws IOException {
        Path out = Files.createDirectory(folder.resolve("out"));
        Files.writeString(out.resolve("thesis.tex"), "mine");
        assertThat(convert(SOURCE, out, "--overwrite").endsWith(ExitCode.REFUSED).err())
                .contains("--overwrite, and it is no checkpoint");
        assertThat(out.resolve("thesis.tex")).hasContent("mine");
    }

    @Test
    void resumeBeginsWhereThereIsNothingToGoOnWith() throws IOException {
        Run run = convert(SOURCE, folder.resolve("out"), "--resume", "--json").isDone();
        assertThat(run.json().get("bytes_kept").asLong()).isZero();
    }

    @Test
    void resumeAndRestartDoNotGoTogether() {
        assertThat(
                        convert(SOURCE, folder.resolve("out"), "--resume", "--restart")
                                .endsWith(ExitCode.USAGE)
                                .err())
                .contains("--resume and --restart; expected one of them");
    }
}
