package io.ucp.formats.universal;

/// How large things get in a universal checkpoint, in bytes. Readers do not depend on them, save
/// that a compressed batch is at most [#MAX_COMPRESSED_BATCH].
///
/// @param file a state file takes no further tensor once it holds this much: files are what is
///   written in parallel
/// @param batch of one record batch
/// @param compressedBatch of one record batch before compression
/// @param tensors in one file, which bounds the index in its header
record Limits(long file, long batch, int compressedBatch, int tensors) {
    /// What a reader decompresses at a time.
    static final int MAX_COMPRESSED_BATCH = 16 << 20;

    /// A buffer of 2 GiB or more does not fit what Arrow Java and others read.
    static final Limits STANDARD = new Limits(1L << 30, 1L << 30, 4 << 20, 20_000);

    Limits {
        if (file < 1
                || batch < 16
                || batch > Integer.MAX_VALUE - 64
                || compressedBatch < 16
                || compressedBatch > MAX_COMPRESSED_BATCH
                || tensors < 1) {
            throw new IllegalArgumentException("limits out of range");
        }
    }

    /// Rows of `width` bytes in a record batch; whole multiples of 64 bytes where that fits.
    long rows(int width, boolean compressed) {
        long bytes = compressed ? compressedBatch : batch;
        return bytes < 64 ? bytes / width : bytes / 64 * 64 / width;
    }
}
