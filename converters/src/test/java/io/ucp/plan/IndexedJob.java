package io.ucp.plan;

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
import io.ucp.io.ByteSource;
import io.ucp.io.PlainFile;
import io.ucp.layout.Agreement;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;

/// A made-up checkpoint whose elements are their own index, so that a copy can be checked element
/// by element. It can be laid out over ranks in any number of ways: each a set of files that are
/// sources, targets, or the bytes that those targets should come to.
public record IndexedJob(List<Tensor> tensors) {
    /// The state that every tensor has.
    public static final String STATE = "fp32";

    /// @param real without padding rows
    public record Tensor(String name, Shape shape, Shape real, DType dtype) {
        public ParameterFacts facts() {
            return new ParameterFacts(
                    name,
                    shape,
                    real,
                    Map.of(STATE, dtype),
                    Map.of(),
                    ParameterFacts.Split.UNKNOWN,
                    true,
                    false,
                    0,
                    List.of(),
                    Map.of(),
                    List.of());
        }
    }

    /// Some elements of a tensor in a file, dense from `offset` bytes; one member of one copy.
    public record Held(Tensor tensor, int copy, long offset, long count, List<Piece> pieces) {}

    /// A rank's file.
    public record RankFile(String path, long size, List<Held> held) {}

    /// @param copies tensor name -> how many
    public record Layout(List<RankFile> files, Map<String, Integer> copies) {}

    public static IndexedJob random(Random random) {
        List<Tensor> tensors = new ArrayList<>();
        int count = 1 + random.nextInt(6);
        for (int k = 0; k < count; k++) {
            long[] dims = new long[random.nextInt(4)];
            for (int d = 0; d < dims.length; d++) {
                dims[d] = 1L + random.nextInt(12);
            }
            Shape shape = Shape.of(dims);
            Shape real =
                    dims.length == 2 && dims[0] > 2 && random.nextInt(3) == 0
                            ? shape.with(0, dims[0] - 1 - random.nextInt(2))
                            : shape;
            DType dtype =
                    List.of(DType.FLOAT32, DType.FLOAT64, DType.BFLOAT16).get(random.nextInt(3));
            tensors.add(new Tensor("layers.%d.weight".formatted(k), shape, real, dtype));
        }
        return new IndexedJob(tensors);
    }

    /// Every tensor in a file of its own.
    public Layout whole() {
        List<RankFile> files = new ArrayList<>();
        Map<String, Integer> copies = new TreeMap<>();
        for (Tensor t : tensors) {
            Held held = new Held(t, 0, 64, t.shape().count(), List.of(Piece.whole(t.shape())));
            files.add(
                    new RankFile(
                            t.name(), 64 + t.shape().count() * t.dtype().width(), List.of(held)));
            copies.put(t.name(), 1);
        }
        return new Layout(files, copies);
    }

    /// Tensor parallel by `tp` (each tensor cut along a dim, along the parts of a fused dim, or
    /// replicated), then each rank's shards end to end, padded, and cut in `dp` equal parts.
    public Layout sharded(Random random, int tp, int dp) {
        Map<String, Integer> copies = new TreeMap<>();
        List<List<List<Piece>>> shards = new ArrayList<>(); // tensor -> rank -> pieces
        for (Tensor t : tensors) {
            shards.add(shards(random, t.shape(), tp));
            boolean replicated = shards.getLast().size() == 1;
            copies.put(t.name(), replicated ? tp : 1);
        }
        List<RankFile> files = new ArrayList<>();
        for (int r = 0; r < tp; r++) {
            for (DType dtype : List.of(DType.FLOAT32, DType.FLOAT64, DType.BFLOAT16)) {
                files.addAll(group(shards, dtype, r, dp));
            }
        }
        return new Layout(files, copies);
    }

    private List<RankFile> group(List<List<List<Piece>>> shards, DType dtype, int rank, int dp) {
        List<List<Piece>> members = new ArrayList<>();
        List<Tensor> owners = new ArrayList<>();
        List<Integer> copies = new ArrayList<>();
        for (int k = 0; k < tensors.size(); k++) {
            if (tensors.get(k).dtype() == dtype) {
                boolean replicated = shards.get(k).size() == 1;
                members.add(shards.get(k).get(replicated ? 0 : rank));
                owners.add(tensors.get(k));
                copies.add(replicated ? rank : 0);
            }
        }
        long total = members.stream().mapToLong(IndexedJob::count).sum();
        long part = Math.ceilDiv(total, dp) + 3;
        List<RankFile> files = new ArrayList<>();
        for (int d = 0; d < dp; d++) {
            List<Held> held = new ArrayList<>();
            long at = 0;
            for (int m = 0; m < members.size(); m++) {
                long count = count(members.get(m));
                long from = Math.clamp(d * part - at, 0, count);
                long to = Math.clamp((d + 1) * part - at, 0, count);
                List<Piece> pieces = new ArrayList<>();
                for (Piece p : members.get(m)) {
                    pieces.addAll(p.cut(from, to));
                }
                if (to > from) {
                    long offset = 64 + (at + from - d * part) * dtype.width();
                    held.add(new Held(owners.get(m), copies.get(m), offset, to - from, pieces));
                }
                at += count;
            }
            String path = "tp%d/dp%d_%s.bin".formatted(rank, d, dtype.torchName());
            files.add(new RankFile(path, 64 + part * dtype.width(), held));
        }
        return files;
    }

    private static long count(List<Piece> pieces) {
        return pieces.stream().mapToLong(Piece::count).sum();
    }

    /// Pieces of each rank, in its row-major order; of one rank where all hold all.
    private static List<List<Piece>> shards(Random random, Shape shape, int tp) {
        int dim = shape.rank() == 0 ? -1 : random.nextInt(-1, shape.rank());
        if (dim < 0) {
            return List.of(List.of(Piece.whole(shape)));
        }
        int parts = shape.dim(dim) >= 2 && random.nextBoolean() ? 2 : 1; // fused or not
        List<List<Piece>> ranks = new ArrayList<>();
        for (int r = 0; r < tp; r++) {
            List<long[]> ranges = new ArrayList<>();
            long extent = 0;
            for (int p = 0; p < parts; p++) {
                long first = shape.dim(dim) * p / parts;
                long size = shape.dim(dim) * (p + 1) / parts - first;
                long from = first + size * r / tp;
                long to = first + size * (r + 1) / tp;
                ranges.add(new long[] {from, to, extent});
                extent += to - from;
            }
            long[] strides = shape.with(dim, extent).strides();
            List<Piece> pieces = new ArrayList<>();
            for (long[] range : ranges) {
                long[] start = new long[shape.rank()];
                start[dim] = range[0];
                long[] box = shape.with(dim, range[1] - range[0]).dims();
                if (range[1] > range[0]) {
                    pieces.add(
                            Piece.of(shape.dims(), start, box, range[2] * strides[dim], strides));
                }
            }
            ranks.add(pieces);
        }
        return ranks;
    }

    /// What a rank's file holds: every element its own index, `filler` where there is none.
    public static byte[] bytes(RankFile file, int filler) {
        ByteBuffer out =
                ByteBuffer.allocate(Math.toIntExact(file.size())).order(ByteOrder.LITTLE_ENDIAN);
        Arrays.fill(out.array(), (byte) filler);
        for (Held held : file.held()) {
            int width = held.tensor().dtype().width();
            for (Piece piece : held.pieces()) {
                for (long p = 0; p < held.count(); p++) {
                    for (Piece element : piece.cut(p, p + 1)) {
                        int at = Math.toIntExact(held.offset() + p * width);
                        put(out, at, held.tensor(), element.firstIndex());
                    }
                }
            }
        }
        return out.array();
    }

    /// Element `index` of a tensor, told apart from those of other tensors.
    public static void put(ByteBuffer out, int at, Tensor tensor, long index) {
        int salt = tensor.name().hashCode() * 31;
        switch (tensor.dtype().width()) {
            case 2 -> out.putShort(at, (short) (index + salt));
            case 4 -> out.putInt(at, (int) (index + salt));
            default -> out.putLong(at, index + ((long) salt << 32));
        }
    }

    public static byte[] wholeBytes(Tensor t) {
        int width = t.dtype().width();
        ByteBuffer out =
                ByteBuffer.allocate(Math.toIntExact(t.shape().count() * width))
                        .order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < t.shape().count(); k++) {
            put(out, k * width, t, k);
        }
        return out.array();
    }

    public static void write(Layout layout, Path folder) throws IOException {
        for (RankFile file : layout.files()) {
            Path path = folder.resolve(file.path());
            Files.createDirectories(path.resolveSibling("."));
            Files.write(path, bytes(file, 0x5a));
        }
    }

    /// The files in `folder` as a source.
    public Inventory inventory(Layout layout, Path folder, Agreement agreement) {
        List<Parameter> parameters = new ArrayList<>();
        for (Tensor t : tensors) {
            List<List<Fragment>> copies = new ArrayList<>();
            for (int c = 0; c < layout.copies().getOrDefault(t.name(), 0); c++) {
                copies.add(new ArrayList<>());
            }
            for (RankFile file : layout.files()) {
                ByteSource source = source(folder.resolve(file.path()));
                for (Held held : file.held()) {
                    if (held.tensor().equals(t)) {
                        held.pieces()
                                .forEach(
                                        p ->
                                                copies.get(held.copy())
                                                        .add(
                                                                new Fragment(
                                                                        source,
                                                                        held.offset(),
                                                                        t.dtype(),
                                                                        p)));
                    }
                }
            }
            List<Copy> named = new ArrayList<>();
            for (int c = 0; c < copies.size(); c++) {
                named.add(new Copy("tp " + c, copies.get(c)));
            }
            parameters.add(
                    new Parameter(
                            t.facts(),
                            Map.of(STATE, StateHolding.of(t.dtype(), named, agreement))));
        }
        return inventory(parameters);
    }

    public static Inventory inventory(List<Parameter> parameters) {
        Origin origin = new Origin("made", "made", -1, List.of(), Optional.empty());
        CheckpointIndex index =
                new CheckpointIndex(
                        "made",
                        Path.of("made"),
                        "made",
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

    private static ByteSource source(Path path) {
        try {
            return PlainFile.of(path);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// The layout's files as targets: a header, elements, zeros where there are none.
    public static List<TargetFile> targets(Layout layout) {
        List<TargetFile> targets = new ArrayList<>();
        for (RankFile file : layout.files()) {
            List<Part> parts = new ArrayList<>();
            long at = file.held().isEmpty() ? 64 : Math.min(64, file.held().getFirst().offset());
            parts.add(new Part.Literal(0, new byte[Math.toIntExact(at)]));
            for (Held held : file.held()) {
                if (held.offset() > at) {
                    parts.add(new Part.Zeros(at, held.offset() - at));
                }
                Elementwise of =
                        new Elementwise(
                                held.tensor().name(),
                                STATE,
                                held.tensor().dtype(),
                                held.count(),
                                held.pieces());
                parts.add(new Part.Elements(held.offset(), of));
                at = held.offset() + of.size();
            }
            if (at < file.size()) {
                parts.add(new Part.Zeros(at, file.size() - at));
            }
            targets.add(
                    new TargetFile(file.path(), file.size(), parts, List.of(), Optional.empty()));
        }
        return targets;
    }

    /// A one-tensor job.
    public static IndexedJob of(String name, DType dtype, long... dims) {
        Shape shape = Shape.of(dims);
        return new IndexedJob(List.of(new Tensor(name, shape, shape, dtype)));
    }

    /// Files that are not as expected, by path, with the first byte that differs.
    public static Map<String, Long> wrong(Layout layout, Path folder) throws IOException {
        Map<String, Long> wrong = new LinkedHashMap<>();
        for (RankFile file : layout.files()) {
            byte[] expected = bytes(file, 0);
            byte[] found = Files.readAllBytes(folder.resolve(file.path()));
            int at = Arrays.mismatch(expected, found);
            if (at >= 0) {
                wrong.put(file.path(), (long) at);
            }
        }
        return wrong;
    }
}
