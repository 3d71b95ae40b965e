package io.ucp.snapshot;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.convert.RunOptions;
import io.ucp.parity.Degraded;
import io.ucp.parity.Grouping;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// The process beside the job, one look at a time.
final class SnapshotsTest {
    private static final Path SAMPLE = Path.of("../samples/gpt2-zero2-tied-frozen/checkpoint");
    private static final Instant SAVED = Instant.parse("2026-01-01T00:00:00Z");

    @TempDir private Path folder;
    private final List<String> events = new ArrayList<>();
    private Instant now = SAVED.plusSeconds(60);
    private Path root;

    @BeforeEach
    void lay() throws IOException {
        root = folder.resolve("ckpt");
        Files.createDirectory(root);
        save("global_step3", SAVED);
    }

    /// As the job does: the files, then the pointer.
    private void save(String tag, Instant at) throws IOException {
        Path to = root.resolve(tag);
        try (Stream<Path> all = Files.walk(SAMPLE.resolve("global_step3"))) {
            for (Path path : all.toList()) {
                Path copy = to.resolve(SAMPLE.resolve("global_step3").relativize(path).toString());
                if (Files.isDirectory(path)) {
                    Files.createDirectories(copy);
                } else {
                    Files.write(copy, Files.readAllBytes(path));
                    Files.setLastModifiedTime(copy, FileTime.from(at));
                }
            }
        }
        Files.writeString(root.resolve("latest"), tag);
    }

    private Snapshots snapshots(int keep) {
        return new Snapshots(
                new Snapshots.Wishes(
                        root,
                        keep,
                        Duration.ofSeconds(5),
                        Optional.of(
                                new Snapshots.Parity(
                                        folder.resolve("parity"), new Grouping.ByFile(), 2, 1)),
                        Optional.of(folder.resolve("slow")),
                        0),
                RunOptions.standard(),
                () -> now,
                event -> events.add(event.what() + " " + event.tag()));
    }

    @Test
    void committedCheckpointIsProtectedAndFlushedOnce() throws IOException {
        assertThat(snapshots(0).look()).isTrue();
        assertThat(events).containsExactly("protected global_step3", "flushed global_step3");
        assertThat(folder.resolve("slow/latest")).hasContent("global_step3");
        assertThat(snapshots(0).look()).isTrue();
        assertThat(events).hasSize(2);
        try (Stream<Path> files = Files.list(root.resolve("global_step3"))) {
            for (Path file : files.toList()) {
                Path copy = folder.resolve("slow/global_step3").resolve(file.getFileName());
                assertThat(copy).hasSameBinaryContentAs(file);
            }
        }
        Files.delete(root.resolve("global_step3/mp_rank_00_model_states.pt"));
        Path seen = Degraded.open(root, folder.resolve("parity/global_step3"));
        assertThat(Files.size(seen.resolve("global_step3/mp_rank_00_model_states.pt")))
                .isEqualTo(
                        Files.size(folder.resolve("slow/global_step3/mp_rank_00_model_states.pt")));
    }

    @Test
    void checkpointThatIsStillWrittenIsLeftAlone() throws IOException {
        now = SAVED.plusSeconds(4);
        assertThat(snapshots(0).look()).isFalse();
        now = SAVED.plusSeconds(60);
        save("global_step4", SAVED);
        Files.delete(root.resolve("latest"));
        assertThat(snapshots(0).look()).isFalse();
        Files.writeString(root.resolve("latest"), "global_step5");
        assertThat(snapshots(0).look()).isFalse();
        assertThat(events).isEmpty();
        assertThat(folder.resolve("slow")).doesNotExist();
    }

    @Test
    void olderOnesGoOnlyWhenTheyAreFlushed() throws IOException {
        snapshots(1).look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        events.clear();
        snapshots(1).look();
        // Step 4 was never the newest at a look: it is not on slow storage and stays.
        assertThat(events)
                .containsExactly(
                        "protected global_step5", "flushed global_step5", "removed global_step3");
        assertThat(root.resolve("global_step3")).doesNotExist();
        assertThat(folder.resolve("parity/global_step3")).doesNotExist();
        assertThat(root.resolve("global_step4")).isDirectory();
        assertThat(folder.resolve("slow/global_step3")).isDirectory();
        assertThat(folder.resolve("slow/latest")).hasContent("global_step5");
    }

    @Test
    void whatIsKeptIsTheNewest() throws IOException {
        snapshots(0).look();
        save("global_step4", SAVED.plusSeconds(10));
        snapshots(0).look();
        save("global_step5", SAVED.plusSeconds(20));
        snapshots(2).look();
        assertThat(root.resolve("global_step3")).doesNotExist();
        assertThat(root.resolve("global_step4")).isDirectory();
        assertThat(root.resolve("global_step5")).isDirectory();
    }

    @Test
    void tagThatIsSavedAgainIsFlushedAgain() throws IOException {
        snapshots(0).look();
        Path log = root.resolve("global_step3/more.log");
        Files.writeString(log, "new");
        Files.setLastModifiedTime(log, FileTime.from(Instant.now()));
        now = Instant.now().plusSeconds(60);
        events.clear();
        snapshots(0).look();
        assertThat(events).contains("flushed global_step3");
        assertThat(folder.resolve("slow/global_step3/more.log")).hasContent("new");
    }

    @Test
    void whatAKilledProcessLeftIsTakenUp() throws IOException {
        Path left = folder.resolve("slow/.global_step3.ucp-new/output");
        Files.createDirectories(left);
        Files.writeString(left.resolve("junk"), "half");
        snapshots(0).look();
        assertThat(folder.resolve("slow/global_step3/junk")).doesNotExist();
        assertThat(folder.resolve("slow/.global_step3.ucp-new")).doesNotExist();
    }

    @Test
    void slowStorageThatFailsIsToldAndNothingIsRemoved() throws IOException {
        Files.writeString(folder.resolve("slow"), "no folder");
        assertThatThrownBy(() -> snapshots(1).look()).isInstanceOf(FileSystemException.class);
        assertThat(root.resolve("global_step3")).isDirectory();
        assertThat(events).containsExactly("protected global_step3");
    }

    @Test
    void copyWaitsUntilItMayGoOn() throws IOException {
        long[] clock = {0};
        List<Long> waits = new ArrayList<>();
        RateLimit limit =
                new RateLimit(
                        1000,
                        () -> clock[0],
                        nanos -> {
                            waits.add(nanos);
                            clock[0] += nanos;
                        });
        limit.moved(500);
        clock[0] += 200_000_000;
        limit.moved(500);
        clock[0] += 5_000_000_000L;
        limit.moved(1000);
        assertThat(waits).containsExactly(500_000_000L, 300_000_000L);
        new RateLimit(0, () -> 0, nanos -> waits.add(-1L)).moved(1L << 40);
        assertThat(waits).hasSize(2);
    }
}
