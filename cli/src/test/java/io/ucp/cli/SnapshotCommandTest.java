package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// `ucp snapshot --once`, as scripts run it.
final class SnapshotCommandTest {
    private static final Path SAMPLE = Run.sample("gpt2-zero2-tied-frozen");

    @TempDir private Path folder;
    private Path checkpoint;
    private Path slow;

    @BeforeEach
    void lay() throws IOException {
        checkpoint = folder.resolve("ckpt");
        slow = folder.resolve("slow");
        try (Stream<Path> all = Files.walk(SAMPLE)) {
            for (Path path : all.toList()) {
                Files.copy(path, checkpoint.resolve(SAMPLE.relativize(path).toString()));
            }
        }
    }

    private Run once(Object... options) {
        Object[] args = new Object[options.length + 5];
        Object[] fixed = {"snapshot", checkpoint, "--once", "--settled", "0"};
        System.arraycopy(fixed, 0, args, 0, 5);
        System.arraycopy(options, 0, args, 5, options.length);
        return Run.ucp(args);
    }

    @Test
    void onceProtectsAndFlushesWhatIsCommitted() throws IOException {
        Run run = once("--protect", "2+1", "--flush-to", slow, "--max-rate", "1GiB/s").isDone();
        assertThat(run.out())
                .contains("protected global_step3: ")
                .contains("flushed   global_step3: ");
        Run.ucp("verify", checkpoint, slow).isDone();
        Run.ucp("scrub", checkpoint, "--parity", folder.resolve("ckpt-parity/global_step3"))
                .isDone();
        assertThat(once("--protect", "2+1", "--flush-to", slow).isDone().out()).isEmpty();
    }

    @Test
    void itsReportCanBeHadAsJson() throws IOException {
        JsonNode json = once("--flush-to", slow, "--keep", "2", "--json").isDone().json();
        assertThat(json.get("finished").asBoolean()).isTrue();
        assertThat(json.at("/events/0/what").asText()).isEqualTo("flushed");
        assertThat(json.at("/events/0/tag").asText()).isEqualTo("global_step3");
        assertThat(json.at("/events/0/bytes").asLong()).isPositive();
    }

    @Test
    void onceEndsWith1WhereNothingIsCommitted() throws IOException {
        Files.delete(checkpoint.resolve("latest"));
        Run run = once("--flush-to", slow).endsWith(ExitCode.DIFFERENCE);
        assertThat(run.out())
                .startsWith("waiting   " + checkpoint + ": no checkpoint is committed");
        assertThat(once("--json").endsWith(ExitCode.DIFFERENCE).json().get("finished").asBoolean())
                .isFalse();
        assertThat(slow).doesNotExist();
    }

    @Test
    void whatGoesWrongHasItsRemedyAndHoldsUpNothingElse() throws IOException {
        Run run = once("--protect", "2+1", "--group", "tp", "--flush-to", slow);
        assertThat(run.endsWith(ExitCode.USAGE).err())
                .contains(
                        "--group tp: the job had one rank on that axis; expected one of its axes:"
                                + " dp");
        assertThat(slow.resolve("latest")).hasContent("global_step3");
    }

    @Test
    void wrongUseIsToldBeforeAnythingIsRead() {
        assertThat(once("--protect", "four").endsWith(ExitCode.USAGE).err())
                .contains("--protect is 'four'; expected K+M such as 4+2");
        assertThat(once("--max-rate", "fast").endsWith(ExitCode.USAGE).err())
                .contains("--max-rate is 'fast'; expected such as 500MB/s");
        assertThat(once("--every", "hour").endsWith(ExitCode.USAGE).err())
                .contains("--every is 'hour'; expected new");
        assertThat(once("--keep", "-1").endsWith(ExitCode.USAGE).err()).contains("--keep -1");
    }
}
