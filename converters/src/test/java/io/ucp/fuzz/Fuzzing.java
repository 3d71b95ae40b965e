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

/// Feeds mutated inputs to a parser. An input that makes it say something new is mutated further:
/// what it says tells how far it came.
final class Fuzzing {
    private static final Duration LONGEST = Duration.ofSeconds(10);

    /// Bytes that reading may allocate, whatever the input, and for each of its bytes.
    private static final long ALLOCATION = 48L << 20;

    private static final long ALLOCATION_PER_BYTE = 400;
    private static final int MOST_KEPT = 4000;

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

    /// Runs until one of the two is used up.
    ///
    /// @throws Fault with the input, shortened, and where it was written to
    void run(long most, Duration time) throws IOException {
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

    /// Different things that the parser said.
    int outcomes() {
        return seen.size();
    }

    private void execute(byte[] input) throws IOException {
        executions++;
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        long start = System.nanoTime();
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
        Duration took = Duration.ofNanos(System.nanoTime() - start);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        if (took.compareTo(LONGEST) > 0) {
            throw fault(input, "it took " + took, null);
        }
        if (allocated > ALLOCATION + ALLOCATION_PER_BYTE * input.length) {
            throw fault(
                    input, "%,d bytes allocated for %,d".formatted(allocated, input.length), null);
        }
        if (seen.add(outcome) && corpus.size() < MOST_KEPT) {
            corpus.add(input);
        }
    }

    /// The message without what changes from input to input.
    private static String shape(Exception e) {
        String message = String.valueOf(e.getMessage());
        int line = message.indexOf('\n');
        return e.getClass().getSimpleName()
                + (line < 0 ? message : message.substring(0, line))
                        .replaceAll("'[^']*'", "'..'")
                        .replaceAll("[0-9a-f]*[0-9][0-9a-f]*", "0")
                        .replaceAll("/[^ :]*", "/..");
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
