package io.ucp.formats;

/// Something odd that does not stop the work and must not go unsaid.
///
/// @param place a file, a parameter or a rank
public record Finding(String place, String message) {}
