package io.ucp.snapshot;

import io.ucp.convert.FolderTree;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/// The pointer that lies in a root beside its checkpoints, as it was when it named one of them: the
/// job may have moved it on by the time that one is copied.
///
/// @param name relative to the root; empty where there is none
record PointerFile(String name, ByteBuffer text) {
    static final PointerFile NONE = new PointerFile("", ByteBuffer.allocate(0));

    static PointerFile read(Path root, Candidate candidate) throws IOException {
        Path pointer = root.resolve(candidate.pointer()).normalize();
        // One deeper down is copied with the folder that it lies in.
        boolean beside = root.equals(pointer.getParent()) && Files.isRegularFile(pointer);
        return beside
                ? new PointerFile(candidate.pointer(), ByteBuffer.wrap(WholeFile.read(pointer)))
                : NONE;
    }

    /// Gives another root the same, at once, if it has not got it.
    void write(Path root, boolean sync) throws IOException {
        if (name.isEmpty()) {
            return;
        }
        Path target = root.resolve(name);
        boolean same =
                Files.isRegularFile(target) && ByteBuffer.wrap(WholeFile.read(target)).equals(text);
        if (same) {
            return;
        }
        Path fresh = target.resolveSibling(".%s.ucp-new".formatted(name));
        try (FileChannel channel =
                FileChannel.open(
                        fresh,
                        StandardOpenOption.WRITE,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING)) {
            ByteBuffer rest = text.duplicate();
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            if (sync) {
                channel.force(true);
            }
        }
        Files.move(
                fresh, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        if (sync) {
            FolderTree.flushOne(root);
        }
    }
}
