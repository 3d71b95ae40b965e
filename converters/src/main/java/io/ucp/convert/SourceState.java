package io.ucp.convert;

import io.ucp.formats.RefusedException;
import io.ucp.io.FileIdentity;
import io.ucp.tensor.Crc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/// What the files of a source looked like, so that one that changes while it is converted, or
/// before a conversion goes on, is noticed. Their headers are in the plan, whose digest is compared
/// too; `edges` are where formats keep them and their checksums.
///
/// @param files by the name that [Fingerprint#sources] gives them
record SourceState(SequencedMap<String, File> files) {
    private static final int EDGE = 4096;

    /// @param modified as the file system has it, ISO 8601
    /// @param identity its inode, empty where the system has none
    /// @param edges CRC-32C of its first and last 4 KiB
    record File(long size, String modified, String identity, int edges) {
        static File of(Path path) throws IOException {
            BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
            return new File(
                    attributes.size(),
                    attributes.lastModifiedTime().toString(),
                    FileIdentity.of(path),
                    edges(path, attributes.size()));
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
            if (size != before.size) {
                return "it has %,d bytes, and had %,d".formatted(size, before.size);
            }
            if (!modified.equals(before.modified)) {
                return "it was modified at %s, and before at %s"
                        .formatted(modified, before.modified);
            }
            if (!identity.equals(before.identity)) {
                return "it is another file of that name";
            }
            return "its first or last %d bytes changed".formatted(EDGE);
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
                throw new RefusedException(
                        folder.resolve(entry.getKey()).toString(),
                        "the source changed: " + now.differs(entry.getValue()),
                        "files that stay as they are while they are converted",
                        remedy);
            }
        }
        if (!files.keySet().equals(before.files.keySet())) {
            throw new RefusedException(
                    folder.toString(),
                    "the source changed: other files are read than before",
                    "the same ones",
                    remedy);
        }
    }
}
