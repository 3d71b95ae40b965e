package io.ucp.formats.torch;

import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.ChecksumField;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.SequencedMap;
import java.util.zip.CRC32;

/// Writes small containers whose storages are at hand. Large ones are laid out by [TorchLayout] and
/// filled by the executor.
public final class TorchWriter {
    private TorchWriter() {}

    /// Writes the file under a temporary name beside it, then renames it: it is there whole or not
    /// at all. An existing file is replaced.
    ///
    /// @param storages bytes by key, in the order of the file
    public static void write(Path file, PickleValue tree, SequencedMap<String, byte[]> storages)
            throws IOException {
        String name = String.valueOf(file.getFileName());
        Path part = file.resolveSibling("." + name + ".part");
        try {
            write(part, TorchLayout.rootOf(name), tree, storages);
            Files.move(
                    part,
                    file,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private static void write(
            Path file, String root, PickleValue tree, SequencedMap<String, byte[]> storages)
            throws IOException {
        List<TorchStorage> sizes = new ArrayList<>();
        storages.forEach((key, bytes) -> sizes.add(new TorchStorage(key, bytes.length)));
        TorchLayout layout = TorchLayout.of(root, tree, sizes);
        try (FileChannel channel =
                FileChannel.open(
                        file,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE)) {
            for (TargetFile.Part.Literal literal : layout.literals()) {
                put(channel, literal.offset(), ByteBuffer.wrap(literal.bytes()));
            }
            for (var storage : storages.entrySet()) {
                put(
                        channel,
                        layout.storageOffset(storage.getKey()),
                        ByteBuffer.wrap(storage.getValue()));
            }
            for (ChecksumField field : layout.checksums()) {
                fill(channel, field);
            }
        }
    }

    private static void fill(FileChannel channel, ChecksumField field) throws IOException {
        ByteBuffer data = ByteBuffer.allocate(Math.toIntExact(field.size()));
        while (data.hasRemaining() && channel.read(data, field.from() + data.position()) > 0) {}
        CRC32 crc = new CRC32();
        crc.update(data.flip());
        for (long at : field.at()) {
            ByteBuffer four =
                    ByteBuffer.allocate(4).putInt(Integer.reverseBytes((int) crc.getValue()));
            put(channel, at, four.flip());
        }
    }

    private static void put(FileChannel channel, long offset, ByteBuffer bytes) throws IOException {
        long at = offset;
        while (bytes.hasRemaining()) {
            at += channel.write(bytes, at);
        }
    }
}
