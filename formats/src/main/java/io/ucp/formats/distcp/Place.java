package io.ucp.formats.distcp;

/// Where an item lies.
///
/// @param file relative to the checkpoint's folder
/// @param offset of its first byte, from the start of the file
/// @param length bytes
public record Place(String file, long offset, long length) {
    /// First byte behind it.
    public long end() {
        return offset + length;
    }
}
