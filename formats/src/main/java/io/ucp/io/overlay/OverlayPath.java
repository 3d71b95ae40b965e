package io.ucp.io.overlay;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.ProviderMismatchException;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;

/// A path of the file system below, seen through its overlay. Two are equal where they are of one
/// overlay and their paths below are equal.
record OverlayPath(Overlay overlay, Path below) implements Path {
    /// The path below; other paths as they are, since they name the same places.
    static Path below(Path path) {
        return path instanceof OverlayPath(Overlay _, Path below) ? below : path;
    }

    private OverlayPath wrap(Path path) {
        return new OverlayPath(overlay, path);
    }

    private @Nullable OverlayPath wrapped(@Nullable Path path) {
        return path == null ? null : wrap(path);
    }

    @Override
    public FileSystem getFileSystem() {
        return overlay;
    }

    @Override
    public boolean isAbsolute() {
        return below.isAbsolute();
    }

    @Override
    public @Nullable Path getRoot() {
        return wrapped(below.getRoot());
    }

    @Override
    public @Nullable Path getFileName() {
        return wrapped(below.getFileName());
    }

    @Override
    public @Nullable Path getParent() {
        return wrapped(below.getParent());
    }

    @Override
    public int getNameCount() {
        return below.getNameCount();
    }

    @Override
    public Path getName(int index) {
        return wrap(below.getName(index));
    }

    @Override
    public Path subpath(int from, int to) {
        return wrap(below.subpath(from, to));
    }

    @Override
    public boolean startsWith(Path other) {
        return below.startsWith(below(other));
    }

    @Override
    public boolean endsWith(Path other) {
        return below.endsWith(below(other));
    }

    @Override
    public Path normalize() {
        return wrap(below.normalize());
    }

    @Override
    public Path resolve(Path other) {
        return wrap(below.resolve(below(other)));
    }

    @Override
    public Path relativize(Path other) {
        return wrap(below.relativize(below(other)));
    }

    @Override
    public URI toUri() {
        return below.toUri();
    }

    @Override
    public Path toAbsolutePath() {
        return wrap(below.toAbsolutePath());
    }

    /// What is not there below has no links to follow.
    @Override
    public Path toRealPath(LinkOption... options) throws IOException {
        return overlay.file(below).isPresent() || overlay.isFolder(below)
                ? wrap(Overlay.canonical(below))
                : wrap(below.toRealPath(options));
    }

    @Override
    public WatchKey register(
            WatchService watcher, WatchEvent.Kind<?>[] events, WatchEvent.Modifier... modifiers) {
        throw new UnsupportedOperationException();
    }

    @Override
    public int compareTo(Path other) {
        if (!(other instanceof OverlayPath path)) {
            throw new ProviderMismatchException();
        }
        return below.compareTo(path.below);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof OverlayPath path
                && path.overlay == overlay
                && path.below.equals(below);
    }

    @Override
    public int hashCode() {
        return below.hashCode();
    }

    @Override
    public String toString() {
        return below.toString();
    }
}
