package io.ucp.io;

/// Bytes of a source whose CRC-32 (zip's) the source itself keeps: an entry of an archive.
///
/// @param name of the entry, a label for messages
/// @param offset of its first byte, from the start of the source
/// @param size bytes, 1 or more
public record Checksummed(ByteSource source, String name, long offset, long size, int crc) {
    /// One past the last byte.
    public long end() {
        return offset + size;
    }

    /// Says that the bytes are not those that were written.
    ///
    /// @param found their CRC-32
    public MalformedFileException damaged(int found) {
        return new MalformedFileException(
                source.path(),
                offset,
                "'%s' has the CRC-32 %08x".formatted(name, found),
                "%08x, as the directory says".formatted(crc),
                "the file is damaged; copy it again from where it was written");
    }
}
