package io.ucp.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;

/// Which file or folder a name stands for: its inode, where the system has such. Without the
/// device, whose number may be another after a mount.
public final class FileIdentity {
    private FileIdentity() {}

    /// Links are followed; empty where the system does not tell.
    public static String of(Path path) throws IOException {
        if (path.getFileSystem().supportedFileAttributeViews().contains("unix")) {
            return Objects.toString(Files.getAttribute(path, "unix:ino"), "");
        }
        return "";
    }
}
