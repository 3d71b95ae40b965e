package io.ucp.io.overlay;

import io.ucp.io.ByteSource;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.FileTime;
import java.nio.file.spi.FileSystemProvider;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// Answers for the files of the overlay, and passes the rest on to the file system below.
final class OverlayProvider extends FileSystemProvider {
    private final Overlay overlay;

    OverlayProvider(Overlay overlay) {
        this.overlay = overlay;
    }

    private static Path below(Path path) {
        return OverlayPath.below(path);
    }

    @Override
    public String getScheme() {
        return "ucp-overlay";
    }

    @Override
    public FileSystem newFileSystem(URI uri, Map<String, ?> env) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileSystem getFileSystem(URI uri) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Path getPath(URI uri) {
        throw new UnsupportedOperationException();
    }

    @Override
    public SeekableByteChannel newByteChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
            throws IOException {
        return newFileChannel(path, options, attributes);
    }

    @Override
    public FileChannel newFileChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
            throws IOException {
        if (!options.isEmpty()
                && !options.stream()
                        .allMatch(o -> o == StandardOpenOption.READ || o instanceof LinkOption)) {
            throw new ReadOnlyFileSystemException();
        }
        Optional<ByteSource> file = overlay.file(below(path));
        return file.isPresent()
                ? new SourceChannel(file.get().open(), file.get().size())
                : FileChannel.open(below(path), StandardOpenOption.READ);
    }

    @Override
    public DirectoryStream<Path> newDirectoryStream(
            Path folder, DirectoryStream.Filter<? super Path> filter) throws IOException {
        if (overlay.file(below(folder)).isPresent()) {
            throw new NotDirectoryException(folder.toString());
        }
        Set<Path> names = new TreeSet<>(overlay.names(below(folder)));
        if (names.isEmpty() || Files.isDirectory(below(folder))) {
            try (DirectoryStream<Path> there = Files.newDirectoryStream(below(folder))) {
                there.forEach(path -> names.add(path.getFileName()));
            } catch (DirectoryIteratorException e) {
                throw e.getCause();
            }
        }
        List<Path> entries = new ArrayList<>();
        for (Path name : names) {
            Path entry = folder.resolve(name);
            if (filter.accept(entry)) {
                entries.add(entry);
            }
        }
        return new DirectoryStream<>() {
            @Override
            public Iterator<Path> iterator() {
                return entries.iterator();
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public boolean isSameFile(Path a, Path b) throws IOException {
        Path first = Overlay.canonical(below(a));
        Path second = Overlay.canonical(below(b));
        return first.equals(second)
                || (overlay.file(first).isEmpty()
                        && overlay.file(second).isEmpty()
                        && Files.isSameFile(first, second));
    }

    @Override
    public boolean isHidden(Path path) {
        return false;
    }

    @Override
    public FileStore getFileStore(Path path) throws IOException {
        Path at = Overlay.canonical(below(path));
        while (at.getParent() != null && Files.notExists(at)) {
            at = at.getParent();
        }
        return Files.getFileStore(at);
    }

    @Override
    public void checkAccess(Path path, AccessMode... modes) throws IOException {
        Path at = below(path);
        boolean write = Set.of(modes).contains(AccessMode.WRITE);
        if (write) {
            throw new AccessDeniedException(path.toString(), null, "read only");
        }
        if (overlay.file(at).isEmpty() && !overlay.isFolder(at)) {
            at.getFileSystem().provider().checkAccess(at, modes);
        }
    }

    @Override
    public <V extends FileAttributeView> @Nullable V getFileAttributeView(
            Path path, Class<V> type, LinkOption... options) {
        if (type != BasicFileAttributeView.class) {
            return null;
        }
        return type.cast(
                new BasicFileAttributeView() {
                    @Override
                    public String name() {
                        return "basic";
                    }

                    @Override
                    public BasicFileAttributes readAttributes() throws IOException {
                        return OverlayProvider.this.readAttributes(
                                path, BasicFileAttributes.class, options);
                    }

                    @Override
                    public void setTimes(
                            @Nullable FileTime modified,
                            @Nullable FileTime accessed,
                            @Nullable FileTime created) {
                        throw new ReadOnlyFileSystemException();
                    }
                });
    }

    @Override
    public <A extends BasicFileAttributes> A readAttributes(
            Path path, Class<A> type, LinkOption... options) throws IOException {
        Path at = below(path);
        Optional<ByteSource> file = overlay.file(at);
        if (file.isPresent()) {
            return type.cast(new Attributes(true, file.get().size()));
        }
        if (overlay.isFolder(at) && Files.notExists(at)) {
            return type.cast(new Attributes(false, 0));
        }
        return Files.readAttributes(at, type, options);
    }

    @Override
    public Map<String, Object> readAttributes(Path path, String names, LinkOption... options)
            throws IOException {
        Path at = below(path);
        if (overlay.file(at).isPresent() || overlay.isFolder(at)) {
            throw new UnsupportedOperationException(names);
        }
        return Files.readAttributes(at, names, options);
    }

    /// @param file or a folder
    private record Attributes(boolean file, long size) implements BasicFileAttributes {
        private static final FileTime UNKNOWN = FileTime.fromMillis(0);

        @Override
        public FileTime lastModifiedTime() {
            return UNKNOWN;
        }

        @Override
        public FileTime lastAccessTime() {
            return UNKNOWN;
        }

        @Override
        public FileTime creationTime() {
            return UNKNOWN;
        }

        @Override
        public boolean isRegularFile() {
            return file;
        }

        @Override
        public boolean isDirectory() {
            return !file;
        }

        @Override
        public boolean isSymbolicLink() {
            return false;
        }

        @Override
        public boolean isOther() {
            return false;
        }

        @Override
        public @Nullable Object fileKey() {
            return null;
        }
    }

    @Override
    public void createDirectory(Path folder, FileAttribute<?>... attributes) {
        throw new ReadOnlyFileSystemException();
    }

    @Override
    public void delete(Path path) throws IOException {
        if (overlay.file(below(path)).isEmpty() && Files.notExists(below(path))) {
            throw new NoSuchFileException(path.toString());
        }
        throw new ReadOnlyFileSystemException();
    }

    @Override
    public void copy(Path source, Path target, CopyOption... options) {
        throw new ReadOnlyFileSystemException();
    }

    @Override
    public void move(Path source, Path target, CopyOption... options) {
        throw new ReadOnlyFileSystemException();
    }

    @Override
    public void setAttribute(Path path, String name, Object value, LinkOption... options) {
        throw new ReadOnlyFileSystemException();
    }
}
