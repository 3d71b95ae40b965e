package io.ucp.parity;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// Where the blocks of a set lie.
final class Stripes {
    private final ParitySet set;
    private final int blockSize;

    /// By member, the number of blocks before each of its files, and in all.
    private final List<int[]> before;

    /// Where each stripe begins in a parity file, and where the last ends.
    private final long[] offsets;

    /// @param blockSize bytes
    Stripes(ParitySet set, int blockSize) {
        this.set = set;
        this.blockSize = blockSize;
        this.before = set.members().stream().map(this::before).toList();
        int count = before.stream().mapToInt(b -> b[b.length - 1]).max().orElse(0);
        this.offsets = new long[count + 1];
        for (int member = 0; member < before.size(); member++) {
            for (int t = 0; t < count(member); t++) {
                int size = PlaneSums.rounded(blockOf(member, t).length());
                offsets[t + 1] = Math.max(offsets[t + 1], size);
            }
        }
        Arrays.parallelPrefix(offsets, Long::sum);
    }

    /// A block of a file.
    ///
    /// @param element of the set's code
    /// @param index of the block in its file
    /// @param offset bytes from the start of the file
    /// @param length bytes
    record Block(int element, StoredFile file, int index, long offset, int length) {
        long digest() {
            return file.blocks().values()[index];
        }
    }

    static int blocks(long size, int blockSize) {
        return Math.toIntExact(Math.ceilDiv(size, blockSize));
    }

    private int[] before(ParitySet.Member member) {
        int[] before = new int[member.files().size() + 1];
        for (int f = 0; f < member.files().size(); f++) {
            int count = blocks(member.files().get(f).size(), blockSize);
            before[f + 1] = Math.addExact(before[f], count);
        }
        return before;
    }

    private int count(int member) {
        int[] of = before.get(member);
        return of[of.length - 1];
    }

    ParitySet set() {
        return set;
    }

    /// How many.
    int count() {
        return offsets.length - 1;
    }

    /// Bytes.
    int size(int stripe) {
        return Math.toIntExact(offsets[stripe + 1] - offsets[stripe]);
    }

    /// Of a parity file.
    long paritySize() {
        return offsets[count()];
    }

    /// The block of an element in a stripe; empty where a member has ended before: zeros.
    Optional<Block> block(int element, int stripe) {
        int members = set.members().size();
        if (element < members) {
            return stripe < count(element)
                    ? Optional.of(blockOf(element, stripe))
                    : Optional.empty();
        }
        StoredFile file = set.parity().get(element - members);
        return Optional.of(new Block(element, file, stripe, offsets[stripe], size(stripe)));
    }

    private Block blockOf(int member, int stripe) {
        int[] of = before.get(member);
        int at = Arrays.binarySearch(of, stripe);
        if (at < 0) {
            at = -at - 2;
        }
        // Empty files have no block: the last of equals is the one that does.
        while (of[at + 1] == stripe) {
            at++;
        }
        StoredFile file = set.members().get(member).files().get(at);
        int index = stripe - of[at];
        long offset = (long) index * blockSize;
        int length = (int) Math.min(blockSize, file.size() - offset);
        return new Block(member, file, index, offset, length);
    }

    /// The stripes in which a member's file has blocks, in the order of those.
    Range of(int member, int file) {
        int[] of = before.get(member);
        return new Range(of[file], of[file + 1]);
    }

    /// Stripes.
    record Range(int from, int to) {}

    /// All blocks of a stripe.
    List<Block> blocks(int stripe) {
        List<Block> blocks = new ArrayList<>();
        for (int element = 0; element < set.code().elements(); element++) {
            block(element, stripe).ifPresent(blocks::add);
        }
        return blocks;
    }
}
