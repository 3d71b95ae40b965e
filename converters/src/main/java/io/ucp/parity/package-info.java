/// Reed-Solomon parity over the files of a checkpoint, so that lost nodes lose nothing.
///
/// ```
/// protect:  files -> Grouping -> sets of members -> Protection -> parity files, manifest
/// scrub:    manifest -> Scrub -> Health (which blocks are missing or damaged)
/// repair:   Health -> Recovery -> the files, bit for bit
/// degraded: manifest -> Degraded -> a path through which lost files read as if they were there
/// ```
///
/// A *member* is what is lost together (a rank's files, a node's files), its files end to end, each
/// cut in *blocks* of one size, the last of a file shorter. A *set* is up to `data` members and
/// `parity` parity files. Its *stripe* `t` is block `t` of every member that has one; the others
/// count as zeros. A stripe is as large as its largest block, rounded up to 64 bytes, and block `t`
/// of a parity file is as large as the stripe; a parity file is those, end to end.
///
/// The code: member `i`'s block times `(255 ^ i) / (255 ^ i ^ r)`, summed over the members, is the
/// block of parity file `r`, in GF(2^8) modulo `x^8 + x^4 + x^3 + x^2 + 1` (0x11d). That is a
/// Cauchy matrix with columns scaled so that the first parity file is plain XOR. Any `parity`
/// blocks of a stripe can be lost.
///
/// The symbols lie in bit planes, as in Cauchy Reed-Solomon codes (Bloemer et al., "An XOR-based
/// erasure-resilient coding scheme", ICSI TR-95-048): a block is cut in cells of 64 KiB, the last
/// shorter, each cell in eight planes of equal size; bit `b` of plane `p` is bit `p` of the cell's
/// symbol `b`. Multiplying by a constant is then XOR of whole planes, which runs at the speed of
/// memory.
@NullMarked
package io.ucp.parity;

import org.jspecify.annotations.NullMarked;
