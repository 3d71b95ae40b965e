package io.ucp.fuzz;

import com.sun.management.ThreadMXBean;

import io.ucp.convert.UnknownFormatException;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.plan.ImpossiblePlanException;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/// Feeds mutated inputs to a parser. An input that it refuses at a place of its code where it has
/// refused none before, or on another way to it, is mutated further.
final class Fuzzing {
    private static final Duration LONGEST = Duration.ofSeconds(10);
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /// Bytes that reading may allocate, whatever the input, and for each of its bytes.
    private static final long ALLOCATION = 48L << 20;

    private static final long ALLOCATION_PER_BYTE = 400;
    private static final int MOST_KEPT = 4000;

    /// Frames that tell outcomes apart.
    private static final int DEEPEST = 5;

    private final Parser parser;
    private final Path folder;
    private final SplittableRandom random;
    private final List<byte[]> corpus;
    private final Set<String> seen = new HashSet<>();
    private long executions;

    Fuzzing(Parser parser, Path folder, long seed) {
        this.parser = parser;
        this.folder = folder;
        this.random = new SplittableRandom(seed);
        this.corpus = new ArrayList<>(parser.seeds());
    }

    /// What an input did that none may.
    static final class Fault extends AssertionError {
        private static final long serialVersionUID = 1;

        Fault(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /// Runs until one of the two is used up, on a thread of its own: traces of its errors are
    /// short.
    ///
    /// @throws Fault with the input, shortened, and where it was written to
    void run(long most, Duration time) throws IOException {
        FutureTask<Void> task =
                new FutureTask<>(
                        () -> {
                            mutate(most, time);
                            return null;
                        });
        Thread.ofPlatform().name("fuzz " + parser.name()).start(task);
        try {
            task.get();
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case Fault fault -> throw fault;
                case IOException failed -> throw failed;
                case null, default -> throw new IllegalStateException(e);
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private void mutate(long most, Duration time) throws IOException {
        Mutator mutator = new Mutator(random, parser.words());
        long end = System.nanoTime() + time.toNanos();
        for (byte[] seed : parser.seeds()) {
            execute(seed);
        }
        while (executions < most && System.nanoTime() < end) {
            byte[] from = corpus.get(random.nextInt(corpus.size()));
            byte[] other = corpus.get(random.nextInt(corpus.size()));
            execute(mutator.mutated(from, other));
        }
    }

    long executions() {
        return executions;
    }

    /// The inputs that led somewhere new, seeds excluded.
    List<byte[]> found() {
        return corpus.subList(parser.seeds().size(), corpus.size());
    }

    /// Different ways in which the parser ended.
    int outcomes() {
        return seen.size();
    }

    /// @throws Fault where the input does what none may
    void execute(byte[] input) throws IOException {
        executions++;
        long start = System.nanoTime();
        Ran ran = once(input);
        if (System.nanoTime() - start > LONGEST.toNanos()) {
            // Others may keep the machine busy: what counts is the time of the processor.
            long before = THREADS.getCurrentThreadCpuTime();
            once(input);
            Duration took = Duration.ofNanos(THREADS.getCurrentThreadCpuTime() - before);
            if (took.compareTo(LONGEST) > 0) {
                throw fault(input, "it took " + took, null);
            }
        }
        long most = ALLOCATION + ALLOCATION_PER_BYTE * input.length;
        if (ran.allocated() > most) { // a class that is loaded now is not loaded again
            long again = once(input).allocated();
            if (again > most) {
                throw fault(
                        input, "%,d bytes allocated for %,d".formatted(again, input.length), null);
            }
        }
        if (seen.add(ran.outcome()) && corpus.size() < MOST_KEPT) {
            corpus.add(input);
        }
    }

    /// @param allocated bytes
    private record Ran(String outcome, long allocated) {}

    private Ran once(byte[] input) throws IOException {
        long allocated = THREADS.getCurrentThreadAllocatedBytes();
        String outcome;
        try {
            parser.reader().read(input, folder);
            outcome = "read";
        } catch (MalformedFileException
                | IncompleteCheckpointException
                | RefusedException
                | SpecException
                | ImpossibleLayoutException
                | ImpossiblePlanException
                | UnknownFormatException
                | FileSystemException e) {
            outcome = shape(e);
        } catch (UncheckedIOException e) {
            throw fault(input, "an unchecked " + e, e);
        } catch (Exception | Error e) {
            throw fault(input, "no documented error: " + e, e);
        }
        return new Ran(outcome, THREADS.getCurrentThreadAllocatedBytes() - allocated);
    }

    /// Where it was refused, and on which way.
    private static String shape(Exception e) {
        StringBuilder shape = new StringBuilder(e.getClass().getSimpleName());
        int frames = 0;
        for (StackTraceElement frame : e.getStackTrace()) {
            if (frame.getClassName().startsWith("io.ucp.") && frames++ < DEEPEST) {
                shape.append(' ').append(frame.getClassName()).append(frame.getLineNumber());
            }
        }
        return shape.toString();
    }

    private Fault fault(byte[] input, String what, Throwable cause) throws IOException {
        Path kept = Files.createTempFile("ucp-fuzz-" + parser.name() + "-", ".bin");
        Files.write(kept, input);
        String head = HexFormat.of().formatHex(input, 0, Math.min(200, input.length));
        return new Fault(
                "%s: %s; input of %d bytes kept in %s: %s"
                        .formatted(parser.name(), what, input.length, kept, head),
                cause);
    }
}
