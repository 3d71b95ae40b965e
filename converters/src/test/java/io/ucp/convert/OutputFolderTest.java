package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.io.FileIdentity;
import io.ucp.plan.CopyPlan;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;

class OutputFolderTest {
    private static final CopyPlan NOTHING = new CopyPlan(List.of(), List.of());
    private static final JobRecord JOB =
            new JobRecord(
                    "plan", 1, "process 1", "source", "format", new SourceState(new TreeMap<>()));

    @TempDir Path parent;

    private OutputFolder open(Leftover leftover, boolean overwrite) throws IOException {
        return OutputFolder.open(
                parent.resolve("out"),
                new OutputFolder.Rules(leftover, overwrite, true),
                JOB,
                NOTHING);
    }

    private OutputFolder open() throws IOException {
        return open(Leftover.REFUSE, false);
    }

    /// Writes one file and commits.
    private void make(Leftover leftover, boolean overwrite, String content) throws IOException {
        try (OutputFolder folder = open(leftover, overwrite)) {
            folder.write(new SmallFile("a/b", content.getBytes(UTF_8)));
            assertThat(folder.commit()).isEmpty();
        }
    }

    /// What ucp takes for a checkpoint.
    private void checkpoint(Path path) throws IOException {
        Files.createDirectories(path.resolve("states"));
        Files.writeString(path.resolve("manifest.json"), "{\"format\":\"ucp-universal\"}");
    }

    @Test
    void appearsWholeWhenCommitted() throws IOException {
        try (OutputFolder folder = open()) {
            folder.write(new SmallFile("a/b", new byte[] {1, 2}));
            assertThat(parent.resolve("out")).doesNotExist();
            assertThat(folder.commit()).isEmpty();
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a/b")).hasBinaryContent(new byte[] {1, 2});
    }

    @Test
    void leavesNothingWhereNothingWasJournaled() throws IOException {
        try (OutputFolder folder = open()) {
            folder.write(new SmallFile("a/b", new byte[] {1, 2}));
        }
        assertThat(names()).isEmpty();
    }

    @Test
    void neverWritesOverWhatIsThere() throws IOException {
        Files.writeString(parent.resolve("out"), "mine");
        assertThatThrownBy(this::open)
                .isInstanceOf(OutputExistsException.class)
                .hasMessageContaining("it exists already");
        assertThat(parent.resolve("out")).hasContent("mine");
        assertThat(names()).containsExactly("out");
    }

    @Test
    void tidiesUpBehindOneThatWasCutOffWhileItTidiedUp() throws IOException {
        checkpoint(parent.resolve("out"));
        for (Leftover leftover : Leftover.values()) {
            Path work = Files.createDirectory(parent.resolve(".out.ucp"));
            Files.write(work.resolve("job.json"), JOB.json());
            Files.writeString(work.resolve("lock"), "");
            assertThatThrownBy(() -> open(leftover, false))
                    .isInstanceOf(OutputExistsException.class);
            assertThat(names()).containsExactly("out");
        }
    }

    @Test
    void givesWayToWhatTookItsNameMeanwhile() throws IOException {
        try (OutputFolder folder = open()) {
            Files.createDirectory(parent.resolve("out"));
            assertThatThrownBy(folder::commit).isInstanceOf(OutputExistsException.class);
        }
        assertThat(names()).containsExactly("out");
    }

    @Test
    void refusesBeforeTheFirstByteWhatTheDiskCannotHold() throws IOException {
        try (OutputFolder folder = open()) {
            assertThatThrownBy(() -> folder.requireSpace(Long.MAX_VALUE))
                    .isInstanceOf(FileSystemException.class)
                    .hasMessageContaining("no space")
                    .hasMessageContaining("hint: free some room");
        }
        assertThat(names()).isEmpty();
    }

    @Test
    void isMadeByOneAtATime() throws IOException {
        try (OutputFolder first = open()) {
            for (Leftover leftover : Leftover.values()) {
                assertThatThrownBy(() -> open(leftover, false))
                        .isInstanceOf(LeftoverException.class)
                        .hasMessageContaining("another ucp is writing it (process 1)");
            }
            first.write(new SmallFile("a/b", new byte[] {1, 2}));
            first.commit();
        }
        assertThat(names()).containsExactly("out");
    }

    @Test
    void replacesACheckpointWhenTheNewOneIsWhole() throws IOException {
        checkpoint(parent.resolve("out"));
        try (OutputFolder folder = open(Leftover.REFUSE, true)) {
            folder.write(new SmallFile("a/b", new byte[] {1, 2}));
            assertThat(parent.resolve("out/manifest.json")).exists();
            folder.commit();
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a/b")).exists();
        assertThat(parent.resolve("out/manifest.json")).doesNotExist();
    }

    @Test
    void replacesNothingThatIsNoCheckpoint() throws IOException {
        Files.createDirectories(parent.resolve("out/thesis"));
        assertThatThrownBy(() -> open(Leftover.REFUSE, true))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("--overwrite, and it is no checkpoint");
        FolderTree.remove(parent.resolve("out"));
        Files.writeString(parent.resolve("out"), "a file");
        assertThatThrownBy(() -> open(Leftover.REFUSE, true))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("it is no folder");
        Files.delete(parent.resolve("out"));
        checkpoint(parent.resolve("elsewhere"));
        Files.createSymbolicLink(parent.resolve("out"), parent.resolve("elsewhere"));
        assertThatThrownBy(() -> open(Leftover.REFUSE, true))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("it is a link");
        assertThat(names()).containsExactly("elsewhere", "out");
    }

    @Test
    void replacesNotAllThatAJobSaved() throws IOException {
        Path out =
                Trees.copy(
                        Path.of("../samples/gpt2-zero2-tied-frozen/checkpoint"),
                        parent.resolve("out"));
        Trees.copy(out.resolve("global_step3"), out.resolve("global_step4"));
        assertThatThrownBy(() -> open(Leftover.REFUSE, true))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("--overwrite, and it is 2 checkpoints");
        assertThat(out.resolve("global_step3/mp_rank_00_model_states.pt")).exists();
        FolderTree.remove(out.resolve("global_step4"));
        make(Leftover.REFUSE, true, "new");
        assertThat(out.resolve("a/b")).hasContent("new");
    }

    @Test
    void touchesNoFolderOfThatNameThatIsNotItsOwn() throws IOException {
        Files.createDirectories(parent.resolve(".out.ucp"));
        Files.writeString(parent.resolve(".out.ucp/thesis.tex"), "mine");
        for (Leftover leftover : Leftover.values()) {
            assertThatThrownBy(() -> open(leftover, false))
                    .isInstanceOf(RefusedException.class)
                    .hasMessageContaining("it holds `thesis.tex`");
        }
        assertThat(parent.resolve(".out.ucp/thesis.tex")).hasContent("mine");
    }

    /// As after a process that ended between the two renames of a system that cannot exchange.
    @ParameterizedTest
    @EnumSource(Leftover.class)
    void completesAReplacementThatWasCutOff(Leftover leftover) throws IOException {
        cutOffWhileItCommits();
        checkpoint(parent.resolve(".out.ucp/replaced"));
        if (leftover == Leftover.RESUME) {
            try (OutputFolder folder = open(leftover, true)) {
                assertThat(folder.complete()).isTrue();
            }
        } else {
            assertThatThrownBy(() -> open(leftover, false))
                    .isInstanceOf(OutputExistsException.class);
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a")).hasContent("new");
    }

    @Test
    void tidiesUpBehindAReplacementThatWasCutOff() throws IOException {
        cutOffWhileItCommits();
        Files.move(parent.resolve(".out.ucp/output"), parent.resolve("out"));
        checkpoint(parent.resolve(".out.ucp/output")); // exchanged, and not yet moved on
        try (OutputFolder folder = open(Leftover.RESUME, true)) {
            assertThat(folder.complete()).isTrue();
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a")).hasContent("new");
    }

    @Test
    void whatAnotherConversionCompletedIsNotTakenForThisOne() throws IOException {
        for (boolean overwrite : new boolean[] {false, true}) {
            cutOffWhileItCommits();
            Files.write(
                    parent.resolve(".out.ucp/job.json"),
                    new JobRecord(
                                    "another",
                                    1,
                                    "process 1",
                                    "source",
                                    "format",
                                    new SourceState(new TreeMap<>()))
                            .json());
            FolderTree.remove(parent.resolve("out"));
            checkpoint(parent.resolve(".out.ucp/output"));
            Files.move(parent.resolve(".out.ucp/output"), parent.resolve("out"));
            if (overwrite) {
                make(Leftover.RESUME, true, "this");
                assertThat(parent.resolve("out/a/b")).hasContent("this");
            } else {
                assertThatThrownBy(() -> open(Leftover.RESUME, false))
                        .isInstanceOf(OutputExistsException.class);
            }
            assertThat(names()).containsExactly("out");
        }
    }

    @Test
    void whatWasToBeReplacedGetsItsNameBackWhereNothingElseHasIt() throws IOException {
        cutOffWhileItCommits();
        Files.delete(parent.resolve(".out.ucp/commit")); // lost with the power, without fsync
        checkpoint(parent.resolve(".out.ucp/replaced"));
        assertThatThrownBy(() -> open(Leftover.RESTART, false))
                .isInstanceOf(OutputExistsException.class);
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/manifest.json")).exists();
    }

    @Test
    void isDoneOnceItHasItsName() throws IOException {
        checkpoint(parent.resolve("out"));
        try (OutputFolder folder = open(Leftover.REFUSE, true)) {
            folder.write(new SmallFile("a/b", new byte[] {1, 2}));
            checkpoint(parent.resolve(".out.ucp/replaced"));
            assertThat(folder.commit()).isEmpty();
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a/b")).exists();
    }

    @Test
    void goesOnBeforeACommitThatWasCutOff() throws IOException {
        cutOffWhileItCommits();
        try (OutputFolder folder = open(Leftover.RESUME, false)) {
            assertThat(folder.complete()).isFalse();
            folder.write(new SmallFile("a", "again".getBytes(UTF_8)));
            folder.commit();
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a")).hasContent("again");
    }

    /// A whole output that has not got its name.
    private void cutOffWhileItCommits() throws IOException {
        Path work = parent.resolve(".out.ucp");
        Files.createDirectories(work.resolve("output"));
        Files.writeString(work.resolve("output/a"), "new");
        Files.write(work.resolve("job.json"), JOB.json());
        Files.writeString(work.resolve("commit"), FileIdentity.of(work.resolve("output")));
    }

    @Test
    void removesFromWhatWasLeftWhatIsNotPlanned() throws IOException {
        Path work = parent.resolve(".out.ucp");
        Files.createDirectories(work.resolve("output/deep"));
        Files.write(work.resolve("job.json"), JOB.json());
        Files.writeString(work.resolve("output/deep/stray"), "x");
        Files.createSymbolicLink(work.resolve("output/link"), parent);
        make(Leftover.RESUME, false, "c");
        assertThat(parent.resolve("out/deep/stray")).doesNotExist();
        assertThat(parent.resolve("out/link")).doesNotExist();
        assertThat(parent.resolve("out/a/b")).hasContent("c");
    }

    @Test
    void takesARunThatHadHardlyBegunForNone() throws IOException {
        Path work = Files.createDirectory(parent.resolve(".out.ucp"));
        Files.writeString(work.resolve("job.new"), "{\"ucp");
        make(Leftover.REFUSE, false, "c");
        FolderTree.remove(parent.resolve("out"));
        Files.createDirectory(work);
        Files.writeString(work.resolve("job.json"), "{\"ucp");
        make(Leftover.RESUME, false, "d");
        assertThat(names()).containsExactly("out");
    }

    private List<String> names() throws IOException {
        try (Stream<Path> entries = Files.list(parent)) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList();
        }
    }
}
