package io.ucp.io;

import java.util.List;

/// A CRC-32 (zip's) of `[from, from + size)` of a file being written, stored little-endian in the
/// four bytes at each of `at`, which hold zeros until it is known.
public record ChecksumField(long from, long size, List<Long> at) {
    public ChecksumField {
        at = List.copyOf(at);
    }
}
