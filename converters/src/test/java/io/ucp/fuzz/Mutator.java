package io.ucp.fuzz;

import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/// Damages bytes the way files are damaged and liars lie: flips, numbers at the edge of what fits,
/// words of the format, and pieces cut out, doubled or taken from another input.
final class Mutator {
    private static final long[] NUMBERS = {
        0,
        1,
        -1,
        127,
        128,
        255,
        256,
        32767,
        65535,
        65536,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        0xffffffffL,
        1L << 40,
        Long.MAX_VALUE,
        Long.MIN_VALUE
    };

    /// Bytes that an input may become longer by: inputs that only grow take all the time.
    private static final int USUAL = 1 << 10;

    private static final int LARGEST = 1 << 16;

    /// One in so many may become so long.
    private static final int RARE = 50;

    private final RandomGenerator random;
    private final List<byte[]> words;

    Mutator(RandomGenerator random, List<byte[]> words) {
        this.random = random;
        this.words = words;
    }

    byte[] mutated(byte[] seed, byte[] other) {
        byte[] bytes = seed.clone();
        int steps = 1 << random.nextInt(4);
        for (int k = 0; k < steps; k++) {
            bytes = step(bytes, other);
        }
        int most = seed.length + (random.nextInt(RARE) == 0 ? LARGEST : USUAL);
        return bytes.length <= most ? bytes : Arrays.copyOf(bytes, most);
    }

    private byte[] step(byte[] bytes, byte[] other) {
        if (bytes.length == 0) {
            return words.isEmpty() ? new byte[1] : words.get(random.nextInt(words.size()));
        }
        int at = random.nextInt(bytes.length);
        switch (random.nextInt(9)) {
            case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> bytes[at] = (byte) random.nextInt(256);
            case 2 -> number(bytes, at);
            case 3 -> {
                return splice(bytes, at, at, words.isEmpty() ? other : word(), 0);
            }
            case 4 -> {
                byte[] word = words.isEmpty() ? other : word();
                int to = Math.min(bytes.length, at + word.length);
                return splice(bytes, at, to, word, 0);
            }
            case 5 -> {
                return splice(bytes, at, end(bytes, at), new byte[0], 0);
            }
            case 6 -> {
                return splice(bytes, at, at, Arrays.copyOfRange(bytes, at, end(bytes, at)), 0);
            }
            case 7 -> {
                return Arrays.copyOf(bytes, at);
            }
            default -> {
                int from = other.length == 0 ? 0 : random.nextInt(other.length);
                return splice(bytes, at, end(bytes, at), other, from);
            }
        }
        return bytes;
    }

    private byte[] word() {
        return words.get(random.nextInt(words.size()));
    }

    private int end(byte[] bytes, int at) {
        return Math.min(bytes.length, at + 1 + random.nextInt(1 << random.nextInt(10)));
    }

    /// Overwrites one to eight bytes, in either order.
    private void number(byte[] bytes, int at) {
        long number = NUMBERS[random.nextInt(NUMBERS.length)];
        int width = 1 << random.nextInt(4);
        boolean little = random.nextBoolean();
        for (int k = 0; k < width && at + k < bytes.length; k++) {
            int shift = 8 * (little ? k : width - 1 - k);
            bytes[at + k] = (byte) (number >> shift);
        }
    }

    private static byte[] splice(byte[] bytes, int from, int to, byte[] piece, int start) {
        int count = Math.min(piece.length - start, LARGEST);
        byte[] out = new byte[from + count + bytes.length - to];
        System.arraycopy(bytes, 0, out, 0, from);
        System.arraycopy(piece, start, out, from, count);
        System.arraycopy(bytes, to, out, from + count, bytes.length - to);
        return out;
    }
}
