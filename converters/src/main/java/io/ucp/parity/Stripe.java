package io.ucp.parity;

/// Stripe number `index` of a set, among all of a checkpoint.
///
/// @param set its number in the manifest
record Stripe(int set, int index) {}
