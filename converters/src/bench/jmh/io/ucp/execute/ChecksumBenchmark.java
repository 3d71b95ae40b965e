package io.ucp.execute;

import io.ucp.tensor.Crc;
import io.ucp.tensor.TensorDigest;

import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;

/// One window of 1 MiB, outside of the heap and in the processor's cache. Microseconds.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ChecksumBenchmark {
    private final ByteBuffer window = ByteBuffer.allocateDirect(1 << 20);
    private final ByteBuffer other = ByteBuffer.allocateDirect(1 << 20);

    @Benchmark
    public ByteBuffer copy() {
        return other.clear().put(window.clear());
    }

    @Benchmark
    public int crc32() {
        return Crc.ZIP.of(window.clear());
    }

    @Benchmark
    public int crc32c() {
        return Crc.CASTAGNOLI.of(window.clear());
    }

    /// Of a window in the middle of a tensor of 1 GiB.
    @Benchmark
    public TensorDigest digest() {
        TensorDigest digest = new TensorDigest(1L << 30);
        digest.add(1 << 29, window.clear());
        return digest;
    }
}
