import com.github.luben.zstd.EndDirective;
import com.github.luben.zstd.ZstdCompressCtx;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/// `ucp convert --compress` beside a bare loop over the same bytes. Run by `compress-benchmark`
/// beside this folder, which says how.
public final class CompressBenchmark {
    /// Of the values that ucp compresses at a time.
    private static final int PIECE = 4 << 20;

    /// Of what one call writes, as ucp's are on ext4: larger ones cost more there.
    private static final int CALL = 32 << 10;

    /// That zstd gets at a time from ucp at levels 3 and 4.
    private static final int BLOCK = 127 << 10;

    private static final double MIB = 1 << 20;
    private static final int THREADS = Runtime.getRuntime().availableProcessors();

    private final String ucp;
    private final Path source;
    private final Path place;

    private CompressBenchmark(String ucp, Path source, Path place) {
        this.ucp = ucp;
        this.source = source;
        this.place = place;
    }

    /// A piece of a file of one state.
    ///
    /// @param width bytes of an element
    private record Piece(Path file, long at, int size, int width) {}

    /// What the loop does with a piece: compresses it, by one call or in the blocks in which ucp
    /// has it compressed, or once its bytes are sorted by their place in the element.
    private enum Way {
        PLAIN,
        BLOCKS,
        PLANES
    }

    /// What a run took, and the bytes that came out.
    private record Run(double seconds, Cpu cpu, long bytes) {}

    /// `UCP SOURCE PLACE ROUNDS LEVEL[,LEVEL..]`
    public static void main(String[] args) throws Exception {
        var bench = new CompressBenchmark(args[0], Path.of(args[1]), Path.of(args[2]));
        int rounds = Integer.parseInt(args[3]);
        List<Path> files = files(bench.source, "");
        System.out.printf(
                Locale.ROOT,
                "%.0f MiB, %d threads; medians of %d; load %s%n",
                size(files) / MIB,
                THREADS,
                rounds,
                Files.readString(Path.of("/proc/loadavg")).strip());
        System.out.println(
                "level    ucp s   user    sys  loop s   user    sys  loop/ucp   ratio: ucp   loop");
        for (String level : args[4].split(",")) {
            bench.level(Integer.parseInt(level), rounds, files);
        }
        bench.planes();
    }

    /// What sorting the bytes of the elements by their place would give.
    private void planes() throws Exception {
        Path plain = place.resolve("plain");
        convert(plain, List.of());
        System.out.println(
                "\nstate                     MiB   ratio       s   planes       s (zstd:1)");
        for (Path file : files(plain, ".arrow")) {
            double before = Files.size(file);
            Run run = loop(List.of(file), 1, Way.PLAIN);
            Run planes = loop(List.of(file), 1, Way.PLANES);
            System.out.printf(
                    Locale.ROOT,
                    "%-20s %8.1f %7.3f %7.2f  %7.3f %7.2f%n",
                    plain.relativize(file),
                    before / MIB,
                    run.bytes() / before,
                    run.seconds(),
                    planes.bytes() / before,
                    planes.seconds());
        }
    }

    private void level(int level, int rounds, List<Path> files) throws Exception {
        List<Way> ways =
                level == 3 || level == 4 ? List.of(Way.PLAIN, Way.BLOCKS) : List.of(Way.PLAIN);
        List<Run> ours = new ArrayList<>();
        Map<Way, List<Run>> loops = new EnumMap<>(Way.class);
        Path out = place.resolve("out");
        for (Way way : ways) {
            loop(files, level, way); // compiled by now
            loops.put(way, new ArrayList<>());
        }
        for (int round = 0; round < rounds; round++) {
            Pages.touch(size(files));
            Cpu before = Cpu.children();
            long start = System.nanoTime();
            convert(out, List.of("--compress", "zstd:" + level));
            double seconds = (System.nanoTime() - start) / 1e9;
            Cpu cpu = Cpu.children().since(before);
            ours.add(new Run(seconds, cpu, size(files(out, ".arrow"))));
            delete(out);
            for (Way way : ways) {
                Pages.touch(size(files));
                loops.get(way).add(loop(files, level, way));
            }
        }
        for (Way way : ways) {
            row(
                    "zstd:" + level + (way == Way.BLOCKS ? "b" : ""),
                    ours,
                    loops.get(way),
                    size(files));
        }
    }

    private static void row(String name, List<Run> ours, List<Run> loops, long size) {
        double[] shares = new double[ours.size()];
        for (int k = 0; k < shares.length; k++) {
            shares[k] = loops.get(k).seconds() / ours.get(k).seconds();
        }
        System.out.printf(
                Locale.ROOT,
                "%-7s %6.2f %6.2f %6.2f  %6.2f %6.2f %6.2f  %8.2f  %11.4f %6.4f%n",
                name,
                median(ours, Run::seconds),
                median(ours, run -> run.cpu().user()),
                median(ours, run -> run.cpu().system()),
                median(loops, Run::seconds),
                median(loops, run -> run.cpu().user()),
                median(loops, run -> run.cpu().system()),
                median(shares),
                (double) ours.getFirst().bytes() / size,
                (double) loops.getFirst().bytes() / size);
    }

    private void convert(Path out, List<String> options) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of(ucp, "convert", source.toString(), "-o", out.toString()));
        command.addAll(List.of("--to", "universal", "--no-fsync", "--quiet"));
        command.addAll(options);
        if (new ProcessBuilder(command).inheritIO().start().waitFor() != 0) {
            throw new IOException(String.join(" ", command) + " failed");
        }
    }

    // ---- the loop ----

    private Run loop(List<Path> files, int level, Way way)
            throws IOException, InterruptedException, ExecutionException {
        Path out = Files.createDirectories(place.resolve("loop"));
        Cpu before = Cpu.own();
        long start = System.nanoTime();
        AtomicLong bytes = new AtomicLong();
        try (ExecutorService workers = Executors.newFixedThreadPool(THREADS)) {
            List<Future<?>> running = new ArrayList<>();
            List<List<Piece>> shares = new ArrayList<>();
            for (int t = 0; t < THREADS; t++) {
                shares.add(new ArrayList<>());
            }
            int next = 0;
            for (Path file : files) {
                int width = file.getFileName().toString().startsWith("weight") ? 2 : 4;
                long size = Files.size(file);
                for (long at = 0; at < size; at += PIECE) {
                    int length = (int) Math.min(PIECE, size - at);
                    shares.get(next++ % THREADS).add(new Piece(file, at, length, width));
                }
            }
            for (int t = 0; t < THREADS; t++) {
                Path to = out.resolve(Integer.toString(t));
                List<Piece> share = shares.get(t);
                running.add(workers.submit(() -> bytes.addAndGet(write(share, to, level, way))));
            }
            for (Future<?> one : running) {
                one.get();
            }
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        Run run = new Run(seconds, Cpu.own().since(before), bytes.get());
        delete(out);
        return run;
    }

    private static long write(List<Piece> pieces, Path to, int level, Way way) throws IOException {
        ByteBuffer raw = ByteBuffer.allocateDirect(PIECE);
        ByteBuffer sorted = ByteBuffer.allocateDirect(PIECE);
        ByteBuffer frame = ByteBuffer.allocateDirect(PIECE + (PIECE >> 4));
        byte[] from = new byte[PIECE];
        byte[] by = new byte[PIECE];
        long written = 0;
        try (ZstdCompressCtx context = new ZstdCompressCtx();
                FileChannel out =
                        FileChannel.open(to, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            context.setLevel(level).setChecksum(true);
            for (Piece piece : pieces) {
                raw.clear().limit(piece.size());
                try (FileChannel in = FileChannel.open(piece.file())) {
                    while (raw.hasRemaining() && in.read(raw, piece.at() + raw.position()) > 0) {}
                }
                raw.flip();
                frame.clear();
                switch (way) {
                    case PLAIN -> context.compress(frame, raw);
                    case BLOCKS -> blocks(context, frame, raw);
                    case PLANES -> {
                        raw.get(from, 0, piece.size());
                        sort(from, by, piece.size(), piece.width());
                        sorted.clear().put(by, 0, piece.size()).flip();
                        context.compress(frame, sorted);
                    }
                }
                frame.flip();
                written += frame.remaining();
                int end = frame.limit();
                while (frame.position() < end) {
                    int most = CALL - (int) (out.position() % CALL);
                    frame.limit(Math.min(end, frame.position() + most));
                    out.write(frame);
                }
            }
        }
        return written;
    }

    private static void blocks(ZstdCompressCtx context, ByteBuffer frame, ByteBuffer raw) {
        int end = raw.limit();
        context.setPledgedSrcSize(end);
        for (int at = 0; at < end; at += BLOCK) {
            raw.limit(Math.min(end, at + BLOCK));
            boolean last = raw.limit() == end;
            context.compressDirectByteBufferStream(
                    frame, raw, last ? EndDirective.END : EndDirective.FLUSH);
        }
    }

    private static void sort(byte[] from, byte[] to, int size, int width) {
        int count = size / width;
        for (int plane = 0; plane < width; plane++) {
            for (int k = 0; k < count; k++) {
                to[plane * count + k] = from[k * width + plane];
            }
        }
        System.arraycopy(from, count * width, to, count * width, size - count * width);
    }

    // ---- files ----

    private static List<Path> files(Path folder, String end) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(p -> p.toString().endsWith(end) && Files.isRegularFile(p))
                    .sorted()
                    .toList();
        }
    }

    private static long size(List<Path> files) throws IOException {
        long size = 0;
        for (Path file : files) {
            size += Files.size(file);
        }
        return size;
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(path);
            }
        }
    }

    private static double median(List<Run> runs, ToDoubleFunction<Run> of) {
        return median(runs.stream().mapToDouble(of).toArray());
    }

    private static double median(double[] values) {
        double[] sorted = Arrays.stream(values).sorted().toArray();
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
