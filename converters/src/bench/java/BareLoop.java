import com.github.luben.zstd.ZstdCompressCtx;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

/// Reads files, compresses them in pieces as they lie, and writes that: no more than a conversion
/// with `--compress` has to do. A program of its own, so that it is measured as ucp is.
public final class BareLoop {
    /// Of the values that ucp compresses at a time.
    private static final int PIECE = 4 << 20;

    /// Of the values that ucp makes a zstd frame of.
    private static final int CONTENT = 254 << 10;

    /// Of what one call writes, as ucp's are on ext4: larger ones cost more there.
    private static final int CALL = 32 << 10;

    private static final int THREADS = Runtime.getRuntime().availableProcessors();

    private BareLoop() {}

    /// A piece of a file of one state.
    private record Piece(Path file, long at, int size) {}

    /// What a piece is compressed to: one frame, or frames of the size of ucp's.
    enum Way {
        PLAIN,
        FRAMES
    }

    /// What it took, and the bytes that came out.
    record Run(double seconds, long bytes) {}

    /// `SOURCE OUT LEVEL WAY`; prints the seconds, without those of its start, and the bytes.
    public static void main(String[] args) throws Exception {
        Way way = Way.valueOf(args[3]);
        Run run =
                run(files(Path.of(args[0]), ""), Path.of(args[1]), Integer.parseInt(args[2]), way);
        System.out.printf(Locale.ROOT, "%f %d%n", run.seconds(), run.bytes());
    }

    /// Writes a file for each thread into `out`, which is made.
    static Run run(List<Path> files, Path out, int level, Way way)
            throws IOException, InterruptedException, ExecutionException {
        Files.createDirectories(out);
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
                long size = Files.size(file);
                for (long at = 0; at < size; at += PIECE) {
                    int length = (int) Math.min(PIECE, size - at);
                    shares.get(next++ % THREADS).add(new Piece(file, at, length));
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
        return new Run((System.nanoTime() - start) / 1e9, bytes.get());
    }

    private static long write(List<Piece> pieces, Path to, int level, Way way) throws IOException {
        ByteBuffer raw = ByteBuffer.allocateDirect(PIECE);
        ByteBuffer frame = ByteBuffer.allocateDirect(PIECE + (PIECE >> 4));
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
                    case FRAMES -> frames(context, frame, raw);
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

    private static void frames(ZstdCompressCtx context, ByteBuffer frames, ByteBuffer raw) {
        int end = raw.limit();
        while (raw.position() < end) {
            raw.limit(Math.min(end, raw.position() + CONTENT));
            context.compress(frames, raw);
        }
    }

    /// Those of a folder whose names end so.
    static List<Path> files(Path folder, String end) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(p -> p.toString().endsWith(end) && Files.isRegularFile(p))
                    .sorted()
                    .toList();
        }
    }
}
