package io.ucp.execute;

import io.ucp.tensor.Crc;
import io.ucp.tensor.TensorDigest;

/// Puts the CRCs of a tensor's runs together before they are added to its digest: rows that lie
/// evenly, as those of a column shard do, cost one multiplication each.
final class EvenRuns {
    private final TensorDigest digest;
    private long end;
    private long length;
    private int castagnoli;
    private int zip;

    /// The step from the end of one run to the end of the next, and the powers that stand for it.
    private long step;

    private int castagnoliPast = Crc.CASTAGNOLI.past(0);
    private int zipPast = Crc.ZIP.past(0);

    EvenRuns(TensorDigest digest) {
        this.digest = digest;
    }

    /// @param offset byte of the tensor at which the run starts
    void add(long offset, int size, int c, int z) {
        long next = offset + size;
        if (next < end) {
            flush();
        }
        if (length == 0) {
            end = next;
        }
        if (next - end != step) {
            step = next - end;
            castagnoliPast = Crc.CASTAGNOLI.past(step);
            zipPast = Crc.ZIP.past(step);
        }
        castagnoli = Crc.CASTAGNOLI.times(castagnoli, castagnoliPast) ^ c;
        zip = Crc.ZIP.times(zip, zipPast) ^ z;
        end = next;
        length += size;
    }

    /// Adds to the digest what was put together.
    void flush() {
        digest.add(end, length, castagnoli, zip);
        length = 0;
        castagnoli = 0;
        zip = 0;
    }
}
