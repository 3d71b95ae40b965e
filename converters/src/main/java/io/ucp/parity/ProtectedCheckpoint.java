package io.ucp.parity;

import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/// A manifest and the two folders that it speaks of.
///
/// @param base what was protected
/// @param parity what `ucp protect` wrote, or what is left of it
/// @param manifestFile the copy that was read
public record ProtectedCheckpoint(
        Path base, Path parity, Path manifestFile, ParityManifest manifest) {

    /// @param checkpoint the protected folder, or the checkpoint's own folder in it; files may be
    ///   missing
    /// @param parity the folder with the manifest, or one of whose folders has a copy
    /// @throws MalformedFileException where no copy of the manifest is whole
    public static ProtectedCheckpoint open(Path checkpoint, Path parity) throws IOException {
        if (!Files.isDirectory(parity)) {
            throw new NoSuchFileException(parity.toString(), null, "no such folder");
        }
        MalformedFileException first = null;
        for (Path file : manifests(parity)) {
            try {
                ParityManifest manifest = ManifestReader.read(file);
                return new ProtectedCheckpoint(base(checkpoint, manifest), parity, file, manifest);
            } catch (MalformedFileException e) {
                first = first == null ? e : first;
            }
        }
        throw first != null
                ? first
                : new MalformedFileException(
                        parity,
                        -1,
                        "no " + ParityManifest.FILE,
                        "the folder that `ucp protect` wrote",
                        "name that folder, or one with what is left of it in it");
    }

    /// The first copy is the folder's own; every node's folder has another.
    private static List<Path> manifests(Path parity) throws IOException {
        List<Path> found = new ArrayList<>();
        found.add(parity.resolve(ParityManifest.FILE));
        try (Stream<Path> entries = Files.list(parity)) {
            entries.sorted().map(e -> e.resolve(ParityManifest.FILE)).forEach(found::add);
        }
        return found.stream().filter(Files::isRegularFile).toList();
    }

    private static Path base(Path checkpoint, ParityManifest manifest) {
        Path absolute = checkpoint.toAbsolutePath().normalize();
        boolean within =
                !manifest.folder().isEmpty()
                        && !Files.exists(absolute.resolve(manifest.folder()))
                        && absolute.endsWith(manifest.folder());
        if (!within) {
            return checkpoint;
        }
        int depth = absolute.getFileSystem().getPath(manifest.folder()).getNameCount();
        Path root = Objects.requireNonNull(absolute.getRoot());
        int rest = absolute.getNameCount() - depth;
        return rest == 0 ? root : root.resolve(absolute.subpath(0, rest));
    }

    /// Whether nobody has written a file of the checkpoint since, or added one, as far as times
    /// tell; not where the manifest has no times. What is missing or shorter is not written: the
    /// parity is what brings it back.
    public boolean isUnwritten() throws IOException {
        Path own = base.resolve(manifest.folder());
        if (!Files.isDirectory(own)) {
            return false;
        }
        Set<Path> known = new HashSet<>();
        for (StoredFile file : manifest.files().toList()) {
            Path path = base.resolve(file.path());
            if (file.isWritten(path)) {
                return false;
            }
            known.add(path);
        }
        try (Stream<Path> all = Files.walk(own)) {
            return all.filter(Files::isRegularFile)
                    .allMatch(file -> known.contains(file) || Repair.isTemporary(file));
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /// Of a data file or a parity file, by its element.
    Path path(ParitySet set, Stripes.Block block) {
        return path(set, block.element(), block.file());
    }

    Path path(ParitySet set, int element, StoredFile file) {
        return (element < set.members().size() ? base : parity).resolve(file.path());
    }

    /// The copies of the manifest that are missing or not like the one that was read, sorted.
    List<Path> otherManifests() throws IOException {
        byte[] text = WholeFile.read(manifestFile);
        TreeSet<Path> copies = new TreeSet<>();
        copies.add(parity.resolve(ParityManifest.FILE));
        manifest.parityFiles()
                .map(file -> parity.resolve(file.path()))
                .forEach(file -> copies.add(file.resolveSibling(ParityManifest.FILE)));
        List<Path> unlike = new ArrayList<>();
        for (Path copy : copies) {
            if (!Files.isRegularFile(copy) || !Arrays.equals(WholeFile.read(copy), text)) {
                unlike.add(copy);
            }
        }
        return unlike;
    }
}
