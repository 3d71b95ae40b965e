package io.ucp.execute;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Elementwise;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.io.PlainFile;
import io.ucp.layout.Agreement;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/// Checkpoints of the benchmarks, in memory where the machine has a file system there.
final class Bench {
    static final String STATE = "fp32";

    private Bench() {}

    static Path folder() throws IOException {
        Path memory = Path.of("/dev/shm");
        return Files.isWritable(memory)
                ? Files.createTempDirectory(memory, "ucp-kernels-")
                : Files.createTempDirectory("ucp-kernels-");
    }

    /// A file of so many small numbers of a type, none of which is a NaN.
    static Path file(Path path, DType dtype, long elements) throws IOException {
        ByteBuffer some = ByteBuffer.allocate(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; some.hasRemaining(); k++) {
            float value = (k * 2654435761L % 1000 - 500) / 512f;
            switch (dtype) {
                case BFLOAT16 -> some.putShort((short) (Float.floatToIntBits(value) >>> 16));
                case FLOAT16 -> some.putShort(Float.floatToFloat16(value));
                default -> some.putFloat(value);
            }
        }
        try (FileChannel channel =
                FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            long size = elements * dtype.width();
            for (long at = 0; at < size; ) {
                some.clear().limit((int) Math.min(some.capacity(), size - at));
                at += channel.write(some, at);
            }
        }
        return path;
    }

    static Fragment fragment(Path file, DType dtype, Piece piece) throws IOException {
        return new Fragment(PlainFile.of(file), 0, dtype, piece);
    }

    static Parameter parameter(
            String name, Shape shape, DType dtype, List<Copy> copies, Agreement agreement) {
        ParameterFacts facts =
                new ParameterFacts(
                        name,
                        shape,
                        shape,
                        Map.of(STATE, dtype),
                        Map.of(),
                        ParameterFacts.Split.UNKNOWN,
                        true,
                        false,
                        0,
                        List.of(),
                        Map.of(),
                        List.of());
        return new Parameter(facts, Map.of(STATE, StateHolding.of(dtype, copies, agreement)));
    }

    static Inventory inventory(Path folder, List<Parameter> parameters) {
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
        return new Inventory(index, parameters, List.of(), origin, List.of());
    }

    static TargetFile target(String name, DType dtype, Piece piece) {
        Elementwise of = new Elementwise(name, STATE, dtype, piece.count(), List.of(piece));
        return new TargetFile(
                name, of.size(), List.of(new Part.Elements(0, of)), List.of(), Optional.empty());
    }

    /// Cuts of a dim into equal shards.
    static List<Piece> shards(Shape shape, int dim, int count) {
        List<Piece> shards = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            long[] start = new long[shape.rank()];
            long[] extent = shape.dims();
            start[dim] = shape.dim(dim) * k / count;
            extent[dim] = shape.dim(dim) / count;
            shards.add(Piece.box(shape, start, extent));
        }
        return shards;
    }

    static void delete(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(path);
            }
        }
    }
}
