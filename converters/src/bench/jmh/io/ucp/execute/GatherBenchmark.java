package io.ucp.execute;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.layout.Agreement;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
import io.ucp.plan.TargetPlan;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// Windows of a tensor of 16 Mi elements filled from files in memory by one worker (reads, picks,
/// casts, averages and comparisons), and written to a new file in memory or not. Milliseconds for
/// all of it.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
        value = 1,
        jvmArgsAppend = {
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseSerialGC"
        })
public class GatherBenchmark {
    private static final long ELEMENTS = 1 << 24;
    private static final int WINDOW = 1 << 20;

    /// `copy_N`: a tensor of N MiB, for what reads and writes as many bytes (a cast between 16 and
    /// 32 bits 48, the mean of four 160), or reads as many; `columns_N`: two shards over dim 1,
    /// rows of N KiB in each; `qkv`: head by head q, k, v to all q, all k, all v; `gate_up`: two
    /// shards of both to all gates, all ups; `replicas_2`: two equal copies compared; `average_4`:
    /// the mean of four.
    @Param({
        "copy_48",
        "copy_64",
        "copy_128",
        "copy_160",
        "copy_256",
        "columns_2",
        "columns_4",
        "columns_8",
        "columns_16",
        "qkv",
        "gate_up",
        "fp32_to_bf16",
        "bf16_to_fp32",
        "fp32_to_fp16",
        "fp16_to_fp32",
        "replicas_2",
        "average_4"
    })
    private String kind = "copy_64";

    @Param({"false", "true"})
    private boolean written;

    private final Arena arena = Arena.ofShared();
    private Path folder = Path.of("");
    private OpenSources sources = new OpenSources(8, new SourceChecks(List.of()));
    private TargetPlan plan = null;
    private Buffers buffers = null;
    private WindowFiller filler = null;

    /// What a kind of copying is: how the source lies and as what the target is written.
    private record Layout(Shape shape, List<List<Piece>> copies, DType from, DType to, Piece into) {
        static Layout of(String kind) {
            String[] words = kind.split("_");
            int number =
                    words.length == 2 && words[1].matches("[0-9]+")
                            ? Integer.parseInt(words[1])
                            : 1;
            Shape square = Shape.of(4096, ELEMENTS / 4096);
            return switch (words[0]) {
                case "columns" -> {
                    Shape shape = Shape.of(ELEMENTS / (512L * number), 512L * number);
                    yield plain(shape, List.of(Bench.shards(shape, 1, 2)));
                }
                case "qkv" -> {
                    Shape fused = Shape.of(32, 3, 64, ELEMENTS / (32 * 3 * 64));
                    long[] grid = fused.dims();
                    long row = grid[3];
                    long[] strides = {64 * row, 32 * 64 * row, row, 1};
                    yield new Layout(
                            fused,
                            List.of(List.of(Piece.whole(fused))),
                            DType.FLOAT32,
                            DType.FLOAT32,
                            Piece.of(grid, new long[4], grid, 0, strides));
                }
                case "gate" -> {
                    Shape fused = Shape.of(2, 2048, ELEMENTS / 4096);
                    yield plain(fused, List.of(Bench.shards(fused, 1, 2)));
                }
                case "replicas", "average" -> {
                    List<List<Piece>> copies = new ArrayList<>();
                    for (int k = 0; k < number; k++) {
                        copies.add(List.of(Piece.whole(square)));
                    }
                    yield plain(square, copies);
                }
                case "fp32" -> cast(square, DType.FLOAT32, type(words[2]));
                case "bf16", "fp16" -> cast(square, type(words[0]), type(words[2]));
                default -> {
                    Shape shape = Shape.of(64L * number, ELEMENTS / 4096);
                    yield plain(shape, List.of(List.of(Piece.whole(shape))));
                }
            };
        }

        private static Layout plain(Shape shape, List<List<Piece>> copies) {
            return new Layout(shape, copies, DType.FLOAT32, DType.FLOAT32, Piece.whole(shape));
        }

        private static Layout cast(Shape shape, DType from, DType to) {
            Piece whole = Piece.whole(shape);
            return new Layout(shape, List.of(List.of(whole)), from, to, whole);
        }

        private static DType type(String name) {
            return switch (name) {
                case "bf16" -> DType.BFLOAT16;
                case "fp16" -> DType.FLOAT16;
                default -> DType.FLOAT32;
            };
        }
    }

    @Setup
    public void make() throws IOException {
        folder = Bench.folder();
        Layout layout = Layout.of(kind);
        List<Copy> copies = new ArrayList<>();
        for (List<Piece> pieces : layout.copies) {
            List<Fragment> fragments = new ArrayList<>();
            for (Piece piece : pieces) {
                String name = copies.size() + "." + fragments.size();
                fragments.add(
                        Bench.fragment(
                                Bench.file(folder.resolve(name), layout.from, piece.count()),
                                layout.from,
                                piece));
            }
            copies.add(new Copy("copy " + copies.size(), fragments));
        }
        Agreement agreement = kind.startsWith("average") ? Agreement.AVERAGE : Agreement.EQUAL;
        CopyPlan whole =
                Planner.plan(
                        Bench.inventory(
                                folder,
                                List.of(
                                        Bench.parameter(
                                                "w",
                                                layout.shape,
                                                layout.from,
                                                copies,
                                                agreement))),
                        List.of(Bench.target("w", layout.to, layout.into)));
        plan = whole.targets().getFirst();
        buffers = Buffers.in(arena, Buffers.Sizes.of(whole, WINDOW, false));
        filler = new WindowFiller(sources, new Differences(), buffers, new WindowSums(), false);
    }

    @TearDown
    public void remove() throws IOException {
        sources.close();
        arena.close();
        Bench.delete(folder);
    }

    @Benchmark
    public int fill() throws IOException {
        int seen = 0;
        try (FileChannel out =
                FileChannel.open(
                        folder.resolve("out"),
                        StandardOpenOption.CREATE,
                        StandardOpenOption.WRITE,
                        StandardOpenOption.DELETE_ON_CLOSE)) {
            for (long at = 0; at < plan.size(); at += WINDOW) {
                filler.fill(plan.steps(), at, Math.min(plan.size(), at + WINDOW), buffers.window());
                seen += buffers.window().get(0);
                if (written) {
                    out.write(buffers.window(), at);
                }
            }
        }
        return seen;
    }
}
