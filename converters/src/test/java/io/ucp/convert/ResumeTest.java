package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/// Conversions that are stopped after every step in turn.
class ResumeTest {
    private static final Path SAMPLE =
            Path.of("..", "samples", "gpt2-zero2-tied-frozen", "checkpoint");
    private static final RunOptions OPTIONS =
            RunOptions.standard()
                    .withThreads(1)
                    .withWindowBytes(64 << 10)
                    .withOutput(rules(Leftover.REFUSE));

    @TempDir Path folder;

    private static OutputFolder.Rules rules(Leftover leftover) {
        return new OutputFolder.Rules(leftover, false, false);
    }

    static List<Request> targets() {
        TargetRequest job = TargetRequest.SAME.withDp(3);
        return List.of(
                request(SAMPLE, "universal", Map.of()),
                request(SAMPLE, "universal", Map.of("compress", "zstd:1")),
                request(SAMPLE, "universal", Map.of("compress", "zstd:1+shuffle")),
                new Request(
                        SAMPLE,
                        Optional.empty(),
                        "deepspeed",
                        Optional.empty(),
                        Map.of(),
                        Map.of(),
                        Optional.of(job)));
    }

    private static Request request(Path source, String to, Map<String, String> options) {
        return new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
    }

    private static Report run(Request request, Path output, RunOptions options) throws IOException {
        return Conversion.run(Conversion.prepare(request), output, options, Progress.NONE);
    }

    private static RunOptions resuming(Leftover leftover) {
        return OPTIONS.withOutput(rules(leftover));
    }

    /// Ends at the given time of being asked.
    private static Throwable stop(Request request, Path output, int steps, RunOptions options) {
        AtomicInteger asked = new AtomicInteger();
        return catchThrowable(
                () ->
                        run(
                                request,
                                output,
                                options.withCancelled(() -> asked.getAndIncrement() >= steps)));
    }

    private static Map<String, ByteBuffer> contents(Path root) throws IOException {
        Map<String, ByteBuffer> contents = new TreeMap<>();
        try (Stream<Path> walk = Files.walk(root)) {
            for (Path path : walk.filter(Files::isRegularFile).toList()) {
                contents.put(
                        root.relativize(path).toString(),
                        ByteBuffer.wrap(Files.readAllBytes(path)));
            }
        }
        return contents;
    }

    private List<String> names() throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList();
        }
    }

    @ParameterizedTest
    @MethodSource("targets")
    void goesOnAfterAnyStep(Request request) throws IOException {
        Path whole = folder.resolve("whole");
        Report expected = run(request, whole, OPTIONS);
        Map<String, ByteBuffer> bytes = contents(whole);
        Path out = folder.resolve("out");
        for (int k = 0; ; k++) {
            Throwable stopped = stop(request, out, k, resuming(Leftover.RESTART));
            if (stopped == null) {
                assertThat(k).isGreaterThan(10);
                return;
            }
            assertThat(stopped).isInstanceOf(CancellationException.class);
            assertThat(out).doesNotExist();
            Report report = run(request, out, resuming(Leftover.RESUME));
            assertThat(contents(out)).isEqualTo(bytes);
            assertThat(report.digests()).isEqualTo(expected.digests());
            assertThat(report.files()).isEqualTo(expected.files());
            assertThat(names()).containsExactly("out", "whole");
            FolderTree.remove(out);
        }
    }

    @Test
    void whatIsKeptIsSaidAndNotWrittenAgain() throws IOException {
        Request request = targets().getFirst();
        Path out = folder.resolve("out");
        Throwable stopped = stop(request, out, 12, OPTIONS);
        assertThat(stopped.getSuppressed())
                .singleElement()
                .isInstanceOfSatisfying(
                        WorkKeptException.class,
                        kept -> {
                            assertThat(kept.work()).isEqualTo(folder.resolve(".out.ucp"));
                            assertThat(kept.size()).isPositive();
                        });
        assertThat(names()).containsExactly(".out.ucp");
        long kept = ((WorkKeptException) stopped.getSuppressed()[0]).size();
        assertThat(run(request, out, resuming(Leftover.RESUME)).bytesKept()).isEqualTo(kept);
    }

    @Test
    void aRunThatWroteNothingLeavesNothing() throws IOException {
        Throwable stopped = stop(targets().getFirst(), folder.resolve("out"), 0, OPTIONS);
        assertThat(stopped).isInstanceOf(CancellationException.class);
        assertThat(stopped.getSuppressed()).isEmpty();
        assertThat(names()).isEmpty();
    }

    @Test
    void whatWasLeftIsNeitherTakenNorRemovedUnasked() throws IOException {
        Request request = targets().getFirst();
        Path out = folder.resolve("out");
        stop(request, out, 12, OPTIONS);
        assertThatThrownBy(() -> run(request, out, OPTIONS))
                .isInstanceOf(LeftoverException.class)
                .hasMessageContaining("an earlier conversion to it was cut off")
                .hasMessageContaining("hint: --resume goes on");
        assertThat(names()).containsExactly(".out.ucp");
        assertThat(run(request, out, resuming(Leftover.RESTART)).bytesKept()).isZero();
        assertThat(names()).containsExactly("out");
    }

    @Test
    void whatWasLeftIsRefusedBeforeAnUnchangedSourceIsRead() throws IOException {
        Path out = folder.resolve("out");
        stop(targets().getFirst(), out, 12, OPTIONS);
        Prepared same =
                Conversion.prepare(
                        request(SAMPLE, "deepspeed", Map.of()).withTarget(TargetRequest.SAME));
        assertThat(same.copied()).isPresent();
        AtomicInteger asked = new AtomicInteger();
        RunOptions counting = OPTIONS.withCancelled(() -> asked.getAndIncrement() < 0);
        assertThatThrownBy(() -> Conversion.run(same, out, counting, Progress.NONE))
                .isInstanceOf(LeftoverException.class)
                .hasMessageContaining("hint: --resume goes on");
        assertThat(asked).hasValue(0);
        assertThat(names()).containsExactly(".out.ucp");
    }

    @Test
    void anOutputThatIsThereIsRefusedBeforeAnUnchangedSourceIsRead() throws IOException {
        Path out = Files.createDirectory(folder.resolve("out"));
        Request same = request(SAMPLE, "deepspeed", Map.of()).withTarget(TargetRequest.SAME);
        AtomicInteger asked = new AtomicInteger();
        RunOptions counting = OPTIONS.withCancelled(() -> asked.getAndIncrement() < 0);
        assertThatThrownBy(() -> run(same, out, counting))
                .isInstanceOf(OutputExistsException.class);
        assertThat(asked).hasValue(0);
        assertThat(names()).containsExactly("out");
    }

    @Test
    void windowsAreThoseOfTheEarlierRunWhereTheyFit() throws IOException {
        Path out = folder.resolve("out");
        Request request = targets().getFirst();
        run(request, folder.resolve("whole"), OPTIONS);
        stop(request, out, 12, OPTIONS);
        Report report = run(request, out, resuming(Leftover.RESUME).withWindowBytes(1 << 20));
        assertThat(report.bytesKept()).isPositive();
        assertThat(contents(out)).isEqualTo(contents(folder.resolve("whole")));
        FolderTree.remove(out);
        stop(request, out, 4, OPTIONS.withWindowBytes(128 << 10));
        assertThatThrownBy(() -> run(request, out, resuming(Leftover.RESUME)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("in windows of 131,072 bytes")
                .hasMessageContaining("free some");
    }

    @Test
    void anotherConversionDoesNotGoOnWithIt() throws IOException {
        Path out = folder.resolve("out");
        stop(targets().getFirst(), out, 12, OPTIONS);
        assertThatThrownBy(() -> run(targets().get(1), out, resuming(Leftover.RESUME)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("what lies there is of another conversion")
                .hasMessageContaining("--restart");
        assertThat(names()).containsExactly(".out.ucp");
        run(targets().getFirst(), out, resuming(Leftover.RESUME));
    }

    /// The weights alone need fewer files of it: the source did not change.
    @Test
    void anotherFormatIsAnotherConversionAndNoChangeOfTheSource() throws IOException {
        Path out = folder.resolve("out");
        stop(targets().getFirst(), out, 12, OPTIONS);
        Request other = request(SAMPLE, "safetensors", Map.of());
        assertThatThrownBy(() -> run(other, out, resuming(Leftover.RESUME)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("what lies there is of another conversion")
                .hasMessageContaining("to universal");
    }

    @Test
    void aChangedSourceIsNoticedByItsSizeItsTimeAndItsInode() throws IOException {
        Path source = folder.resolve("source");
        Trees.copy(SAMPLE, source);
        Request request = request(source, "universal", Map.of());
        Path out = folder.resolve("out");
        stop(request, out, 12, OPTIONS);
        Path file;
        try (Stream<Path> walk = Files.walk(source)) {
            file = walk.filter(p -> p.toString().endsWith("optim_states.pt")).findFirst().get();
        }
        FileTime time = Files.getLastModifiedTime(file);
        Files.setLastModifiedTime(file, FileTime.from(Instant.EPOCH));
        assertChanged(request, out, "it was modified at 1970");
        Files.setLastModifiedTime(file, time);
        Path copy = Files.copy(file, folder.resolve("copy"), StandardCopyOption.COPY_ATTRIBUTES);
        Files.move(file, folder.resolve("first"));
        Files.move(copy, file);
        assertChanged(request, out, "it is another file of that name");
        Files.delete(file);
        Files.move(folder.resolve("first"), file);
        assertThat(run(request, out, resuming(Leftover.RESUME)).bytesKept()).isPositive();
    }

    private static void assertChanged(Request request, Path out, String how) {
        assertThatThrownBy(() -> run(request, out, resuming(Leftover.RESUME)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("the source changed: " + how)
                .hasMessageContaining("optim_states.pt")
                .hasMessageContaining("--restart");
    }

    @Test
    void aSourceThatChangesMeanwhileGivesNoOutput() throws IOException {
        Path source = folder.resolve("source");
        Trees.copy(SAMPLE, source);
        Request request = request(source, "universal", Map.of());
        Path out = folder.resolve("out");
        Path file;
        try (Stream<Path> walk = Files.walk(source)) {
            file = walk.filter(p -> p.toString().endsWith("optim_states.pt")).findFirst().get();
        }
        AtomicInteger asked = new AtomicInteger();
        assertThatThrownBy(
                        () ->
                                run(
                                        request,
                                        out,
                                        OPTIONS.withCancelled(
                                                () ->
                                                        asked.incrementAndGet() == 12
                                                                && touch(file))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("the source changed");
        assertThat(names()).containsExactly("source");
    }

    private static boolean touch(Path file) {
        try {
            Files.setLastModifiedTime(file, FileTime.from(Instant.EPOCH));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return false;
    }

    @ParameterizedTest
    @MethodSource("targets")
    void whatWasWrittenReadsBackAsTheSource(Request request) throws IOException {
        Path out = folder.resolve("out");
        Report report = run(request, out, OPTIONS.withReadBack(true));
        assertThat(report.readBack().orElseThrow()).isPositive();
        assertThat(run(request, folder.resolve("fast"), OPTIONS.withDropBehind(true)).readBack())
                .isEmpty();
        assertThat(contents(folder.resolve("fast"))).isEqualTo(contents(out));
    }

    @Test
    void whatWasDamagedBeforeItIsReadBackGetsNoName() throws IOException {
        Request request = targets().getFirst();
        Path out = folder.resolve("out");
        AtomicInteger asked = new AtomicInteger();
        int[] windows = {0};
        // Once every window is written, the last byte that counts of a state is another.
        run(
                request,
                folder.resolve("counted"),
                OPTIONS.withCancelled(
                        () -> {
                            windows[0]++;
                            return false;
                        }));
        assertThatThrownBy(
                        () ->
                                run(
                                        request,
                                        out,
                                        OPTIONS.withReadBack(true)
                                                .withCancelled(
                                                        () ->
                                                                asked.incrementAndGet()
                                                                                == windows[0] + 1
                                                                        && damage())))
                .isInstanceOf(FileSystemException.class)
                .hasMessageContaining("reads otherwise than it was written")
                .hasMessageContaining("hint: the disk or the memory may be failing");
        assertThat(out).doesNotExist();
        assertThat(run(request, out, resuming(Leftover.RESUME).withReadBack(true)).bytesKept())
                .isPositive();
        assertThat(contents(out)).isEqualTo(contents(folder.resolve("counted")));
    }

    private boolean damage() {
        Path file = folder.resolve(".out.ucp/output/states/fp32-00001.arrow");
        try {
            byte[] bytes = Files.readAllBytes(file);
            bytes[bytes.length / 2] ^= 1;
            Files.write(file, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return false;
    }
}
