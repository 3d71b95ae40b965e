package io.ucp.snapshot;

import io.ucp.io.MalformedFileException;
import io.ucp.parity.ParityManifest;
import io.ucp.parity.ProtectedCheckpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/// The parity that lies in a folder, one for each checkpoint of a root. A manifest is read again
/// only when it is another.
final class Parities {
    private static final String MANIFEST = "manifest.json";

    private final Path root;
    private final Snapshots.Parity wish;
    private final Map<Path, Kept> read = new HashMap<>();

    Parities(Path root, Snapshots.Parity wish) {
        this.root = root;
        this.wish = wish;
    }

    /// @param parity empty where it is no manifest of parity
    private record Kept(FileTime modified, Optional<ProtectedCheckpoint> parity) {}

    /// Where the parity of a checkpoint lies, if there is any.
    Path of(Saved saved) {
        return wish.folder().resolve(saved.name());
    }

    /// Whether a folder is parity: other things have a `manifest.json` too.
    boolean isParity(Path folder) throws IOException {
        return read(folder).isPresent();
    }

    /// Whether there is parity of the very files that the checkpoint has now, or had: one that lost
    /// some is what it is for. Their own times tell, not the parity's, which another clock may have
    /// given, and which is later than that of an older checkpoint that took the name of this one.
    boolean isCurrent(Saved saved) throws IOException {
        Optional<ProtectedCheckpoint> parity = read(of(saved));
        return parity.isPresent() && parity.get().isUnwritten();
    }

    /// Whether there is such parity as is wished.
    boolean isWished(Saved saved) throws IOException {
        Optional<ProtectedCheckpoint> parity = read(of(saved));
        return parity.isPresent() && isLike(parity.get().manifest()) && parity.get().isUnwritten();
    }

    private boolean isLike(ParityManifest manifest) {
        return manifest.group().equals(wish.grouping().toString())
                && manifest.data() == wish.data()
                && manifest.parity() == wish.parity();
    }

    private Optional<ProtectedCheckpoint> read(Path folder) throws IOException {
        Path file = folder.resolve(MANIFEST);
        if (!Files.isRegularFile(file)) {
            read.remove(folder);
            return Optional.empty();
        }
        FileTime modified = Files.getLastModifiedTime(file);
        Kept kept = read.get(folder);
        if (kept == null || !kept.modified().equals(modified)) {
            kept = new Kept(modified, open(folder));
            read.put(folder, kept);
        }
        return kept.parity();
    }

    private Optional<ProtectedCheckpoint> open(Path folder) throws IOException {
        try {
            return Optional.of(ProtectedCheckpoint.open(root, folder));
        } catch (MalformedFileException e) {
            return Optional.empty();
        }
    }
}
