import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Elementwise;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.io.ChecksumField;
import io.ucp.io.PlainFile;
import io.ucp.layout.Agreement;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.Stream;

/// Executing plans beside `cp` of as many bytes into as many files, in the given folder; best of
/// some rounds, taken in turn. Run from the root of the repository, after `mvn package`:
///
/// ```
/// java -cp formats/target/classes:converters/target/classes \
///     converters/src/bench/java/CopyBenchmark.java FOLDER [MiB [rounds [buffer KiB [threads]]]]
/// ```
public final class CopyBenchmark {
    private static final String NAME = "w";
    private static final String STATE = "fp32";

    private final Path folder;
    private final Shape shape;
    private final int rounds;
    private final Options options;

    private CopyBenchmark(Path folder, long bytes, int rounds, Options options) {
        this.folder = folder;
        this.shape = Shape.of(bytes / (4096 * 4), 4096);
        this.rounds = rounds;
        this.options = options;
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        long bytes = (args.length > 1 ? Long.parseLong(args[1]) : 2048) << 20;
        int rounds = args.length > 2 ? Integer.parseInt(args[2]) : 5;
        Options options = Options.standard();
        if (args.length > 3) {
            options = options.withBufferBytes(Integer.parseInt(args[3]) << 10);
        }
        if (args.length > 4) {
            options = options.withThreads(Integer.parseInt(args[4]));
        }
        Path folder = Files.createTempDirectory(Path.of(args[0]), "ucp-copy-");
        try {
            System.out.println("                                    wall s              CPU s");
            System.out.println(
                    "                                    ucp     cp  ratio   ucp     cp  ratio");
            CopyBenchmark bench = new CopyBenchmark(folder, bytes, rounds, options);
            bench.run("1 file to 1", 1, 1, true);
            bench.run("8 flat parts to 1", 8, 1, true);
            bench.run("8 flat parts to 8", 8, 8, true);
            bench.run("2 column shards to 1 (8 KiB rows)", 2, 1, false);
            bench.run("1 to 2 column shards (8 KiB rows)", 1, 2, false);
            bench.run("8 column shards to 1 (2 KiB rows)", 8, 1, false);
        } finally {
            delete(folder);
        }
    }

    private void run(String name, int sources, int targets, boolean flat)
            throws IOException, InterruptedException {
        Path in = Files.createDirectory(folder.resolve("in"));
        List<Fragment> fragments = new ArrayList<>();
        for (Piece piece : shards(sources, flat)) {
            Path path = in.resolve("source" + fragments.size());
            fill(path, piece.count() * 4);
            fragments.add(new Fragment(PlainFile.of(path), 0, DType.FLOAT32, piece));
        }
        List<TargetFile> files = new ArrayList<>();
        for (Piece piece : shards(targets, flat)) {
            files.add(target("target" + files.size(), piece));
        }
        CopyPlan plan = Planner.plan(inventory(fragments), files);
        List<Path> copied = new ArrayList<>();
        long part = shape.count() * 4 / targets;
        for (int k = 0; k < targets; k++) {
            Path path = sources == targets ? in.resolve("source" + k) : in.resolve("copied" + k);
            if (sources != targets) {
                fill(path, part);
            }
            copied.add(path);
        }
        Cost ours = new Cost(Double.MAX_VALUE, Double.MAX_VALUE);
        Cost cp = ours;
        for (int round = 0; round < rounds; round++) {
            ours = ours.best(execute(plan));
            cp = cp.best(copy(copied));
        }
        System.out.printf(
                Locale.ROOT,
                "%-34s %5.2f  %5.2f  %5.2f  %5.2f  %5.2f  %5.2f%n",
                name,
                ours.wall(),
                cp.wall(),
                ours.wall() / cp.wall(),
                ours.cpu(),
                cp.cpu(),
                ours.cpu() / cp.cpu());
        delete(in);
    }

    /// Seconds.
    private record Cost(double wall, double cpu) {
        /// Of this process and the children that it has waited for, so far.
        static Cost now() throws IOException {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            long ticks = 0;
            for (int k = 11; k < 15; k++) {
                ticks += Long.parseLong(fields[k]);
            }
            return new Cost(System.nanoTime() / 1e9, ticks / 100.0);
        }

        Cost since(Cost start) {
            return new Cost(wall - start.wall, cpu - start.cpu);
        }

        Cost best(Cost other) {
            return new Cost(Math.min(wall, other.wall), Math.min(cpu, other.cpu));
        }
    }

    private List<Piece> shards(int count, boolean flat) {
        List<Piece> shards = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            int dim = flat ? 0 : 1;
            long[] start = new long[2];
            long[] extent = shape.dims();
            start[dim] = shape.dim(dim) * k / count;
            extent[dim] = shape.dim(dim) / count;
            shards.add(Piece.box(shape, start, extent));
        }
        return shards;
    }

    private static TargetFile target(String path, Piece piece) {
        Elementwise of = new Elementwise(NAME, STATE, DType.FLOAT32, piece.count(), List.of(piece));
        return new TargetFile(
                path,
                64 + of.size(),
                List.of(new Part.Literal(0, new byte[64]), new Part.Elements(64, of)),
                List.of(new ChecksumField(64, of.size(), List.of(0L))),
                Optional.empty());
    }

    private Inventory inventory(List<Fragment> fragments) {
        ParameterFacts facts =
                new ParameterFacts(
                        NAME,
                        shape,
                        shape,
                        Map.of(STATE, DType.FLOAT32),
                        Map.of(),
                        ParameterFacts.Split.UNKNOWN,
                        true,
                        false,
                        0,
                        List.of(),
                        Map.of(),
                        List.of());
        StateHolding holding =
                StateHolding.of(
                        DType.FLOAT32, List.of(new Copy("all", fragments)), Agreement.EQUAL);
        Origin origin = new Origin("bench", "bench", -1, List.of(), Optional.empty());
        CheckpointIndex index =
                new CheckpointIndex(
                        "bench",
                        folder,
                        "bench",
                        OptionalLong.empty(),
                        -1,
                        List.of(),
                        List.of(),
                        List.of(),
                        List.of(),
                        LayoutHints.NONE,
                        List.of(),
                        origin,
                        List.of());
        return new Inventory(
                index,
                List.of(new Parameter(facts, Map.of(STATE, holding))),
                List.of(),
                origin,
                List.of());
    }

    private Cost execute(CopyPlan plan) throws IOException {
        Path out = Files.createDirectory(folder.resolve("out"));
        Cost start = Cost.now();
        ExecutionResult result = PlanExecutor.execute(plan, out, options, Progress.NONE);
        Cost cost = Cost.now().since(start);
        if (result.counts().bytesRead() != shape.count() * 4) {
            throw new IllegalStateException("read " + result.counts().bytesRead());
        }
        delete(out);
        return cost;
    }

    private Cost copy(List<Path> files) throws IOException, InterruptedException {
        Path out = Files.createDirectory(folder.resolve("out"));
        List<String> command = new ArrayList<>(List.of("cp"));
        files.forEach(f -> command.add(f.toString()));
        command.add(out.toString());
        Cost start = Cost.now();
        int code = new ProcessBuilder(command).inheritIO().start().waitFor();
        Cost cost = Cost.now().since(start);
        if (code != 0) {
            throw new IOException("cp ended with " + code);
        }
        delete(out);
        return cost;
    }

    private static void fill(Path path, long size) throws IOException {
        byte[] random = new byte[1 << 20];
        new Random(size).nextBytes(random);
        try (FileChannel channel =
                FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            for (long at = 0; at < size; ) {
                int n = (int) Math.min(random.length, size - at);
                at += channel.write(ByteBuffer.wrap(random, 0, n), at);
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(path);
            }
        }
    }
}
