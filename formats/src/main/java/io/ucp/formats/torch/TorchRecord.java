package io.ucp.formats.torch;

import java.util.OptionalInt;

/// One stored record of a container.
///
/// @param name with its root, `archive/data/0`; a label, never a path
/// @param offset of its data, in bytes from the start of the *file* that holds the container
/// @param size bytes
/// @param crc CRC-32 of its data, as the directory states it; not checked on opening, except for
///   the records that opening reads; absent where the archive was written without
///   (`torch.serialization.set_crc32_options(False)`)
public record TorchRecord(String name, long offset, long size, OptionalInt crc) {
    /// First byte past the data, from the start of the file.
    public long end() {
        return offset + size;
    }
}
