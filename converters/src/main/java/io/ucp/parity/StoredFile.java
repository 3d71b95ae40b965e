package io.ucp.parity;

/// A file of the checkpoint or of the parity, as it was when it was protected.
///
/// @param path relative to the checkpoint's folder or to the parity's, `/` between parts; never
///   leads out of it
/// @param size bytes
/// @param digest of the whole file, as `ucp digest` would give it of a tensor of the same bytes
record StoredFile(String path, long size, String digest, BlockDigests blocks) {}
