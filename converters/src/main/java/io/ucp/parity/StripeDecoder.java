package io.ucp.parity;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.io.MalformedFileException;
import io.ucp.parity.Stripes.Block;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// Decodes the lost blocks of stripes from the others, for one thread. Every block that it uses,
/// and every block that it gives, has its digest; one that has not counts as lost.
final class StripeDecoder implements Closeable {
    private final ProtectedCheckpoint checkpoint;
    private final List<Stripes> sets;
    private final BlockReader reader;
    private final int most;
    private Optional<PlaneSums> sums = Optional.empty();
    private int sumCount;

    StripeDecoder(ProtectedCheckpoint checkpoint, List<Stripes> sets) {
        this.checkpoint = checkpoint;
        this.sets = sets;
        this.reader = new BlockReader(checkpoint);
        this.most = checkpoint.manifest().blockSize();
    }

    BlockReader reader() {
        return reader;
    }

    /// The lost blocks of a stripe by element, each from position 0 to its length.
    ///
    /// @param lost elements known to be lost; those found to be are decoded too
    /// @throws IncompleteCheckpointException where too many are
    Map<Integer, ByteBuffer> decode(Stripe at, BitSet lost) throws IOException {
        Stripes stripes = sets.get(at.set());
        BitSet gone = (BitSet) lost.clone();
        while (true) {
            int[] wanted = wanted(stripes, at.index(), gone);
            if (wanted.length > stripes.set().parity().size()) {
                Shortfall shortfall = new Shortfall(checkpoint);
                shortfall.add(stripes, at.index(), wanted);
                throw shortfall.refusal();
            }
            Optional<PlaneSums> decoded = sum(stripes, at.index(), gone, wanted);
            if (decoded.isPresent()) {
                return blocks(stripes, at.index(), wanted, decoded.get());
            }
        }
    }

    /// Lost elements that have a block in the stripe.
    private static int[] wanted(Stripes stripes, int index, BitSet gone) {
        return gone.stream().filter(e -> stripes.block(e, index).isPresent()).toArray();
    }

    /// Adds up what makes the wanted blocks; where one of the others turns out to be lost, marks it
    /// and gives nothing.
    private Optional<PlaneSums> sum(Stripes stripes, int index, BitSet gone, int[] wanted)
            throws IOException {
        CauchyCode code = stripes.set().code();
        int members = (int) Arrays.stream(wanted).filter(e -> e < code.data()).count();
        int[] rows = new int[members];
        int found = 0;
        for (int r = 0; found < members; r++) {
            if (!gone.get(code.data() + r)) {
                rows[found++] = r;
            }
        }
        int[][] factors = code.recover(wanted, rows);
        PlaneSums into = sums(wanted.length);
        int size = stripes.size(index);
        into.reset(size);
        int[] ofElement = new int[wanted.length];
        for (int e = 0; e < code.elements(); e++) {
            Optional<Block> block = stripes.block(e, index);
            boolean used = false;
            for (int k = 0; k < wanted.length; k++) {
                ofElement[k] = factors[k][e];
                used |= ofElement[k] != 0;
            }
            if (!used || block.isEmpty()) {
                continue;
            }
            if (reader.read(stripes.set(), block.get()) != BlockReader.Finding.WHOLE) {
                gone.set(e);
                return Optional.empty();
            }
            into.add(reader.padded(size), ofElement);
        }
        return Optional.of(into);
    }

    private PlaneSums sums(int count) {
        PlaneSums kept = sums.orElse(null);
        if (kept == null || sumCount < count) {
            kept = new PlaneSums(count, most);
            sumCount = count;
            sums = Optional.of(kept);
        }
        return kept;
    }

    private Map<Integer, ByteBuffer> blocks(
            Stripes stripes, int index, int[] wanted, PlaneSums decoded) throws IOException {
        Map<Integer, ByteBuffer> blocks = new TreeMap<>();
        for (int k = 0; k < wanted.length; k++) {
            Block block = stripes.block(wanted[k], index).orElseThrow();
            ByteBuffer bytes = ByteBuffer.allocate(stripes.size(index));
            decoded.get(k, bytes);
            bytes.limit(block.length());
            if (BlockDigests.of(bytes) != block.digest()) {
                throw new MalformedFileException(
                        checkpoint.path(stripes.set(), block),
                        block.offset(),
                        "what its parity gives has another digest",
                        "the digest of when it was protected",
                        "the manifest and the parity are of two protections: use those that belong"
                                + " together");
            }
            blocks.put(wanted[k], bytes);
        }
        return blocks;
    }

    @Override
    public void close() throws IOException {
        reader.close();
    }
}
