package io.ucp.convert;

import io.ucp.convert.DigestFile.FileState;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.io.Parallel;
import io.ucp.tensor.TensorDigest;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;

/// Digests of a checkpoint's files, byte for byte: those in its folder and those beside it that its
/// format counts in. Pointers are not, since the next save changes them.
final class FileDigests {
    private static final int BLOCK = 1 << 20;

    private FileDigests() {}

    static List<FileState> of(CheckpointIndex index) throws IOException {
        Path folder = canonical(index.folder());
        TreeSet<Path> files = new TreeSet<>();
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.toList()) {
                if (Files.isRegularFile(path)) {
                    files.add(path);
                }
            }
        }
        for (CarriedFile carried : index.carried()) {
            carried.file().ifPresent(file -> files.add(canonical(file.path())));
        }
        // One file is named by its path, all others relative to their folder.
        Path base = Files.isDirectory(folder) ? folder : folder.resolveSibling("");
        return Parallel.map(List.copyOf(files), path -> state(base, path));
    }

    private static FileState state(Path base, Path path) throws IOException {
        List<String> names = new ArrayList<>();
        base.relativize(path).forEach(name -> names.add(name.toString()));
        try (SeekableByteChannel channel = Files.newByteChannel(path)) {
            long size = channel.size();
            TensorDigest digest = new TensorDigest(size);
            ByteBuffer block = ByteBuffer.allocate((int) Math.min(BLOCK, size));
            for (long at = 0; at < size; at += block.limit()) {
                int count = channel.read(block.clear());
                if (count <= 0) {
                    break; // it became shorter: its size tells
                }
                digest.add(at, block.flip());
            }
            return new FileState(String.join("/", names), size, digest.toString());
        }
    }

    private static Path canonical(Path path) {
        return path.toAbsolutePath().normalize();
    }
}
