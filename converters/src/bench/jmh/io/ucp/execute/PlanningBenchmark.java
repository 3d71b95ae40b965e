package io.ucp.execute;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.formats.TargetFile;
import io.ucp.layout.Agreement;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
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
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// Plans 100 parameters of 4096 x 4096: shards over one dim cut anew over the other, so that every
/// target shard meets every source shard. Milliseconds, proof included.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgsAppend = "-XX:+UseSerialGC")
public class PlanningBenchmark {
    private static final int PARAMETERS = 100;

    /// Shards before and after: boxes are its square, times the parameters.
    @Param({"2", "4", "8", "16"})
    private int ways = 2;

    private Path folder = Path.of("");
    private Inventory inventory = null;
    private final List<TargetFile> targets = new ArrayList<>();

    @Setup
    public void make() throws IOException {
        folder = Bench.folder();
        Shape shape = Shape.of(4096, 4096);
        List<Path> files = new ArrayList<>();
        for (int k = 0; k < ways; k++) {
            // Nothing is read: the plan asks for the size alone.
            files.add(Bench.file(folder.resolve("rank" + k), DType.FLOAT32, shape.count() / ways));
        }
        List<Parameter> parameters = new ArrayList<>();
        for (int p = 0; p < PARAMETERS; p++) {
            List<Fragment> fragments = new ArrayList<>();
            for (Piece piece : Bench.shards(shape, 0, ways)) {
                fragments.add(Bench.fragment(files.get(fragments.size()), DType.FLOAT32, piece));
            }
            parameters.add(
                    Bench.parameter(
                            "w" + p,
                            shape,
                            DType.FLOAT32,
                            List.of(new Copy("all", fragments)),
                            Agreement.EQUAL));
        }
        inventory = Bench.inventory(folder, parameters);
        for (int p = 0; p < PARAMETERS; p++) {
            for (Piece piece : Bench.shards(shape, 1, ways)) {
                TargetFile shard = Bench.target("w" + p, DType.FLOAT32, piece);
                targets.add(
                        new TargetFile(
                                "out" + targets.size(),
                                shard.size(),
                                shard.parts(),
                                shard.checksums(),
                                shard.assembler()));
            }
        }
    }

    @TearDown
    public void remove() throws IOException {
        Bench.delete(folder);
    }

    @Benchmark
    public CopyPlan plan() {
        return Planner.plan(inventory, targets);
    }
}
