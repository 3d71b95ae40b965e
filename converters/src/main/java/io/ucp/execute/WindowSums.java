package io.ucp.execute;

import io.ucp.tensor.Crc;

import java.nio.ByteBuffer;

/// The CRCs of ranges of a window. What was summed as it was read, for the archive that it comes
/// from, is not summed again for the digest of a state, nor that for the zip entry or the journal
/// slot that covers it: the value of a range is put together from those of the runs in it. Owned by
/// one worker.
final class WindowSums {
    /// Putting the value of a shorter run together with others costs about what summing it does.
    private static final int SHORTEST = 1 << 13;

    private static final int MOST = 256;

    private ByteBuffer window = ByteBuffer.allocate(0);
    private final Runs zip = new Runs(Crc.ZIP);
    private final Runs castagnoli = new Runs(Crc.CASTAGNOLI);

    /// Begins with another window, that is about to be filled: what was asked for is not to change
    /// any more.
    void of(ByteBuffer next) {
        window = next;
        zip.count = 0;
        castagnoli.count = 0;
    }

    @SuppressWarnings("ReferenceEquality") // equal bytes elsewhere are no part of the window
    private boolean isWindow(ByteBuffer bytes) {
        return bytes == window;
    }

    /// Sums bytes `[low, high)` of a buffer, if it is the window, as long as they are in the cache:
    /// they were just filled.
    void take(ByteBuffer bytes, int low, int high) {
        if (isWindow(bytes) && high - low >= SHORTEST) {
            zip(low, high);
            castagnoli(low, high);
        }
    }

    /// CRC-32 of bytes `[low, high)` of a buffer, which may be the window.
    int zip(ByteBuffer bytes, int low, int high) {
        return isWindow(bytes) ? zip(low, high) : Crc.ZIP.of(bytes.slice(low, high - low));
    }

    /// CRC-32 of bytes `[low, high)` of the window.
    int zip(int low, int high) {
        return zip.of(low, high);
    }

    /// CRC-32C of bytes `[low, high)` of the window.
    int castagnoli(int low, int high) {
        return castagnoli.of(low, high);
    }

    /// Runs summed so far, ascending and apart.
    private final class Runs {
        private final Crc crc;
        private final int[] from = new int[MOST];
        private final int[] to = new int[MOST];
        private final int[] sums = new int[MOST];
        private int count;

        Runs(Crc crc) {
            this.crc = crc;
        }

        int of(int low, int high) {
            int sum = 0;
            int at = low;
            for (int k = firstFrom(low); k < count && to[k] <= high; k++) {
                sum = append(sum, at, from[k]);
                sum = crc.before(sum, to[k] - from[k]) ^ sums[k];
                at = to[k];
            }
            sum = append(sum, at, high);
            if (high - low >= SHORTEST && count < MOST && (count == 0 || to[count - 1] <= low)) {
                from[count] = low;
                to[count] = high;
                sums[count++] = sum;
            }
            return sum;
        }

        private int append(int sum, int low, int high) {
            return low == high
                    ? sum
                    : crc.before(sum, high - low) ^ crc.of(window.slice(low, high - low));
        }

        private int firstFrom(int low) {
            int k = count > 0 && to[count - 1] > low ? 0 : count;
            while (k < count && from[k] < low) {
                k++;
            }
            return k;
        }
    }
}
