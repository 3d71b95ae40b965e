package io.ucp.formats.torch;

/// A storage of a container to be written.
///
/// @param key as tensors name it; the record is `<root>/data/<key>`
/// @param size bytes
public record TorchStorage(String key, long size) {
    public TorchStorage {
        if (size < 0) {
            throw new IllegalArgumentException("storage '%s' of %d bytes".formatted(key, size));
        }
    }
}
