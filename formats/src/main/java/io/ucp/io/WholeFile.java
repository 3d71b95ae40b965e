package io.ucp.io;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/// A file that is read at once: a pointer, a manifest.
public final class WholeFile {
    private WholeFile() {}

    /// All bytes. An error of the disk says which file it is about.
    public static byte[] read(Path file) throws IOException {
        return head(file, Integer.MAX_VALUE);
    }

    /// The first bytes, `size` of them at most.
    public static byte[] head(Path file, int size) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return in.readNBytes(size);
        } catch (FileSystemException e) {
            throw e;
        } catch (IOException e) {
            throw named(file, e);
        }
    }

    /// What is said of a file by an error of the system that names none.
    public static FileSystemException named(Path file, IOException e) {
        FileSystemException named =
                new FileSystemException(file.toString(), null, String.valueOf(e.getMessage()));
        named.initCause(e);
        return named;
    }
}
