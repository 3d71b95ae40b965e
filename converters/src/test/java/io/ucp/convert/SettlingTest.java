package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// A job that saves while it is watched; time passes by its steps.
class SettlingTest {
    private static final Path SAMPLE =
            Path.of("..", "samples", "gpt2-zero2-tied-frozen", "checkpoint");

    @TempDir Path folder;
    private Path root;
    private Path last;

    @BeforeEach
    void saving() throws IOException {
        root = Files.createDirectory(folder.resolve("ckpt"));
        try (Stream<Path> walk = Files.walk(SAMPLE)) {
            for (Path path : walk.toList()) {
                Path to = root.resolve(SAMPLE.relativize(path).toString());
                if (Files.isDirectory(path)) {
                    Files.createDirectories(to);
                } else {
                    Files.copy(path, to);
                }
            }
        }
        try (Stream<Path> walk = Files.walk(root)) {
            last =
                    walk.filter(p -> p.toString().endsWith("optim_states.pt"))
                            .max(Path::compareTo)
                            .orElseThrow();
        }
        Files.move(last, folder.resolve("last"));
    }

    private Described describe(Path path) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of());
    }

    /// Does a step a pause; then time is over.
    private Settling.Clock clock(Step... steps) {
        int[] at = {0};
        return _ -> {
            if (at[0] == steps.length) {
                return false;
            }
            steps[at[0]++].run();
            return true;
        };
    }

    private interface Step {
        void run() throws IOException;
    }

    private void half() throws IOException {
        Files.write(last, new byte[1000]);
    }

    private void whole() throws IOException {
        Files.move(folder.resolve("last"), last, StandardCopyOption.REPLACE_EXISTING);
    }

    @Test
    void aCheckpointThatIsStillWrittenIsRecognised() {
        assertThatThrownBy(() -> Settling.now(root, () -> describe(root)))
                .isInstanceOf(IncompleteCheckpointException.class)
                .satisfies(
                        e ->
                                assertThat(e.getSuppressed())
                                        .singleElement()
                                        .isInstanceOf(FreshFilesException.class));
    }

    @Test
    void anOldOneIsOnlyIncomplete() throws IOException {
        try (Stream<Path> walk = Files.walk(root)) {
            for (Path path : walk.toList()) {
                Files.setLastModifiedTime(path, FileTime.from(Instant.EPOCH));
            }
        }
        assertThatThrownBy(() -> Settling.now(root, () -> describe(root)))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasNoSuppressedExceptions();
    }

    @Test
    void itIsWaitedForUntilItIsWholeAndStays() throws IOException {
        int[] quiet = {0};
        Described described =
                Settling.await(
                        root,
                        () -> describe(root),
                        clock(
                                this::half,
                                this::whole,
                                () -> Files.setLastModifiedTime(last, FileTime.from(Instant.EPOCH)),
                                () -> quiet[0]++,
                                () -> quiet[0]++));
        assertThat(described.inventory().parameters()).isNotEmpty();
        assertThat(quiet[0]).isPositive();
    }

    @Test
    void itIsNotWaitedForForever() {
        assertThatThrownBy(
                        () ->
                                Settling.await(
                                        root, () -> describe(root), clock(this::half, () -> {})))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("waited, and it is not whole yet: ")
                .hasMessageContaining("hint: give --wait more time");
    }

    @Test
    void aTagThatIsNewerThanLatestIsNotTakenAndWaitedFor() throws IOException {
        whole();
        String tag = Files.readString(root.resolve("latest")).strip();
        Path next = root.resolve("global_step999");
        Files.createDirectory(next);
        try (Stream<Path> files = Files.list(root.resolve(tag))) {
            for (Path file : files.toList()) {
                Files.copy(file, next.resolve(file.getFileName()));
            }
        }
        FileTime before = FileTime.from(Instant.now().minus(Duration.ofMinutes(10)));
        Files.setLastModifiedTime(root.resolve("latest"), before);
        Files.setLastModifiedTime(root.resolve(tag), before);
        // The root still means the one that `latest` names.
        assertThat(Settling.now(root, () -> describe(root)).source().taken().tag()).isEqualTo(tag);
        assertThatThrownBy(() -> Settling.now(next, () -> describe(next)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("global_step999 is newer than `latest`, which names " + tag);
        Described described =
                Settling.await(
                        root,
                        () -> describe(root),
                        clock(
                                () -> Files.writeString(root.resolve("latest"), "global_step999"),
                                () -> {}));
        assertThat(described.source().taken().tag()).isEqualTo("global_step999");
    }
}
