package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;

final class ResourceOptionsTest {
    private static final Path SOURCE = Run.sample("gpt2-zero2-tied-frozen");

    @TempDir private Path folder;

    private Run convert(String... options) {
        Object[] all = new Object[6 + options.length];
        Object[] fixed = {"convert", SOURCE, "-o", folder.resolve("out"), "--to", "universal"};
        System.arraycopy(fixed, 0, all, 0, 6);
        System.arraycopy(options, 0, all, 6, options.length);
        return Run.ucp(all);
    }

    @Test
    void aConversionKeepsToMemoryAndRateAndReadsBack() throws IOException {
        Run run =
                convert(
                        "--max-memory",
                        "300MB",
                        "--max-rate",
                        "500MB/s",
                        "--drop-behind",
                        "--verify",
                        "read-back",
                        "--json");
        assertThat(run.isDone().json().get("states_read_back").asLong()).isPositive();
        Run.ucp("verify", SOURCE, folder.resolve("out")).isDone();
    }

    @Test
    void whatDoesNotFitInMemoryIsNotBegun() {
        assertThat(convert("--max-memory", "1MB").endsWith(ExitCode.IO).err())
                .contains("not enough memory: the conversion needs about ")
                .contains("hint: raise --max-memory");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void sizesThatAreNoneAreRefused() {
        assertThat(convert("--max-memory", "much").endsWith(ExitCode.USAGE).err())
                .contains("--max-memory is 'much'; expected a size such as 500MB");
        assertThat(convert("--max-rate", "-1/s").endsWith(ExitCode.USAGE).err())
                .contains("--max-rate is '-1/s'; expected a size such as 500MB");
    }
}
