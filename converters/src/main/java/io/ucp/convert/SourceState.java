package io.ucp.convert;

import io.ucp.formats.RefusedException;
import io.ucp.io.ByteSource;
import io.ucp.io.FileStamp;
import io.ucp.tensor.Crc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/// What the files of a source looked like, so that one that changes while it is converted, or
/// before a conversion goes on, is noticed. Their headers are in the plan, whose digest is compared
/// too; `edges` are where formats keep them and their checksums.
///
/// @param files by the name that [Fingerprint#sources] gives them
record SourceState(SequencedMap<String, File> files) {
    /// What to do where a source changed.
    static final String AGAIN = "convert again when nothing writes there any more";

    private static final int EDGE = 4096;

    /// @param edges CRC-32C of its first and last 4 KiB
    record File(FileStamp stamp, int edges) {
        static File of(Path path) throws IOException {
            FileStamp stamp = FileStamp.of(path);
            return new File(stamp, edges(path, stamp.size()));
        }

        private static int edges(Path path, long size) throws IOException {
            try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
                int head = (int) Math.min(size, EDGE);
                int tail = (int) Math.min(size - head, EDGE);
                ByteBuffer edges = ByteBuffer.allocate(head + tail);
                read(channel, 0, edges.limit(head));
                read(channel, size - tail, edges.limit(head + tail));
                return Crc.CASTAGNOLI.of(edges.flip());
            }
        }

        private static void read(FileChannel channel, long from, ByteBuffer into)
                throws IOException {
            long at = from;
            while (into.hasRemaining()) {
                int n = channel.read(into, at);
                if (n < 0) {
                    return; // shorter already: its size tells
                }
                at += n;
            }
        }

        /// What is not as it was, in words.
        private String differs(File before) {
            String unlike = stamp.unlike(before.stamp);
            return unlike.isEmpty() ? "its first or last %d bytes changed".formatted(EDGE) : unlike;
        }
    }

    static SourceState of(Map<String, Path> sources) throws IOException {
        SequencedMap<String, File> files = new TreeMap<>();
        for (Map.Entry<String, Path> source : sources.entrySet()) {
            files.put(source.getKey(), File.of(source.getValue()));
        }
        return new SourceState(files);
    }

    /// @param before what it was
    /// @param remedy what to do where it is not any more
    /// @throws RefusedException that names the first file that changed
    void requireSame(SourceState before, Path folder, String remedy) {
        for (Map.Entry<String, File> entry : before.files.entrySet()) {
            File now = files.get(entry.getKey());
            if (now != null && !now.equals(entry.getValue())) {
                throw changed(
                        folder.resolve(entry.getKey()), now.differs(entry.getValue()), remedy);
            }
        }
        if (!files.keySet().equals(before.files.keySet())) {
            throw new RefusedException(
                    folder.toString(),
                    "other files are read than before: the source changed, or the options did",
                    "the same source, format and options as before (--resume)",
                    remedy);
        }
    }

    /// What was planned is of the files as they were when they were indexed: one that was written
    /// anew since has its bytes elsewhere, or other ones.
    ///
    /// @throws RefusedException that names the first file that changed
    static void requireAsIndexed(Collection<ByteSource> sources) throws IOException {
        for (ByteSource source : sources) {
            if (source.stamp().isPresent()) {
                String unlike = FileStamp.of(source.path()).unlike(source.stamp().get());
                if (!unlike.isEmpty()) {
                    throw changed(source.path(), unlike, AGAIN);
                }
            }
        }
    }

    private static RefusedException changed(Path file, String how, String remedy) {
        return new RefusedException(
                file.toString(),
                "the source changed: " + how,
                "files that stay as they are while they are converted",
                remedy);
    }
}
