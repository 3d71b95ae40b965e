package io.ucp.formats.torch;

/// What the central directory says of one record.
///
/// @param header offset of the local header, in bytes from the start of the container
/// @param size bytes of data
/// @param flags general purpose bits
record ZipEntry(String name, long header, long size, int crc, int flags) {
    /// Bit 3: the sizes and the CRC-32 follow the data, the local header has zeros.
    boolean hasDescriptor() {
        return (flags & 8) != 0;
    }
}
