package io.ucp.parity;

import io.ucp.convert.OpenedSource;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.io.WholeFile;
import io.ucp.parity.ParityManifest.Pointer;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;

/// The files of a checkpoint that is to be protected, and whose they are.
///
/// @param folder the checkpoint's own, relative to `base`; empty where it is that
/// @param files by path relative to `base`
record Listing(
        Path base,
        OpenedSource opened,
        String folder,
        Map<String, File> files,
        List<Pointer> pointers) {
    private static final int LONGEST_POINTER = 4096;

    /// @param at of the rank that wrote it
    record File(long size, FileTime modified, Coordinate at) {}

    static Listing of(Path base, OpenedSource opened) throws IOException {
        Path root = canonical(base);
        Path own = canonical(opened.taken().folder());
        if (!own.startsWith(root)) {
            throw new RefusedException(
                    base.toString(),
                    "a checkpoint in " + own,
                    "one below the folder that is protected",
                    "name " + own);
        }
        Map<Path, Coordinate> ranks = ranks(opened.index());
        TreeMap<String, File> files = new TreeMap<>();
        for (Path path : walk(own)) {
            add(files, root, path, ranks);
        }
        for (CarriedFile carried : opened.index().carried()) {
            if (carried.file().isPresent()) {
                Path path = canonical(carried.file().get().path());
                if (path.startsWith(root) && !path.startsWith(own)) {
                    add(files, root, path, ranks);
                }
            }
        }
        if (files.isEmpty()) {
            throw new RefusedException(
                    base.toString(), "no files", "files to protect", "name a checkpoint");
        }
        return new Listing(base, opened, relative(root, own), files, pointers(root, opened, files));
    }

    private static void add(
            Map<String, File> files, Path root, Path path, Map<Path, Coordinate> ranks)
            throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
        String name = relative(root, path);
        if (name.indexOf('\\') >= 0) {
            throw new RefusedException(
                    path.toString(),
                    "a backslash in its name",
                    "names that every system can have",
                    "rename it");
        }
        files.put(
                name,
                new File(
                        attributes.size(),
                        attributes.lastModifiedTime(),
                        ranks.getOrDefault(path, Coordinate.NONE)));
    }

    private static List<Path> walk(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            List<Path> files = new ArrayList<>();
            for (Path path : all.sorted().toList()) {
                if (Repair.isTemporary(path)) {
                    continue; // of no checkpoint
                }
                if (Files.isRegularFile(path)) {
                    files.add(path);
                } else if (!Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
                    throw new RefusedException(
                            path.toString(),
                            "neither a file nor a folder",
                            "files and folders",
                            "a link to a folder can be replaced by the folder");
                }
            }
            return files;
        }
    }

    /// Whose a file is, as far as the checkpoint's format knows.
    private static Map<Path, Coordinate> ranks(CheckpointIndex index) {
        Map<Path, Coordinate> ranks = new HashMap<>();
        for (CarriedFile carried : index.carried()) {
            carried.file()
                    .ifPresent(file -> ranks.putIfAbsent(canonical(file.path()), carried.at()));
        }
        for (FlatGroup group : index.flatGroups()) {
            for (FlatGroup.Part part : group.parts()) {
                for (TensorEntry tensor : part.states().values()) {
                    ranks.putIfAbsent(canonical(tensor.source().path()), part.at());
                }
            }
        }
        for (HeldTensor held : index.tensors()) {
            ranks.putIfAbsent(canonical(held.tensor().source().path()), held.at());
        }
        return ranks;
    }

    private static List<Pointer> pointers(
            Path root, OpenedSource opened, Map<String, File> protectedFiles) throws IOException {
        List<Pointer> pointers = new ArrayList<>();
        String name = opened.taken().pointer();
        if (!name.isEmpty() && !name.startsWith("(") && !name.contains("(")) {
            Path path = root.resolve(name).normalize();
            if (path.startsWith(root)
                    && Files.isRegularFile(path)
                    && Files.size(path) <= LONGEST_POINTER
                    && !protectedFiles.containsKey(relative(root, path))) {
                String text = new String(WholeFile.read(path), StandardCharsets.UTF_8);
                pointers.add(new Pointer(relative(root, path), text));
            }
        }
        return pointers;
    }

    /// @throws IOException where a file is not as it was when it was listed, or was not there
    void requireUnchanged() throws IOException {
        for (Map.Entry<String, File> each : files.entrySet()) {
            Path path = base.resolve(each.getKey());
            BasicFileAttributes now = Files.readAttributes(path, BasicFileAttributes.class);
            if (now.size() != each.getValue().size()
                    || !now.lastModifiedTime().equals(each.getValue().modified())) {
                throw changed(path);
            }
        }
        Path root = canonical(base);
        for (Path path : walk(canonical(opened.taken().folder()))) {
            if (!files.containsKey(relative(root, path))) {
                throw changed(path);
            }
        }
    }

    static IOException changed(Path path) {
        return Files.exists(path)
                ? new FileSystemException(
                        path.toString(),
                        null,
                        "it changed while it was read; expected a checkpoint that is finished\n"
                                + "hint: wait until the job has saved it, then do it again")
                : new NoSuchFileException(path.toString());
    }

    /// Bytes.
    ///
    /// @param path one of [#files]
    long size(String path) {
        return Objects.requireNonNull(files.get(path)).size();
    }

    /// Milliseconds of 1970.
    ///
    /// @param path one of [#files]
    long modified(String path) {
        return Objects.requireNonNull(files.get(path)).modified().toMillis();
    }

    List<AxisDegree> mesh() {
        return opened.index().mesh();
    }

    static Path canonical(Path path) {
        return path.toAbsolutePath().normalize();
    }

    private static String relative(Path root, Path path) {
        StringBuilder text = new StringBuilder();
        for (Path part : root.relativize(path)) {
            text.append(text.isEmpty() ? "" : "/").append(part);
        }
        return text.toString();
    }
}
