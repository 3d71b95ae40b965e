package io.ucp.convert;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Objects;

/// Why nothing can be made in a folder, by the folder's name: the user knows no temporary ones.
final class Unwritable {
    private static final String HINT = "\nhint: name an -o on a file system that can be written";

    private Unwritable() {}

    static IOException in(Path folder, IOException failure) {
        return switch (failure) {
            case FileAlreadyExistsException e -> e;
            case NotDirectoryException e -> e;
            case AccessDeniedException e ->
                    because(new AccessDeniedException(folder.toString()), e);
            case FileSystemException e ->
                    because(
                            new FileSystemException(
                                    folder.toString(),
                                    null,
                                    "nothing can be made in it (%s)%s"
                                            .formatted(
                                                    Objects.requireNonNullElse(
                                                            e.getReason(), "no such folder"),
                                                    HINT)),
                            e);
            default -> failure;
        };
    }

    private static IOException because(IOException named, IOException failure) {
        named.initCause(failure);
        return named;
    }
}
