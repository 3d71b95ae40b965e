package io.ucp.formats.torch;

/// One stored record of a container.
///
/// @param name with its root, `archive/data/0`; a label, never a path
/// @param offset of its data, in bytes from the start of the *file* that holds the container
/// @param size bytes
/// @param crc CRC-32 of its data, as the directory states it; not checked on opening, except for
///   the records that opening reads
public record TorchRecord(String name, long offset, long size, int crc) {
    /// First byte past the data, from the start of the file.
    public long end() {
        return offset + size;
    }
}
