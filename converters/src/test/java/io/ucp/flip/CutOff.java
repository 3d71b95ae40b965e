package io.ucp.flip;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.convert.Conversion;
import io.ucp.convert.Leftover;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.Request;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Trees;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/// What a conversion that was cut off has left: a run that goes on with it comes to the same bytes,
/// or refuses.
final class CutOff {
    private static final int STEPS = 12;

    private CutOff() {}

    static Damaged of(Path at) throws IOException {
        Path source = Checkpoints.SAMPLES.resolve("gpt2-zero2-tied-frozen/checkpoint");
        Map<String, ByteBuffer> whole =
                contents(Checkpoints.converted(source, "universal", Map.of(), at.resolve("whole")));
        Path out = at.resolve("out");
        Path work = at.resolve(".out.ucp");
        AtomicInteger asked = new AtomicInteger();
        assertThatThrownBy(
                        () ->
                                run(
                                        source,
                                        out,
                                        options(Leftover.REFUSE)
                                                .withCancelled(
                                                        () -> asked.getAndIncrement() >= STEPS)))
                .isInstanceOf(CancellationException.class);
        Path damaged = at.resolve("damaged");
        Files.move(work, damaged);
        assertThat(Files.size(damaged.resolve("journal"))).isPositive();
        return new Damaged(
                "cut off",
                damaged,
                Damaged.NONE,
                () -> {
                    remove(out);
                    remove(work);
                    Trees.copy(damaged, work);
                    run(source, out, options(Leftover.RESUME));
                    return new Outcome(
                            contents(out).equals(whole)
                                    ? Outcome.Kind.HARMLESS
                                    : Outcome.Kind.MISSED,
                            "other bytes than without");
                });
    }

    private static RunOptions options(Leftover leftover) {
        return Checkpoints.QUICK
                .withWindowBytes(64 << 10)
                .withOutput(new OutputFolder.Rules(leftover, false, false));
    }

    private static void run(Path source, Path out, RunOptions options) throws IOException {
        Request request =
                new Request(
                        source,
                        Optional.empty(),
                        "universal",
                        Optional.empty(),
                        Map.of(),
                        Map.of());
        Conversion.run(Conversion.prepare(request), out, options, (done, total) -> {});
    }

    static Map<String, ByteBuffer> contents(Path root) throws IOException {
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

    static void remove(Path root) throws IOException {
        if (Files.exists(root)) {
            try (Stream<Path> walk = Files.walk(root)) {
                for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(path);
                }
            }
        }
    }
}
