package io.ucp.snapshot;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.convert.FolderTree;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Trees;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.parity.Degraded;
import io.ucp.parity.Grouping;
import io.ucp.parity.NewFolder;

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
import java.util.function.Consumer;
import java.util.stream.Stream;

/// What a job, its user or the clock may do at the worst moment.
final class SnapshotsHazardsTest {
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
        return snapshots(
                keep,
                Optional.of(
                        new Snapshots.Parity(
                                folder.resolve("parity"), new Grouping.ByFile(), 2, 1)));
    }

    private Snapshots snapshots(int keep, Optional<Snapshots.Parity> parity) {
        return new Snapshots(
                new Snapshots.Wishes(
                        root,
                        keep,
                        Duration.ofSeconds(5),
                        parity,
                        Optional.of(folder.resolve("slow")),
                        0),
                RunOptions.standard(),
                () -> now,
                event -> {
                    events.add(event.what() + " " + event.tag());
                    job.accept(events.getLast());
                });
    }

    private void again(String tag, Instant at) {
        try {
            save(tag, at);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void tagThatIsSavedAgainDuringALongFlushIsNotRemoved() throws IOException {
        snapshots(1).look();
        save("global_step4", SAVED.plusSeconds(10));
        job =
                what -> {
                    if (what.equals("flushed global_step4")) {
                        again("global_step3", SAVED.plusSeconds(50));
                        write(root.resolve("latest"), "global_step4"); // not done with it yet
                    }
                };
        snapshots(1).look();
        assertThat(root.resolve("global_step3")).isDirectory();
        assertThat(events).doesNotContain("removed global_step3");
    }

    @Test
    void whatThePointerNamesAgainIsNotRemoved() throws IOException {
        snapshots(1).look();
        save("global_step4", SAVED.plusSeconds(10));
        job =
                what -> {
                    if (what.equals("flushed global_step4")) {
                        write(root.resolve("latest"), "global_step3");
                    }
                };
        snapshots(1).look();
        assertThat(root.resolve("global_step3")).isDirectory();
    }

    @Test
    void whatIsNoParityIsNotRemovedWithItsCheckpoint() throws IOException {
        Path mine = folder.resolve("parity/global_step3/thesis.tex");
        Files.createDirectories(mine.getParent());
        Files.writeString(mine, "x");
        Snapshots snapshots = snapshots(1);
        assertThatThrownBy(snapshots::look).isInstanceOf(RefusedException.class);
        save("global_step4", SAVED.plusSeconds(10));
        try {
            snapshots.look();
        } catch (RefusedException e) {
            assertThat(e).hasMessageContaining("no parity");
        }
        assertThat(mine).hasContent("x");
    }

    @Test
    void checkpointThatHasAManifestIsNoParity() throws IOException {
        Path mine = folder.resolve("parity/global_step3/manifest.json");
        Files.createDirectories(mine.getParent());
        Files.writeString(mine, "{\"format\": \"ucp-universal\"}");
        assertThatThrownBy(() -> snapshots(1).look())
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("no parity");
        assertThat(mine).exists();
    }

    @Test
    void linkedCheckpointIsCopiedWithItsFiles() throws IOException {
        Path elsewhere = folder.resolve("elsewhere");
        Files.move(root.resolve("global_step3"), elsewhere);
        Files.createSymbolicLink(root.resolve("global_step3"), elsewhere);
        now = SAVED.plusSeconds(4);
        Snapshots snapshots = snapshots(1, Optional.empty());
        assertThat(snapshots.look()).isFalse();
        now = SAVED.plusSeconds(60);
        assertThat(snapshots.look()).isTrue();
        assertThat(folder.resolve("slow/global_step3/mp_rank_00_model_states.pt"))
                .hasSameBinaryContentAs(elsewhere.resolve("mp_rank_00_model_states.pt"));
    }

    @Test
    void clockThatIsSetBackDoesNotPutOffWhatFailed() throws IOException {
        Path slow = Files.writeString(folder.resolve("slow"), "no folder");
        now = SAVED.plusSeconds(90_000);
        Snapshots snapshots = snapshots(1);
        assertThatThrownBy(snapshots::look).isInstanceOf(FileSystemException.class);
        Files.delete(slow);
        now = SAVED.plusSeconds(60);
        assertThat(snapshots.look()).isTrue();
        assertThat(events).contains("flushed global_step3");
    }

    @Test
    void parityThatFailsDoesNotHoldUpTheFlushOfOlderOnes() throws IOException {
        snapshots(3).look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        Files.createDirectories(folder.resolve("parity/global_step4"));
        events.clear();
        assertThatThrownBy(() -> snapshots(3).look()).isInstanceOf(RefusedException.class);
        assertThat(events).contains("flushed global_step4", "flushed global_step5");
    }

    @Test
    void tagThatIsReplacedByAnOlderOneIsProtectedAnew() throws IOException {
        Snapshots snapshots = snapshots(0);
        snapshots.look();
        Path log = root.resolve("global_step3/more.log");
        Files.writeString(log, "old");
        Files.setLastModifiedTime(log, FileTime.from(SAVED));
        Path file = root.resolve("global_step3/mp_rank_00_model_states.pt");
        Files.setLastModifiedTime(file, FileTime.from(SAVED.minusSeconds(500)));
        events.clear();
        assertThat(snapshots.look()).isTrue();
        assertThat(events).contains("protected global_step3");
        events.clear();
        assertThat(snapshots.look()).isTrue();
        assertThat(events).isEmpty();
    }

    @Test
    void parityOnADiskWhoseClockIsBehindIsMadeOnce() throws IOException {
        Snapshots snapshots = snapshots(0);
        snapshots.look();
        Path manifest = folder.resolve("parity/global_step3/manifest.json");
        Files.setLastModifiedTime(manifest, FileTime.from(SAVED.minusSeconds(1)));
        events.clear();
        assertThat(snapshots.look()).isTrue();
        assertThat(events).isEmpty();
    }

    @Test
    void whatCannotBeListedIsTriedAgainAndHoldsUpNothing() throws IOException {
        Snapshots snapshots = snapshots(1);
        snapshots.look();
        Path loop = folder.resolve("slow/global_step3/loop");
        Files.createSymbolicLink(loop, loop);
        save("global_step4", SAVED.plusSeconds(10));
        assertThat(snapshots.look()).isTrue();
        assertThat(events).contains("flushed global_step4");
    }

    @Test
    void whatWasReplacedComesBackWhereItsSuccessorDidNotGetItsName() throws IOException {
        Path old = folder.resolve("slow/.global_step3.ucp-new/replaced");
        Files.createDirectories(old);
        Files.writeString(old.resolve("precious"), "x");
        Files.writeString(old.resolveSibling("lock"), "");
        NewFolder.sweep(List.of(old.getParent()));
        assertThat(folder.resolve("slow/global_step3/precious")).hasContent("x");
        assertThat(old.getParent()).doesNotExist();
        Files.createDirectories(old.getParent());
        Files.move(folder.resolve("slow/global_step3"), old);
        NewFolder.replacing(folder.resolve("slow/global_step3"), false).close();
        assertThat(folder.resolve("slow/global_step3/precious")).hasContent("x");
    }

    @Test
    void pointerThatIsNoPathDoesNotEndIt() throws IOException {
        Files.writeString(root.resolve("latest"), "a\0b");
        try {
            snapshots(1).look();
        } catch (IOException | RefusedException e) {
            assertThat(e).hasMessageContaining("latest");
        }
    }

    @Test
    void linkToTheNewestIsNoOlderOne() throws IOException {
        Files.createSymbolicLink(root.resolve("last"), Path.of("global_step3"));
        Files.writeString(root.resolve("latest"), "last");
        assertThat(snapshots(1, Optional.empty()).look()).isTrue();
        assertThat(root.resolve("last/mp_rank_00_model_states.pt")).exists();
        assertThat(folder.resolve("slow/last/mp_rank_00_model_states.pt")).exists();
        assertThat(folder.resolve("slow/latest")).hasContent("last");
    }

    @Test
    void linkToTheNewestThatIsMarkedInsideIsNoOtherOne() throws IOException {
        FolderTree.remove(root.resolve("global_step3"));
        Files.delete(root.resolve("latest"));
        Path dcp = Path.of("../formats/src/test/resources/io/ucp/formats/dcp/fsdp2");
        Path step = Trees.copy(dcp, root.resolve("step-1"));
        Files.createSymbolicLink(root.resolve("latest"), Path.of("step-1"));
        now = Instant.now().plusSeconds(60);
        assertThat(snapshots(1).look()).isTrue();
        assertThat(step.resolve(".metadata")).exists();
        assertThat(events).containsExactly("protected step-1", "flushed step-1");
    }

    @Test
    void linkToACheckpointIsNotCounted() throws IOException {
        Snapshots snapshots = snapshots(2);
        snapshots.look();
        save("global_step4", SAVED.plusSeconds(10));
        Files.createSymbolicLink(root.resolve("best"), Path.of("global_step4"));
        assertThat(snapshots.look()).isTrue();
        assertThat(root.resolve("global_step3")).isDirectory();
        assertThat(root.resolve("best")).isSymbolicLink();
        assertThat(events)
                .containsExactly(
                        "protected global_step3",
                        "flushed global_step3",
                        "protected global_step4",
                        "flushed global_step4");
    }

    @Test
    void checkpointThatANewerOneLinksIntoStays() throws IOException {
        snapshots(1).look();
        save("global_step4", SAVED.plusSeconds(10));
        Path frozen = root.resolve("global_step4/mp_rank_00_model_states.pt");
        Files.delete(frozen);
        Files.createSymbolicLink(frozen, Path.of("../global_step3/mp_rank_00_model_states.pt"));
        snapshots(1).look();
        assertThat(frozen).exists();
    }

    @Test
    void parityOfACheckpointThatLostAFileIsKept() throws IOException {
        Path extra = Files.writeString(root.resolve("global_step3/dataloader.json"), "{}");
        Files.setLastModifiedTime(extra, FileTime.from(SAVED));
        Snapshots snapshots = snapshots(1);
        snapshots.look();
        Files.delete(extra);
        events.clear();
        snapshots.look();
        assertThat(events).isEmpty();
        assertThat(
                        Degraded.open(root, folder.resolve("parity/global_step3"))
                                .resolve("global_step3/dataloader.json"))
                .exists();
    }

    @Test
    void whatARepairLeftIsNoFileOfTheCheckpoint() throws IOException {
        Snapshots snapshots = snapshots(1);
        snapshots.look();
        Files.writeString(
                root.resolve("global_step3/.mp_rank_00_model_states.pt.ucp-repair"), "half");
        now = Instant.now().plusSeconds(60);
        events.clear();
        snapshots.look();
        assertThat(events).isEmpty();
    }

    @Test
    void whatWasCommittedSinceTheLastCopyIsNotForgottenWhereTheJobRemovedThatOne()
            throws IOException {
        snapshots(2, Optional.empty()).look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        FolderTree.remove(root.resolve("global_step3"));
        snapshots(2, Optional.empty()).look();
        assertThat(events).contains("flushed global_step4", "flushed global_step5");
    }

    @Test
    void whatCannotBeReadIsNotCounted() throws IOException {
        save("global_step4", SAVED.plusSeconds(10));
        Files.delete(root.resolve("global_step4/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"));
        Snapshots snapshots =
                new Snapshots(
                        new Snapshots.Wishes(
                                root,
                                2,
                                Duration.ofSeconds(5),
                                Optional.of(
                                        new Snapshots.Parity(
                                                folder.resolve("parity"),
                                                new Grouping.ByFile(),
                                                2,
                                                1)),
                                Optional.empty(),
                                0),
                        RunOptions.standard(),
                        () -> now,
                        event -> events.add(event.what() + " " + event.tag()));
        Files.writeString(root.resolve("latest"), "global_step3");
        snapshots.look();
        save("global_step5", SAVED.plusSeconds(20));
        snapshots.look();
        assertThat(events).contains("incomplete global_step4");
        assertThat(root.resolve("global_step3")).isDirectory();
    }

    @Test
    void tagThatIsNamedAsItsRootIsNotPutInItsPlace() throws IOException {
        FolderTree.remove(root.resolve("global_step3"));
        save("ckpt", SAVED);
        Snapshots snapshots =
                new Snapshots(
                        new Snapshots.Wishes(
                                root, 1, Duration.ZERO, Optional.empty(), Optional.of(folder), 0),
                        RunOptions.standard(),
                        () -> now,
                        event -> events.add(event.what() + " " + event.tag()));
        assertThatThrownBy(snapshots::look).isInstanceOf(RefusedException.class);
        assertThat(root.resolve("ckpt/mp_rank_00_model_states.pt")).exists();
    }

    @Test
    void whatCannotBeSweptHoldsUpNothing() throws IOException {
        assertSweepingIsToldToFail();
        assertThat(events).containsExactly("protected global_step3", "flushed global_step3");
    }

    @Test
    void whatFailsIsToldWhereNothingHasSettledToo() throws IOException {
        now = SAVED.plusSeconds(1);
        assertSweepingIsToldToFail();
        assertThat(events).isEmpty();
    }

    /// With what is left of another process longer than a path may be: nobody can list it.
    private void assertSweepingIsToldToFail() throws IOException {
        Path upper = Path.of("slow/.other.ucp-old");
        Path lower = Path.of("lower");
        for (int k = 0; k < 12; k++) {
            upper = upper.resolve("x".repeat(200));
            lower = lower.resolve("x".repeat(200));
        }
        Path deep = Files.createDirectories(folder.resolve(upper)).resolve("lower");
        Files.createDirectories(folder.resolve(lower));
        Files.move(folder.resolve("lower"), deep);
        try {
            Snapshots snapshots = snapshots(1);
            assertThatThrownBy(snapshots::look).isInstanceOf(FileSystemException.class);
        } finally {
            Files.move(deep, folder.resolve("lower"));
        }
    }

    @Test
    void folderOfOtherCheckpointsIsNotReplacedByACopy() throws IOException {
        Path run = folder.resolve("slow/global_step3");
        Trees.copy(SAMPLE, run);
        assertThatThrownBy(() -> snapshots(1).look())
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("no checkpoint of the job's");
        assertThat(run.resolve("global_step3/mp_rank_00_model_states.pt")).exists();
    }

    @Test
    void checkpointOfAnotherFormatIsNotReplacedByACopy() throws IOException {
        Path model = folder.resolve("slow/global_step3");
        Trees.copy(Path.of("../samples/hf-llama-sharded/checkpoint"), model);
        assertThatThrownBy(() -> snapshots(1).look()).isInstanceOf(RefusedException.class);
        assertThat(model.resolve("config.json")).exists();
    }

    @Test
    void newestThatCannotBeReadHoldsUpNoneBeforeIt() throws IOException {
        Snapshots snapshots = snapshots(1);
        snapshots.look();
        save("global_step4", SAVED.plusSeconds(10));
        save("global_step5", SAVED.plusSeconds(20));
        Files.delete(root.resolve("global_step5/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"));
        events.clear();
        assertThatThrownBy(snapshots::look).isInstanceOf(IncompleteCheckpointException.class);
        assertThat(events).containsExactly("flushed global_step4");
        assertThat(folder.resolve("slow/latest")).hasContent("global_step3");
    }

    private static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
