package io.ucp.execute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.checkpoint.Inventory;
import io.ucp.formats.Elementwise;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.io.ChecksumField;
import io.ucp.layout.Agreement;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.IndexedJob;
import io.ucp.plan.IndexedJob.Held;
import io.ucp.plan.IndexedJob.Layout;
import io.ucp.plan.IndexedJob.RankFile;
import io.ucp.plan.IndexedJob.Tensor;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;

/// Runs that are stopped after every window in turn, and gone on with.
class JournalTest {
    private static final int BUFFER = 64;

    @TempDir Path folder;
    private Path in;
    private Path out;
    private Path journal;

    @BeforeEach
    void folders() throws IOException {
        in = Files.createDirectory(folder.resolve("in"));
        out = Files.createDirectory(folder.resolve("out"));
        journal = folder.resolve("journal");
    }

    /// @param windows that are begun, each of one worker
    private ExecutionResult run(CopyPlan plan, int windows) throws IOException {
        AtomicInteger asked = new AtomicInteger();
        try (Journal opened = Journal.open(journal, plan, BUFFER)) {
            return PlanExecutor.execute(
                    plan,
                    out,
                    Options.standard()
                            .withThreads(1)
                            .withBufferBytes(BUFFER)
                            .withJournal(opened)
                            .withCancelled(() -> asked.getAndIncrement() >= windows),
                    Progress.NONE);
        }
    }

    private ExecutionResult run(CopyPlan plan) throws IOException {
        return run(plan, Integer.MAX_VALUE);
    }

    private void stopped(CopyPlan plan, int windows) {
        assertThatThrownBy(() -> run(plan, windows)).isInstanceOf(CancellationException.class);
    }

    private void clear() throws IOException {
        Files.deleteIfExists(journal);
        try (var files = Files.list(out)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
    }

    private CopyPlan shards() throws IOException {
        Random random = new Random(5);
        IndexedJob job = IndexedJob.random(random);
        Layout ranks = job.sharded(random, 2, 2);
        IndexedJob.write(ranks, in);
        return Planner.plan(
                job.inventory(ranks, in, Agreement.EQUAL), IndexedJob.targets(job.whole()));
    }

    private Map<Path, List<Byte>> contents() throws IOException {
        java.util.TreeMap<Path, List<Byte>> contents = new java.util.TreeMap<>();
        try (var files = Files.list(out)) {
            for (Path file : files.toList()) {
                byte[] bytes = Files.readAllBytes(file);
                Byte[] boxed = new Byte[bytes.length];
                Arrays.setAll(boxed, k -> bytes[k]);
                contents.put(file, List.of(boxed));
            }
        }
        return contents;
    }

    @Test
    void goesOnAfterAnyWindow() throws IOException {
        CopyPlan plan = shards();
        ExecutionResult whole = run(plan);
        Map<Path, List<Byte>> expected = contents();
        assertThat(whole.counts().bytesKept()).isZero();
        int steps = Math.toIntExact(whole.counts().windows()) + plan.targets().size();
        assertThat(steps).isGreaterThan(10);
        for (int k = 0; k < steps; k++) {
            clear();
            stopped(plan, k);
            ExecutionResult rest = run(plan);
            assertThat(contents()).isEqualTo(expected);
            assertThat(rest.digests()).isEqualTo(whole.digests());
            assertThat(rest.counts().bytesKept() + rest.counts().bytesWritten())
                    .isEqualTo(plan.size());
        }
    }

    @Test
    void keepsAllOfARunThatWasWhole() throws IOException {
        CopyPlan plan = shards();
        ExecutionResult whole = run(plan);
        ExecutionResult again = run(plan);
        assertThat(again.digests()).isEqualTo(whole.digests());
        assertThat(again.counts().bytesKept()).isEqualTo(plan.size());
        assertThat(again.counts().bytesWritten()).isZero();
        assertThat(again.counts().bytesRead()).isZero();
        try (Journal opened = Journal.open(journal, plan, BUFFER)) {
            assertThat(opened.bytesClaimed()).isEqualTo(plan.size());
        }
    }

    @Test
    void writesAgainWhatWasDamagedMeanwhile() throws IOException {
        CopyPlan plan = shards();
        ExecutionResult whole = run(plan);
        Map<Path, List<Byte>> expected = contents();
        Random random = new Random(1);
        for (int round = 0; round < 60; round++) {
            Path file = expected.keySet().stream().toList().get(random.nextInt(expected.size()));
            byte[] bytes = Files.readAllBytes(file);
            switch (round % 3) {
                case 0 -> bytes[random.nextInt(bytes.length)] ^= 4;
                case 1 -> bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
                default -> bytes = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(99));
            }
            Files.write(file, bytes);
            ExecutionResult again = run(plan);
            assertThat(contents()).isEqualTo(expected);
            assertThat(again.digests()).isEqualTo(whole.digests());
        }
    }

    @Test
    void believesNothingThatADamagedJournalSays() throws IOException {
        CopyPlan plan = shards();
        run(plan);
        Map<Path, List<Byte>> expected = contents();
        Random random = new Random(2);
        for (int round = 0; round < 60; round++) {
            byte[] bytes = Files.readAllBytes(journal);
            switch (round % 3) {
                case 0 -> bytes[random.nextInt(bytes.length)] ^= 16;
                case 1 -> bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
                default -> random.nextBytes(bytes);
            }
            Files.write(journal, bytes);
            run(plan);
            assertThat(contents()).isEqualTo(expected);
        }
    }

    @Test
    void windowsWhoseCopiesDifferAreReadAgain() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 16, 16);
        Tensor t = job.tensors().getFirst();
        Layout copies =
                new Layout(
                        List.of(
                                new RankFile("a", 1024, List.of(all(t, 0))),
                                new RankFile("b", 1024, List.of(all(t, 1)))),
                        Map.of("w", 2));
        IndexedJob.write(copies, in);
        byte[] other = Files.readAllBytes(in.resolve("b"));
        other[500] ^= 1;
        Files.write(in.resolve("b"), other);
        CopyPlan plan =
                Planner.plan(
                        job.inventory(copies, in, Agreement.FIRST),
                        IndexedJob.targets(job.whole()));
        ExecutionResult whole = run(plan);
        assertThat(whole.differences()).hasSize(1);
        ExecutionResult again = run(plan);
        assertThat(again.differences()).isEqualTo(whole.differences());
        assertThat(again.counts().bytesWritten()).isEqualTo(BUFFER);
    }

    private static Held all(Tensor t, int copy) {
        return new Held(t, copy, 0, t.shape().count(), List.of(Piece.whole(t.shape())));
    }

    @Test
    void checksumsThatWereFilledInAreNoDamage() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 64);
        IndexedJob.write(job.whole(), in);
        Inventory source = job.inventory(job.whole(), in, Agreement.EQUAL);
        Tensor t = job.tensors().getFirst();
        Elementwise of =
                new Elementwise(
                        "w", IndexedJob.STATE, DType.FLOAT32, 64, List.of(Piece.whole(t.shape())));
        TargetFile file =
                new TargetFile(
                        "a.zip",
                        62 + 256 + 8,
                        List.of(
                                new Part.Literal(0, new byte[62]),
                                new Part.Elements(62, of),
                                new Part.Zeros(318, 8)),
                        // The second lies in two windows.
                        List.of(new ChecksumField(62, 256, List.of(2L, 62L + 256, 322L))),
                        Optional.empty());
        CopyPlan plan = Planner.plan(source, List.of(file));
        run(plan);
        Map<Path, List<Byte>> expected = contents();
        ExecutionResult again = run(plan);
        assertThat(contents()).isEqualTo(expected);
        assertThat(again.counts().bytesKept()).isEqualTo(plan.size());
    }
}
