package io.ucp.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/// What tells, without reading it, whether a file is still the one that it was.
///
/// @param size bytes
/// @param modified as the file system has it, ISO 8601
/// @param identity its inode, empty where the system has none
public record FileStamp(long size, String modified, String identity) {
    /// As the file is now; links are followed.
    public static FileStamp of(Path path) throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
        return new FileStamp(
                attributes.size(), attributes.lastModifiedTime().toString(), FileIdentity.of(path));
    }

    /// What is not as it was, in words; empty where all is.
    public String unlike(FileStamp before) {
        if (size != before.size) {
            return "it has %,d bytes, and had %,d".formatted(size, before.size);
        }
        if (!modified.equals(before.modified)) {
            return "it was modified at %s, and before at %s".formatted(modified, before.modified);
        }
        return identity.equals(before.identity) ? "" : "it is another file of that name";
    }
}
