package io.ucp.io.overlay;

import io.ucp.io.ByteSource;

import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.WatchService;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.spi.FileSystemProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// A file system as it is, except that given files read as given bytes, whether or not something
/// lies under their names. The folders that lead to them are there too. Nothing can be written.
///
/// Its paths look like those of the file system below, so that messages name real places. A
/// relative path is relative to the same working folder.
public final class Overlay extends FileSystem {
    private final OverlayProvider provider = new OverlayProvider(this);
    private final FileSystem below;

    /// By absolute, normalised path of the file system below.
    private final TreeMap<Path, ByteSource> files;

    /// Folder -> names that lie in it because of [#files].
    private final Map<Path, NavigableSet<Path>> folders = new TreeMap<>();

    private Overlay(FileSystem below, Map<Path, ByteSource> files) {
        this.below = below;
        this.files = new TreeMap<>();
        files.forEach((path, source) -> this.files.put(canonical(path), source));
        for (Path file : this.files.keySet()) {
            Path child = file;
            for (Path folder = file.getParent(); folder != null; folder = folder.getParent()) {
                folders.computeIfAbsent(folder, _ -> new TreeSet<>()).add(child.getFileName());
                child = folder;
            }
        }
    }

    /// `path` as it reads with the given files in place.
    ///
    /// @param files by path of `path`'s own file system
    public static Path of(Path path, Map<Path, ByteSource> files) {
        return new Overlay(path.getFileSystem(), files).wrap(path);
    }

    /// The files that `path` reads from elsewhere, where it is of an overlay; sorted.
    public static List<Path> replaced(Path path) {
        return path.getFileSystem() instanceof Overlay overlay
                ? List.copyOf(overlay.files.keySet())
                : List.of();
    }

    static Path canonical(Path path) {
        return path.toAbsolutePath().normalize();
    }

    Path wrap(Path path) {
        return new OverlayPath(this, path);
    }

    Optional<ByteSource> file(Path path) {
        return Optional.ofNullable(files.get(canonical(path)));
    }

    /// Whether files of the overlay lie below `path`.
    boolean isFolder(Path path) {
        return folders.containsKey(canonical(path));
    }

    /// Names in the folder `path` that are there because of the overlay.
    Set<Path> names(Path path) {
        return folders.getOrDefault(canonical(path), new TreeSet<>());
    }

    @Override
    public FileSystemProvider provider() {
        return provider;
    }

    /// Stays open.
    @Override
    public void close() {
        throw new UnsupportedOperationException("an overlay is not closed");
    }

    @Override
    public boolean isOpen() {
        return below.isOpen();
    }

    @Override
    public boolean isReadOnly() {
        return true;
    }

    @Override
    public String getSeparator() {
        return below.getSeparator();
    }

    @Override
    public Iterable<Path> getRootDirectories() {
        List<Path> roots = new ArrayList<>();
        below.getRootDirectories().forEach(root -> roots.add(wrap(root)));
        return roots;
    }

    @Override
    public Iterable<FileStore> getFileStores() {
        return below.getFileStores();
    }

    @Override
    public Set<String> supportedFileAttributeViews() {
        return Set.of("basic");
    }

    @Override
    public Path getPath(String first, String... more) {
        return wrap(below.getPath(first, more));
    }

    @Override
    public PathMatcher getPathMatcher(String pattern) {
        PathMatcher matcher = below.getPathMatcher(pattern);
        return path -> matcher.matches(OverlayPath.below(path));
    }

    @Override
    public UserPrincipalLookupService getUserPrincipalLookupService() {
        throw new UnsupportedOperationException();
    }

    @Override
    public WatchService newWatchService() {
        throw new UnsupportedOperationException();
    }
}
