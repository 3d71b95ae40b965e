package io.ucp.snapshot;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.convert.FolderTree;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Trees;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.parity.Degraded;
import io.ucp.parity.Grouping;
import io.ucp.parity.ProtectedCheckpoint;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import java.util.stream.Stream;

/// The process beside the job, one look at a time.
final class SnapshotsTest {
    private static final Path SAMPLE = Path.of("../samples/gpt2-zero2-tied-frozen/checkpoint");
    private static final Instant SAVED = Instant.parse("2026-01-01T00:00:00Z");

    @TempDir private Path folder;
    private final List<String> events = new ArrayList<>();
    private Instant now = SAVED.plusSeconds(60);
    private Path root;

    /// What the job does while something was just done.
    private Consumer<String> job = what -> {};

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
        return snapshots(keep, Optional.of(folder.resolve("slow")), RunOptions.standard());
    }

    private Snapshots snapshots(int keep, Optional<Path> flushTo, RunOptions options) {
        return new Snapshots(
                new Snapshots.Wishes(
                        root,
                        keep,
                        Duration.ofSeconds(5),
                        Optional.of(
                                new Snapshots.Parity(
                                        folder.resolve("parity"), new Grouping.ByFile(), 2, 1)),
                        flushTo,
                        0),
                options,
                () -> now,
                event -> {
                    events.add(event.what() + " " + event.tag());
                    job.accept(event.what());
                });
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
    void whatWasCommittedDuringALongFlushIsFlushedInItsOrderAndThenGoes() throws IOException {
        snapshots(1).look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        events.clear();
        snapshots(1).look();
        assertThat(events)
                .containsExactly(
                        "protected global_step5",
                        "flushed global_step4",
                        "flushed global_step5",
                        "removed global_step4",
                        "removed global_step3");
        assertThat(root.resolve("global_step3")).doesNotExist();
        assertThat(root.resolve("global_step4")).doesNotExist();
        assertThat(folder.resolve("parity/global_step3")).doesNotExist();
        assertThat(folder.resolve("slow/global_step3")).isDirectory();
        assertThat(folder.resolve("slow/global_step4")).isDirectory();
        assertThat(folder.resolve("slow/latest")).hasContent("global_step5");
    }

    @Test
    void whatIsKeptOfTheOnesInBetweenIsProtectedToo() throws IOException {
        snapshots(2).look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        snapshots(2).look();
        assertThat(root.resolve("global_step4")).isDirectory();
        Files.delete(root.resolve("global_step4/mp_rank_00_model_states.pt"));
        for (Path named : List.of(root, root.resolve("global_step4"))) {
            Path seen = Degraded.open(named, folder.resolve("parity/global_step4"));
            Path lost = Path.of("global_step4/mp_rank_00_model_states.pt");
            Path at = named.equals(root) ? lost : lost.getFileName();
            assertThat(Files.size(seen.resolve(at.toString()))).isPositive();
        }
    }

    @Test
    void onesFromBeforeTheFirstLookAreLeftAlone() throws IOException {
        save("global_step4", SAVED.plusSeconds(10));
        snapshots(1).look();
        assertThat(events).containsExactly("protected global_step4", "flushed global_step4");
        assertThat(root.resolve("global_step3")).isDirectory();
    }

    @Test
    void allThatCameAfterALookAtNothingIsNew() throws IOException {
        FolderTree.remove(root);
        Snapshots snapshots = snapshots(1);
        assertThat(snapshots.look()).isFalse();
        Files.createDirectory(root);
        save("global_step3", SAVED);
        save("global_step4", SAVED.plusSeconds(10));
        assertThat(snapshots.look()).isTrue();
        assertThat(events)
                .containsExactly(
                        "protected global_step4",
                        "flushed global_step3",
                        "flushed global_step4",
                        "removed global_step3");
    }

    @Test
    void oneThatCannotBeReadIsToldOnceAndStays() throws IOException {
        Snapshots snapshots = snapshots(1);
        snapshots.look();
        save("global_step4", SAVED.plusSeconds(10));
        Files.delete(root.resolve("global_step4/mp_rank_00_model_states.pt"));
        save("global_step5", SAVED.plusSeconds(20));
        events.clear();
        assertThat(snapshots.look()).isTrue();
        assertThat(snapshots.look()).isTrue();
        assertThat(events)
                .containsExactly(
                        "protected global_step5",
                        "incomplete global_step4",
                        "flushed global_step5",
                        "removed global_step3");
        assertThat(root.resolve("global_step4")).isDirectory();
    }

    @Test
    void whatTheJobIsSavingIsNeitherRemovedNorCounted() throws IOException {
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        Files.writeString(root.resolve("latest"), "global_step4");
        Snapshots snapshots = snapshots(1, Optional.empty(), RunOptions.standard());
        assertThat(snapshots.look()).isTrue();
        assertThat(root.resolve("global_step5")).isDirectory();
        assertThat(root.resolve("global_step4")).isDirectory();
        assertThat(root.resolve("global_step3")).doesNotExist();
    }

    @Test
    void whatKeepsNoCheckpointOfTheJobIsNotRemoved() throws IOException {
        Path universal = root.resolve("global_step2_universal/zero/a");
        Files.createDirectories(universal);
        Path file = Files.writeString(universal.resolve("fp32.pt"), "of the user");
        Files.setLastModifiedTime(file, FileTime.from(SAVED.minusSeconds(100)));
        save("global_step4", SAVED.plusSeconds(10));
        assertThat(snapshots(1, Optional.empty(), RunOptions.standard()).look()).isTrue();
        assertThat(root.resolve("global_step3")).doesNotExist();
        assertThat(file).exists();
    }

    @Test
    void pointerThatMovesOnWhileItIsCopiedIsNotTheCopys() throws IOException {
        job =
                what -> {
                    if (what.equals("flushed")) {
                        write(root.resolve("latest"), "global_step4");
                    }
                };
        assertThat(snapshots(0).look()).isTrue();
        assertThat(folder.resolve("slow/latest")).hasContent("global_step3");
    }

    private static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void parityThatFailsDoesNotHoldUpTheFlush() throws IOException {
        snapshots(1).look();
        FolderTree.remove(folder.resolve("parity"));
        Files.writeString(folder.resolve("parity"), "no folder");
        save("global_step4", SAVED.plusSeconds(10));
        events.clear();
        assertThatThrownBy(() -> snapshots(1).look()).isInstanceOf(FileSystemException.class);
        assertThat(events).contains("flushed global_step4");
        assertThat(folder.resolve("slow/latest")).hasContent("global_step4");
        assertThat(root.resolve("global_step3")).doesNotExist();
    }

    @Test
    void theProtectedOneStaysWhereTheNewestCannotBe() throws IOException {
        Snapshots snapshots = snapshots(1, Optional.empty(), RunOptions.standard());
        snapshots.look();
        save("global_step4", SAVED.plusSeconds(10));
        Files.createDirectory(folder.resolve("parity/.global_step4.ucp-new"));
        Files.createDirectory(folder.resolve("parity/.global_step4.ucp-new/lock"));
        assertThatThrownBy(snapshots::look).isInstanceOf(IOException.class);
        assertThat(root.resolve("global_step3")).isDirectory();
        assertThat(folder.resolve("parity/global_step3")).isDirectory();
    }

    @Test
    void copyStaysUntilTheOneThatReplacesItIsWhole() throws IOException {
        snapshots(0).look();
        Path log = root.resolve("global_step3/more.log");
        Files.writeString(log, "new");
        now = Instant.now().plusSeconds(60);
        Optional<Path> slow = Optional.of(folder.resolve("slow"));
        int[] asked = {0};
        RunOptions stopped = RunOptions.standard().withCancelled(() -> flushing(asked));
        assertThatThrownBy(() -> snapshots(0, slow, stopped).look())
                .isInstanceOf(CancellationException.class);
        assertThat(folder.resolve("slow/global_step3/more.log")).doesNotExist();
        assertThat(folder.resolve("slow/global_step3/mp_rank_00_model_states.pt")).exists();
        snapshots(0).look();
        assertThat(folder.resolve("slow/global_step3/more.log")).hasContent("new");
        try (Stream<Path> entries = Files.list(folder.resolve("slow"))) {
            assertThat(entries.map(e -> e.getFileName().toString()))
                    .containsExactlyInAnyOrder("global_step3", "latest");
        }
    }

    /// Stops the copy, not the parity before it.
    private boolean flushing(int[] asked) {
        return events.getLast().startsWith("protected") && asked[0]++ > 0;
    }

    @Test
    void stepsOfTheTrainerAreCopiedWithAllThatLiesInThem() throws IOException {
        Path step = root.resolve("checkpoint-3");
        Files.createDirectory(step);
        Files.move(root.resolve("global_step3"), step.resolve("global_step3"));
        Files.move(root.resolve("latest"), step.resolve("latest"));
        Files.writeString(step.resolve("trainer_state.json"), "{}");
        try (Stream<Path> files = Files.list(step)) {
            for (Path file : files.toList()) {
                Files.setLastModifiedTime(file, FileTime.from(SAVED));
            }
        }
        assertThat(snapshots(1).look()).isTrue();
        assertThat(events).containsExactly("protected checkpoint-3", "flushed checkpoint-3");
        Path copy = folder.resolve("slow/checkpoint-3");
        assertThat(copy.resolve("trainer_state.json")).exists();
        assertThat(copy.resolve("latest")).hasContent("global_step3");
        assertThat(copy.resolve("global_step3/mp_rank_00_model_states.pt")).exists();
    }

    @Test
    void distributedCheckpointsOfTorchAreMarkedEachInItsFolder() throws IOException {
        FolderTree.remove(root.resolve("global_step3"));
        Files.delete(root.resolve("latest"));
        Path dcp = Path.of("../formats/src/test/resources/io/ucp/formats/dcp/fsdp2");
        for (int n = 1; n <= 3; n++) {
            Path step = root.resolve("step-" + n);
            Trees.copy(dcp, step);
            try (Stream<Path> files = Files.list(step)) {
                for (Path file : files.toList()) {
                    Files.setLastModifiedTime(file, FileTime.from(SAVED.plusSeconds(n)));
                }
            }
        }
        Files.delete(root.resolve("step-3/.metadata"));
        assertThat(snapshots(1).look()).isTrue();
        assertThat(events).containsExactly("protected step-2", "flushed step-2");
        Files.copy(dcp.resolve(".metadata"), root.resolve("step-3/.metadata"));
        events.clear();
        now = Instant.now().plusSeconds(60);
        assertThat(snapshots(1).look()).isTrue();
        assertThat(events).containsExactly("protected step-3", "flushed step-3", "removed step-2");
        Files.delete(root.resolve("step-3/__0_0.distcp"));
        Path parity = folder.resolve("parity/step-3");
        assertThat(Files.size(Degraded.open(root, parity).resolve("step-3/__0_0.distcp")))
                .isPositive();
    }

    @Test
    void whatAKilledProcessHalfRemovedIsRemoved() throws IOException {
        for (String left :
                List.of(
                        "ckpt/.global_step1.ucp-old",
                        "parity/.global_step1.ucp-old",
                        "slow/.global_step1.ucp-new")) {
            Path at = Files.createDirectories(folder.resolve(left));
            Files.writeString(at.resolve("lock"), "");
            Files.writeString(at.resolve("half"), "of it");
        }
        snapshots(0).look();
        assertThat(root.resolve(".global_step1.ucp-old")).doesNotExist();
        assertThat(folder.resolve("parity/.global_step1.ucp-old")).doesNotExist();
        assertThat(folder.resolve("slow/.global_step1.ucp-new")).doesNotExist();
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
    void oneFolderForTwoPurposesIsRefused() throws IOException {
        Path same = Files.createSymbolicLink(folder.resolve("same"), root);
        for (Path to : List.of(root, same)) {
            Snapshots.Parity parity = new Snapshots.Parity(to, new Grouping.ByFile(), 2, 1);
            for (Snapshots.Wishes wishes :
                    List.of(
                            new Snapshots.Wishes(
                                    root, 1, Duration.ZERO, Optional.empty(), Optional.of(to), 0),
                            new Snapshots.Wishes(
                                    root,
                                    1,
                                    Duration.ZERO,
                                    Optional.of(parity),
                                    Optional.empty(),
                                    0))) {
                assertThatThrownBy(
                                () ->
                                        new Snapshots(
                                                        wishes,
                                                        RunOptions.standard(),
                                                        () -> now,
                                                        event -> {})
                                                .look())
                        .isInstanceOf(RefusedException.class)
                        .hasMessageContaining("one folder for two purposes");
            }
        }
        assertThat(root.resolve("global_step3")).isDirectory();
    }

    @Test
    void whatIsNoParityIsNotRemovedForIt() throws IOException {
        Path mine = folder.resolve("parity/global_step3/thesis.tex");
        Files.createDirectories(mine.getParent());
        Files.writeString(mine, "x");
        assertThatThrownBy(() -> snapshots(0).look())
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("no parity");
        assertThat(mine).hasContent("x");
    }

    @Test
    void whatIsNoCheckpointIsNotReplacedByACopy() throws IOException {
        Path mine = folder.resolve("slow/global_step3/thesis.tex");
        Files.createDirectories(mine.getParent());
        Files.writeString(mine, "x");
        Snapshots snapshots = snapshots(1);
        assertThatThrownBy(snapshots::look).isInstanceOf(RefusedException.class);
        save("global_step4", SAVED.plusSeconds(10));
        assertThatThrownBy(snapshots::look)
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(mine.getParent() + ": it is there already and no checkpoint")
                .hasMessageContaining("choose another --flush-to");
        assertThat(mine).hasContent("x");
        assertThat(mine.resolveSibling("mp_rank_00_model_states.pt")).doesNotExist();
        assertThat(root.resolve("global_step3")).isDirectory();
        assertThat(folder.resolve("slow/latest")).hasContent("global_step4");
    }

    @Test
    void linkIsNotReplacedByACopy() throws IOException {
        Files.createDirectories(folder.resolve("slow"));
        Path link =
                Files.createSymbolicLink(
                        folder.resolve("slow/global_step3"), folder.resolve("elsewhere"));
        assertThatThrownBy(() -> snapshots(1).look())
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining(link + ": it is there already and no checkpoint");
        assertThat(link).isSymbolicLink();
    }

    @Test
    void whatSomebodyPutBesideTheFilesOfACopyStays() throws IOException {
        snapshots(0).look();
        Path note = folder.resolve("slow/global_step3/notes.txt");
        Files.writeString(note, "mine");
        events.clear();
        assertThat(snapshots(0).look()).isTrue();
        assertThat(events).isEmpty();
        assertThat(note).hasContent("mine");
    }

    @Test
    void whatFailedIsTriedAgainAfterTwiceAsLongEachTime() throws IOException {
        Path slow = Files.writeString(folder.resolve("slow"), "no folder");
        Snapshots snapshots = snapshots(1);
        List<Long> tried = new ArrayList<>();
        Instant start = now;
        for (int second = 0; second < 200; second++) {
            now = start.plusSeconds(second);
            try {
                assertThat(snapshots.look()).isTrue();
                assertThat(snapshots.owes()).isTrue();
            } catch (FileSystemException e) {
                tried.add((long) second);
            }
        }
        assertThat(tried).containsExactly(0L, 1L, 3L, 7L, 15L, 31L, 63L, 123L, 183L);
        Files.delete(slow);
        save("global_step4", now.minusSeconds(20));
        assertThat(snapshots.look()).isTrue();
        assertThat(snapshots.owes()).isFalse();
        assertThat(events)
                .contains("flushed global_step3", "flushed global_step4", "removed global_step3");
    }

    @Test
    void whatWasCommittedAfterAFlushThatWasKilledIsNotForgotten() throws IOException {
        Path killed = Files.createDirectories(folder.resolve("slow/.global_step3.ucp-new/output"));
        Files.writeString(killed.resolveSibling("lock"), "");
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        Files.createDirectories(root.resolve("global_step2"));
        save("global_step2", SAVED.minusSeconds(10));
        Files.writeString(root.resolve("latest"), "global_step5");
        now = SAVED.plusSeconds(24);
        assertThat(snapshots(1).look()).isFalse(); // not settled, and killed again
        now = SAVED.plusSeconds(60);
        assertThat(snapshots(1).look()).isTrue();
        assertThat(events)
                .containsExactly(
                        "protected global_step5",
                        "flushed global_step3",
                        "flushed global_step4",
                        "flushed global_step5",
                        "removed global_step4",
                        "removed global_step3");
        assertThat(root.resolve("global_step2")).isDirectory();
        assertThat(killed.getParent()).doesNotExist();
    }

    @Test
    void whatWasProtectedBeforeTheRestartIsOursToo() throws IOException {
        snapshots(1, Optional.empty(), RunOptions.standard()).look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        events.clear();
        snapshots(1).look();
        assertThat(events)
                .contains("flushed global_step3", "flushed global_step4", "flushed global_step5");
    }

    @Test
    void parityOfAnotherKindIsMadeAnew() throws IOException {
        Path parity = folder.resolve("parity");
        snapshots(2).look();
        save("global_step4", SAVED.plusSeconds(10));
        snapshots(2).look();
        events.clear();
        Snapshots changed =
                new Snapshots(
                        new Snapshots.Wishes(
                                root,
                                2,
                                Duration.ZERO,
                                Optional.of(
                                        new Snapshots.Parity(parity, new Grouping.ByFile(), 3, 2)),
                                Optional.of(folder.resolve("slow")),
                                0),
                        RunOptions.standard(),
                        () -> now,
                        event -> events.add(event.what() + " " + event.tag()));
        assertThat(changed.look()).isTrue();
        assertThat(events).containsExactly("protected global_step4", "protected global_step3");
        for (String tag : List.of("global_step3", "global_step4")) {
            assertThat(ProtectedCheckpoint.open(root, parity.resolve(tag)).manifest())
                    .satisfies(manifest -> assertThat(manifest.data()).isEqualTo(3))
                    .satisfies(manifest -> assertThat(manifest.parity()).isEqualTo(2));
        }
        assertThat(changed.look()).isTrue();
        assertThat(events).hasSize(2);
    }

    @Test
    void whatHasNotChangedIsNotOpenedAgain() throws IOException {
        Path model = root.resolve("global_step3/mp_rank_00_model_states.pt");
        FileTime modified = Files.getLastModifiedTime(model);
        Snapshots snapshots = snapshots(1);
        assertThat(snapshots.look()).isTrue();
        Files.write(model, new byte[(int) Files.size(model)]); // opening it would fail now
        Files.setLastModifiedTime(model, modified);
        assertThat(snapshots.look()).isTrue();
        Files.setLastModifiedTime(model, FileTime.from(SAVED.plusSeconds(1)));
        for (int look = 0; look < 2; look++) {
            assertThatThrownBy(snapshots::look).isInstanceOf(MalformedFileException.class);
            now = now.plusSeconds(60);
        }
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
